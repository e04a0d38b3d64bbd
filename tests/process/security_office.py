"""A Django project that refuses: passwords, sessions, tokens, keys, hosts, and too many requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.contrib.auth import authenticate, login
from django.core.exceptions import PermissionDenied, SuspiciousFileOperation
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["127.0.0.1"],
    SECRET_KEY="a secret of at least thirty-two bytes",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["OFFICE_DB"]}},
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"],
    AUTHENTICATION_BACKENDS=[f"{__name__}.Banning", "django.contrib.auth.backends.ModelBackend"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
    LOGGING_CONFIG=None,
    REST_FRAMEWORK={"DEFAULT_THROTTLE_RATES": {"reports": "2/hour", "anon": "1/hour"}},
    DATA_UPLOAD_MAX_MEMORY_SIZE=1000,
    USE_TZ=True,
)
django.setup()

# What follows reads the settings when it is imported.
from django_ratelimit.decorators import ratelimit  # noqa: E402
from rest_framework.authentication import (  # noqa: E402
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
)
from rest_framework.exceptions import AuthenticationFailed  # noqa: E402
from rest_framework.permissions import BasePermission, IsAuthenticated  # noqa: E402
from rest_framework.response import Response  # noqa: E402
from rest_framework.throttling import AnonRateThrottle, ScopedRateThrottle  # noqa: E402
from rest_framework.views import APIView  # noqa: E402
from rest_framework_simplejwt.authentication import JWTAuthentication  # noqa: E402
from rest_framework_simplejwt.tokens import AccessToken  # noqa: E402
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView  # noqa: E402


class Banning:
    """A backend that lets one user in nowhere."""

    def authenticate(self, request: HttpRequest | None, username: str = "", password: str = "") -> None:
        del request, password
        if username == "mallory":
            raise PermissionDenied

    def get_user(self, number: int) -> None:
        """It knows nobody."""


class KeyAuthentication(BaseAuthentication):
    """Of the project's own: nobody told otel-kpi of it but its class."""

    def authenticate(self, request: Any) -> Any:
        key = request.headers.get("X-Key")
        if key is None:
            return None
        if key != "right":
            raise AuthenticationFailed("no such key")
        return _user("ada"), None

    def authenticate_header(self, request: Any) -> Any:
        del request
        return "Key"


ApiKeyAuthentication = type("ApiKeyAuthentication", (KeyAuthentication,), {})


class Never(BasePermission):
    def has_permission(self, request: Any, view: Any) -> Any:
        del request, view
        return False


class Answer(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response(str(request.user))

    post = get


def api(*authentication: type, **options: Any) -> Any:
    return type("View", (Answer,), {"authentication_classes": authentication, **options}).as_view()


def _user(name: str) -> Any:
    from django.contrib.auth.models import User

    return User.objects.get(username=name)


def enter(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if user is None:
        return HttpResponse(status=401)
    login(request, user)
    return HttpResponse(b"in")


def token(request: HttpRequest) -> HttpResponse:
    """A cookie for the CSRF check."""
    from django.middleware.csrf import get_token

    return HttpResponse(get_token(request).encode())


def change(_request: HttpRequest) -> HttpResponse:
    user = _user("ada")
    user.set_password("right")
    user.save()
    return HttpResponse()


def deactivate(_request: HttpRequest) -> HttpResponse:
    user = _user("eve")
    user.is_active = False
    user.save()
    return HttpResponse()


def issue(request: HttpRequest) -> HttpResponse:
    """A token of ada's: good, or expired."""
    from datetime import timedelta

    made = AccessToken.for_user(_user("ada"))
    if "expired" in request.GET:
        made.set_exp(lifetime=timedelta(hours=-1))
    return HttpResponse(str(made).encode())


def who(request: Any) -> HttpResponse:
    return HttpResponse(str(request.user).encode())


def denied(_request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def escape(_request: HttpRequest) -> HttpResponse:
    raise SuspiciousFileOperation("../../etc/passwd")


def own(request: HttpRequest) -> HttpResponse:
    from otel_kpi import security

    security.intrusion("sql_injection", parameter="q")
    security.suspicious(request.META["REMOTE_ADDR"], "honeypot")
    raise SuspiciousFileOperation("said already")


def upload(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


@ratelimit(key="ip", rate="2/h", group="search")
def search(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"found")


urlpatterns = [
    path("enter", enter),
    path("token", token),
    path("change", change),
    path("deactivate", deactivate),
    path("issue", issue),
    path("who", who),
    path("denied", denied),
    path("escape", escape),
    path("own", own),
    path("upload", upload),
    path("search", search),
    path("api/session", api(SessionAuthentication)),
    path("api/basic", api(BasicAuthentication)),
    path("api/jwt", api(JWTAuthentication)),
    path("api/key", api(ApiKeyAuthentication)),
    path("api/never", api(ApiKeyAuthentication, permission_classes=(Never,))),
    path("api/reports", api(permission_classes=(), throttle_classes=(ScopedRateThrottle,), throttle_scope="reports")),
    path("api/anonymous", api(ApiKeyAuthentication, permission_classes=(), throttle_classes=(AnonRateThrottle,))),
    path("api/obtain", TokenObtainPairView.as_view()),
    path("api/refresh", TokenRefreshView.as_view()),
]  # fmt: skip

if os.environ.get("OFFICE_ASGI"):
    from django.core.asgi import get_asgi_application as application_of
else:
    from django.core.wsgi import get_wsgi_application as application_of  # type: ignore[assignment] # the one or the other

application = application_of()
if not Path(os.environ["OFFICE_DB"]).exists():
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    for name in ("ada", "bob", "eve"):
        User.objects.create_user(name, password="right", is_active=name != "bob")
