"""As few settings as a project with a sign-in needs."""

import os
import secrets
from pathlib import Path

# No secret is shipped: each start has its own, and ends the sessions of the last.
SECRET_KEY = secrets.token_urlsafe(50)
PASSWORD = os.environ["KPI_API_KEY"]
"""Of everybody: there is one key to the whole system."""
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DEBUG = False
ROOT_URLCONF = "kpi_system.office.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
PASSWORD_HASHERS = ["kpi_system.office.hashers.Scrypt"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ.get("KPI_DATA", "kpi-data")) / "office.db",
        # A transaction that will write takes the lock at its beginning, and waits for it.
        "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
    }
}
TIME_ZONE = "UTC"  # else Django moves the clock of the whole process to Chicago
