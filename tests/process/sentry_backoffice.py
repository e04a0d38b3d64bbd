"""A Django project in one file, asked through its test client and through WSGI; argument: DSN. Prints the trace ids."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otel_kpi import sentry

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

trace.set_tracer_provider(TracerProvider())
sentry.start(dsn=sys.argv[1], release="backoffice@1", environment="test")
assert "django" not in sys.modules

import django  # noqa: E402 - the application comes after the distribution
from django.conf import settings  # noqa: E402 - the same

settings.configure(
    DEBUG=False, ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"], SECRET_KEY="S1-django", MIDDLEWARE=[]
)
django.setup()

from django.core.exceptions import PermissionDenied, SuspiciousOperation  # noqa: E402 - the same
from django.core.wsgi import get_wsgi_application  # noqa: E402 - the same
from django.http import Http404  # noqa: E402 - the same
from django.test import Client  # noqa: E402 - the same
from django.urls import path  # noqa: E402 - the same
from opentelemetry.instrumentation.django import DjangoInstrumentor  # noqa: E402 - the same

DjangoInstrumentor().instrument()
seen: dict[str, str] = {}


def view(error: type[Exception], name: str) -> Any:
    def answer(_: HttpRequest) -> HttpResponse:
        seen[name] = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
        sentry.add_breadcrumb(f"crumb of {name}")
        raise error(f"{name} password=S2-text")

    return path(name, answer)


urlpatterns = [
    view(ValueError, "broken"),
    view(KeyError, "broken-too"),
    view(Http404, "missing"),
    view(PermissionDenied, "forbidden"),
    view(SuspiciousOperation, "suspicious"),
]

client: Any = Client(raise_request_exception=False)
statuses = [
    client.get(f"/{name}?token=S3-query", headers={"cookie": "sessionid=S4-cookie"}).status_code
    for name in ("broken", "missing", "forbidden", "suspicious", "nowhere")
]

application: Any = get_wsgi_application()


def start_response(status: str, *_: Any) -> Any:
    statuses.append(int(status.split(maxsplit=1)[0]))


environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/broken-too", "SERVER_NAME": "testserver", "SERVER_PORT": "80",
           "wsgi.input": sys.stdin.buffer, "wsgi.errors": sys.stderr, "wsgi.url_scheme": "http"}  # fmt: skip
list(application(environ, start_response))
sentry.flush(5.0)
print(json.dumps({"statuses": statuses, "traces": seen}))
