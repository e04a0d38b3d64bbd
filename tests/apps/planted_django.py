"""Django in one file: every secret in one request, and a second that fails."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import django
import requests
from django.conf import settings

from apps.planting import Planted, fail, plant

if TYPE_CHECKING:
    from django.http import HttpRequest

planted = Planted("django")
settings.configure(
    DEBUG=False,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    SECRET_KEY=planted.word("django.secret key"),
    MIDDLEWARE=[],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
)
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402 - Django wants its settings first
from django.db import connection  # noqa: E402 - the same
from django.http import HttpResponse  # noqa: E402 - the same
from django.urls import path  # noqa: E402 - the same


def everything(request: HttpRequest) -> HttpResponse:
    _ = request.body
    plant(planted)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT '{planted.word('django.statement')}', {planted.number('django.number')}")
    address = os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"].replace("http://", "")
    requests.get(
        f"http://shop:{planted.word('client.userinfo')}@{address}/?token={planted.word('client.query')}",
        headers={"Authorization": f"Bearer {planted.word('client.header')}"},
        timeout=10,
    )
    return HttpResponse(b"planted", headers={"Set-Cookie": f"sid={planted.word('answer.cookie')}"})


def failure(_: HttpRequest) -> HttpResponse:
    fail(planted)
    return HttpResponse(b"never")


urlpatterns = [path("plant", everything), path("fail", failure)]
application = get_wsgi_application()
