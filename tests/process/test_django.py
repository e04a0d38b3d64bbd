"""An unchanged `django-admin startproject` is served and traced, however it is started."""

from __future__ import annotations

import http.client
import sys
from typing import TYPE_CHECKING

import pytest
from support.children import INSTRUMENT, RUN, environment, free_port, get, run, running, stop
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SERVER_KIND = 2

SERVERS: dict[str, Callable[[int], list[str]]] = {
    "runserver": lambda port: [sys.executable, "manage.py", "runserver", f"127.0.0.1:{port}"],
    "gunicorn": lambda port: ["gunicorn", "--bind", f"127.0.0.1:{port}", "mysite.wsgi"],
    "uvicorn": lambda port: ["uvicorn", "--port", str(port), "mysite.asgi:application"],
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first page of Django's tutorial makes, unchanged."""
    directory = tmp_path_factory.mktemp("project")
    made = run([sys.executable, "-m", "django", "startproject", "mysite", str(directory)], environment())
    assert made.returncode == 0, made.stderr
    return directory


@pytest.mark.parametrize("settings", ["set outside", "not set"])
@pytest.mark.parametrize("launcher", [INSTRUMENT, RUN], ids=["opentelemetry-instrument", "otel-kpi run"])
@pytest.mark.parametrize("server", SERVERS)
def test_unchanged_startproject_answers_and_is_traced(
    project: Path, receiver: Receiver, server: str, launcher: tuple[str, ...], settings: str
) -> None:
    port = free_port()
    extra = {"DJANGO_SETTINGS_MODULE": "mysite.settings"} if settings == "set outside" else {}
    env = environment(receiver.url, OTEL_SERVICE_NAME="mysite", **extra)
    with running([*launcher, *SERVERS[server](port)], env, project) as process:
        # In seven of its eight middlewares and its templates; the settings are the project's own.
        assert get(f"http://127.0.0.1:{port}/admin/login/") == 200
        receiver.wait_for(lambda arrived: [span for span in arrived.spans if span.item.kind == SERVER_KIND])
        output = stop(process)
    servers = [span for span in receiver.spans if span.item.kind == SERVER_KIND]
    assert [span.item.name for span in servers] == ["GET admin/login/"]
    [span] = servers
    assert span.attributes["http.route"] == "admin/login/"
    assert span.attributes["http.response.status_code"] == 200
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("127.0.0.1", port)
    assert span.resource["service.name"] == "mysite"
    assert "Traceback" not in output
    assert "otel_kpi" not in output


def test_management_command_runs_with_a_span_for_each_statement(project: Path, receiver: Receiver) -> None:
    """Django's own wrapping of cursors and connections goes through the instrumented driver."""
    migrated = run(
        [*RUN, sys.executable, "manage.py", "migrate", "--verbosity", "0"], environment(receiver.url), project
    )
    assert (migrated.returncode, migrated.stdout, migrated.stderr) == (0, "", "")
    statements = [span.attributes.get("db.query.text", "") for span in receiver.spans]
    assert any(text.startswith('CREATE TABLE "auth_user"') for text in statements)


def test_djangos_own_record_of_queries_has_no_spans(project: Path, receiver: Receiver) -> None:
    """With `DEBUG` it has SQLite quote the parameters of each query; that is no statement of the application."""
    env = environment(receiver.url)
    assert run([sys.executable, "manage.py", "migrate", "-v0"], environment(), project).returncode == 0
    code = (
        "from django.contrib.auth.models import User; from django.db import connection; "
        "connection.ensure_connection(); list(User.objects.filter(username='x')); print(len(connection.queries))"
    )
    ended = run([*RUN, sys.executable, "manage.py", "shell", "-v0", "-c", code], env, project)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "1\n", "")
    [statement] = [span for span in receiver.spans if span.scope != "otel_kpi.script"]
    assert "auth_user" in statement.attributes["db.query.text"]


_BY_HAND = """
from opentelemetry.instrumentation.django import DjangoInstrumentor

def response_hook(span, request, response):
    span.set_attribute("by.hand", True)

import mysite.settings
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")
DjangoInstrumentor().instrument(response_hook=response_hook)
from mysite.wsgi import application
"""


