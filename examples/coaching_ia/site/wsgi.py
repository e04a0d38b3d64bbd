"""`gunicorn coaching_ia.site.wsgi`, once `tables` has made what it needs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coaching_ia.site.settings")
application = get_wsgi_application()
