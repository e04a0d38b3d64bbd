"""`gunicorn kpi_system.office.wsgi`: makes the tables where there are none, and the two people who are known."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kpi_system.office.settings")
application = get_wsgi_application()
call_command("migrate", verbosity=0)

from kpi_system.office import people  # noqa: E402 - Django has to be set up first

people.enrol()