def test_django_that_the_user_instrumented_keeps_the_users_options(project: Path, receiver: Receiver) -> None:
    (project / "by_hand.py").write_text(_BY_HAND)
    port = free_port()
    command = [*RUN, "gunicorn", "--bind", f"127.0.0.1:{port}", "by_hand"]
    with running(command, environment(receiver.url), project) as process:
        assert get(f"http://127.0.0.1:{port}/admin/login/") == 200
        output = stop(process)
    [span] = [span for span in receiver.spans if span.item.kind == SERVER_KIND]
    assert span.attributes["by.hand"] is True
    assert "already instrumented" not in output


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_errors_are_traced_with_their_records_and_health_is_not(
    project: Path, receiver: Receiver, server: str
) -> None:
    (project / "with_views.py").write_text(
        "from mysite.settings import *\n"
        "from django.http import HttpResponse\n"
        "from django.urls import path\n"
        "ROOT_URLCONF = __name__\n"
        "def health(request):\n    return HttpResponse('ok')\n"
        "def boom(request, number):\n    raise LookupError(number)\n"
        "urlpatterns = [path('healthz', health), path('boom/<int:number>/', boom)]\n"
    )
    port = free_port()
    env = environment(receiver.url, DJANGO_SETTINGS_MODULE="with_views")
    with running([*RUN, *SERVERS[server](port)], env, project) as process:
        assert get(f"http://127.0.0.1:{port}/healthz") == 200
        assert get(f"http://127.0.0.1:{port}/missing") == 404
        assert get(f"http://127.0.0.1:{port}/boom/7/") == 500
        stop(process)
    missing, boom = [span for span in receiver.spans if span.item.kind == SERVER_KIND]
    assert missing.item.name == "GET"
    assert missing.attributes["http.response.status_code"] == 404
    assert boom.item.name == "GET boom/<int:number>/"
    assert boom.item.status.code == 2
    assert [event.name for event in boom.item.events] == ["exception"]
    # Django logs a 4xx after the span has ended.
    records = [log for log in receiver.logs if log.scope == "django.request"]
    assert [log.item.trace_id for log in records] == [missing.item.trace_id, boom.item.trace_id]
    assert [log.item.span_id for log in records] == [missing.item.span_id, boom.item.span_id]


@pytest.mark.parametrize("server", SERVERS)
def test_requests_on_one_connection_are_traces_of_their_own(
    project: Path, receiver: Receiver, server: str
) -> None:
    port = free_port()
    incoming = [f"{number:032x}" for number in range(1, 6)]
    with running([*RUN, *SERVERS[server](port)], environment(receiver.url), project) as process:
        assert get(f"http://127.0.0.1:{port}/healthz") == 404
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for trace_id in incoming:
            headers = {"traceparent": f"00-{trace_id}-{1:016x}-01"}
            connection.request("GET", "/admin/login/", headers=headers)
            response = connection.getresponse()
            assert response.status == 200
            response.read()
        connection.close()
        receiver.wait_for(lambda arrived: incoming[-1] in server_traces(arrived))
        stop(process)
    assert server_traces(receiver) == incoming


def server_traces(receiver: Receiver) -> list[str]:
    return [span.item.trace_id.hex() for span in receiver.spans if span.item.kind == SERVER_KIND]


_LOGGED = """
import sqlite3
from mysite.settings import *
from django.http import HttpResponse
from django.urls import path

ROOT_URLCONF = __name__
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"short": {"format": "%(levelname)s|%(name)s|%(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "short"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {"django.request": {"handlers": ["console"], "propagate": False}},
}

def query():
    connection = sqlite3.connect(":memory:")
    connection.execute("SELECT 1").fetchall()
    connection.close()

def health(request):
    query()
    return HttpResponse("ok")

def item(request, number):
    import logging
    logging.getLogger("shop").info("item %s", number)
    query()
    return HttpResponse("ok")

def boom(request):
    raise LookupError("no such thing")

urlpatterns = [path("healthz", health), path("items/<int:number>", item), path("boom", boom)]
"""


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_logging_that_the_project_takes_over_leaves_once_and_in_the_trace(
    project: Path, receiver: Receiver, server: str
) -> None:
    """`LOGGING` replaces every handler; what the application prints is what it printed before."""
    (project / "logged.py").write_text(_LOGGED)
    port = free_port()
    env = environment(receiver.url, DJANGO_SETTINGS_MODULE="logged")
    command = [*RUN, *SERVERS[server](port)]
    if server == "gunicorn":
        command += ["--access-logfile", "-"]
    with running(command, env, project) as process:
        assert get(f"http://127.0.0.1:{port}/healthz") == 200
        assert get(f"http://127.0.0.1:{port}/items/7") == 200
        assert get(f"http://127.0.0.1:{port}/missing") == 404
        assert get(f"http://127.0.0.1:{port}/boom") == 500
        output = stop(process)
    servers = {span.item.name: span for span in receiver.spans if span.item.kind == SERVER_KIND}
    assert set(servers) == {"GET items/<int:number>", "GET", "GET boom"}
    assert len(receiver.spans) == 4, "the probe's statement is nowhere"
    ids = [servers[name].item.trace_id for name in ("GET items/<int:number>", "GET", "GET boom")]
    records = [log for log in receiver.logs if log.scope in {"shop", "django.request"}]
    assert [log.item.trace_id for log in records] == ids
    assert [log.item.body.string_value for log in records] == [
        "item 7",
        "Not Found: /missing",
        "Internal Server Error: /boom",
    ]
    access = [log for log in receiver.logs if log.scope in {"gunicorn.access", "uvicorn.access"}]
    assert [log.item.trace_id for log in access] == [b"", *ids]
    for line in ("INFO|shop|item 7", "|django.request|Not Found: /missing"):
        assert output.count(line) == 1
    assert "recursive" not in output


