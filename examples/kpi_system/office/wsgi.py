"""`gunicorn kpi_system.office.wsgi`, once `tables` has made what it needs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kpi_system.office.settings")
application = get_wsgi_application()
