"""As few settings as a project with tokens needs."""

import secrets
from datetime import timedelta

from coaching_ia import settings

NOW = settings.load()

# No secret is shipped: each start has its own, and ends the sessions of the last.
SECRET_KEY = secrets.token_urlsafe(50)
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
DEBUG = False
ROOT_URLCONF = "coaching_ia.site.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "rest_framework", "coaching_ia.site"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
PASSWORD_HASHERS = ["coaching_ia.site.hashers.Scrypt"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": NOW.data / "site.db",
        # A transaction that will write takes the lock at its beginning, and waits for it.
        "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE"},
    }
}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
}
SIMPLE_JWT = {"SIGNING_KEY": NOW.signing_key, "ACCESS_TOKEN_LIFETIME": timedelta(minutes=30)}
TIME_ZONE = "UTC"  # else Django moves the clock of the whole process to Chicago
USE_TZ = True