def test_route_that_is_a_regular_expression_is_readable_everywhere(project: Path, receiver: Receiver) -> None:
    """As the routers of Django REST framework write them."""
    (project / "routed.py").write_text(
        "from mysite.settings import *\n"
        "from django.http import HttpResponse\n"
        "from django.urls import include, path, re_path\n"
        "ROOT_URLCONF = __name__\n"
        "def view(request, **_):\n    return HttpResponse(request.resolver_match.route)\n"
        "projects = [re_path(r'^projects/$', view), re_path(r'^projects/(?P<pk>[^/.]+)/$', view)]\n"
        "urlpatterns = [path('api/<int:number>/', include(projects))]\n"
    )
    port = free_port()
    env = environment(receiver.url, DJANGO_SETTINGS_MODULE="routed")
    with running([*RUN, *SERVERS["gunicorn"](port)], env, project) as process:
        assert get(f"http://127.0.0.1:{port}/api/0/projects/") == 200
        assert get(f"http://127.0.0.1:{port}/api/0/projects/7/") == 200
        stop(process)
    routes = ["api/<int:number>/projects/", "api/<int:number>/projects/<pk>/"]
    spans = [span for span in receiver.spans if span.item.kind == SERVER_KIND]
    assert [span.item.name for span in spans] == [f"GET {route}" for route in routes]
    assert [span.attributes["http.route"] for span in spans] == routes
    durations = [point for point in receiver.points if point.metric == "http.server.request.duration"]
    assert {point.attributes["http.route"] for point in durations} == set(routes)


def test_django_behind_an_application_that_nobody_knows_is_one_server_span(
    project: Path, receiver: Receiver
) -> None:
    """As in Channels' routing by protocol: who begins the request, the server's hook, is told the route."""
    (project / "logged.py").write_text(_LOGGED)
    (project / "routing.py").write_text(
        "from mysite.asgi import application as http\n"
        "async def application(scope, receive, send):\n"
        "    await {'http': http}[scope['type']](scope, receive, send)\n"
    )
    port = free_port()
    env = environment(receiver.url, DJANGO_SETTINGS_MODULE="logged")
    command = [*RUN, "uvicorn", "--lifespan", "off", "--port", str(port), "routing:application"]
    with running(command, env, project) as process:
        assert get(f"http://127.0.0.1:{port}/healthz") == 200
        assert get(f"http://127.0.0.1:{port}/items/7") == 200
        assert get(f"http://127.0.0.1:{port}/boom") == 500
        stop(process)
    servers = {span.item.name: span for span in receiver.spans if span.item.kind == SERVER_KIND}
    assert set(servers) == {"GET items/<int:number>", "GET boom"}
    assert len(receiver.spans) == 3
    assert servers["GET items/<int:number>"].attributes["http.route"] == "items/<int:number>"
    assert [event.name for event in servers["GET boom"].item.events] == ["exception"]
    routes = [
        str(point.attributes.get("http.route"))
        for point in receiver.points
        if point.metric == "http.server.request.duration"
    ]
    assert sorted(routes) == ["boom", "items/<int:number>"]


@pytest.mark.parametrize("server", ["gunicorn", pytest.param("uvicorn", marks=pytest.mark.proof)])
def test_requests_with_a_host_that_django_refuses_are_traced_and_switch_nothing_off(
    project: Path, receiver: Receiver, server: str
) -> None:
    """Scanners send them by the thousand."""
    port = free_port()
    env = environment(receiver.url, OTEL_SERVICE_NAME="scanned", DJANGO_SETTINGS_MODULE="mysite.settings")
    with running([*RUN, *SERVERS[server](port)], env, project) as process:
        assert get(f"http://127.0.0.1:{port}/admin/login/") == 200
        for _ in range(12):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.request("GET", "/admin/login/", headers={"Host": "evil.example"})
            assert connection.getresponse().status == 400
            connection.close()
        assert get(f"http://127.0.0.1:{port}/admin/login/") == 200
        receiver.wait_for(lambda arrived: len(arrived.spans) >= 14)
        output = stop(process)
    statuses = [
        span.attributes["http.response.status_code"]
        for span in receiver.spans
        if span.item.kind == SERVER_KIND
    ]
    assert sorted(statuses) == [200, 200, *[400] * 12]
    assert "telemetry of a call is lost" not in output
