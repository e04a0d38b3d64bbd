"""`gunicorn coaching_ia.site.wsgi`: makes the tables where there are none, and the members."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coaching_ia.site.settings")
application = get_wsgi_application()
call_command("migrate", run_syncdb=True, verbosity=0)

from coaching_ia.site import people  # noqa: E402 - Django has to be set up first

people.enrol()
