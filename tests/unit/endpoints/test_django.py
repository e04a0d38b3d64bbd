"""Endpoints and response times in Django projects."""

from __future__ import annotations

import asyncio
import json
import re
import time
import types
from typing import TYPE_CHECKING, Any

import pytest
from support.web import environ_of, scope_of

django = pytest.importorskip("django")
jsonschema = pytest.importorskip("jsonschema")

from django.conf import settings  # noqa: E402 - skipped above where it is missing

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="test",
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        LOGGING_CONFIG=None,
    )
    django.setup()

from django.core.handlers.asgi import ASGIHandler  # noqa: E402
from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import FileResponse, HttpResponse, StreamingHttpResponse  # noqa: E402
from django.test import override_settings  # noqa: E402
from django.urls import clear_url_caches, include, path, re_path  # noqa: E402

import otel_kpi.endpoints.django as endpoints_of_django  # noqa: E402
from otel_kpi import health  # noqa: E402
from otel_kpi.endpoints import ENDPOINTS, openapi  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

MIDDLEWARE = "otel_kpi.endpoints.django.ResponseTimeMiddleware"
TOLD = 0.15


@pytest.fixture(autouse=True)
def _limit(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("OTEL_KPI_SLOW_REQUEST", "120")
    yield
    clear_url_caches()


def mine(_request: Any, **_: Any) -> HttpResponse:
    return HttpResponse(b"mine")


def slow(_request: Any, **_: Any) -> HttpResponse:
    time.sleep(TOLD)  # what is measured is that it takes long
    return HttpResponse(b"slow", status=201)


def boom(_request: Any) -> HttpResponse:
    raise LookupError("no such thing")


def stream(_request: Any, kind: str = "text/plain") -> StreamingHttpResponse:
    def parts() -> Iterator[bytes]:
        yield b"o"
        time.sleep(TOLD)  # the same
        yield b"k"

    return StreamingHttpResponse(parts(), content_type=kind)


def events(request: Any) -> StreamingHttpResponse:
    return stream(request, "text/event-stream")


async def stream_async(_request: Any) -> StreamingHttpResponse:
    async def parts() -> AsyncIterator[bytes]:
        yield b"o"
        await asyncio.sleep(TOLD)  # what is measured is that it takes long
        yield b"k"

    return StreamingHttpResponse(parts())


def file(_request: Any) -> FileResponse:
    return FileResponse(open(__file__, "rb"))  # noqa: PTH123 - the response closes it


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Project:
    """A project whose settings hold for one request at a time."""

    def __init__(self, *patterns: Any, middleware: tuple[str, ...] = (MIDDLEWARE,)) -> None:
        self._urls = types.ModuleType("urls_of_test")
        self._urls.urlpatterns = list(patterns)  # type: ignore[attr-defined] # a URLconf is any module that has it
        self._middleware = middleware

    def ask(self, target: str, method: str = "GET", address: str = "127.0.0.1", **headers: str) -> Answer:
        clear_url_caches()
        with override_settings(ROOT_URLCONF=self._urls, MIDDLEWARE=self._middleware):
            said: list[Any] = []
            environ = environ_of(target, method, **headers) | {"REMOTE_ADDR": address}

            def start(status: str, sent: list[tuple[str, str]], _error: Any = None) -> None:
                said.extend((status, sent))

            response: Any = WSGIHandler()(environ, start)
            body = b"".join(response)
            response.close()
        return Answer(int(said[0].split()[0]), {name.lower(): value for name, value in said[1]}, body)

    def ask_async(self, target: str) -> Answer:
        clear_url_caches()
        sent: list[Any] = []

        async def call() -> None:
            asked = False

            async def receive() -> Any:
                nonlocal asked
                if asked:
                    await asyncio.Event().wait()
                asked = True
                return {"type": "http.request", "body": b""}

            async def send(message: Any) -> None:
                sent.append(message)

            await ASGIHandler()(scope_of(target), receive, send)

        with override_settings(ROOT_URLCONF=self._urls, MIDDLEWARE=self._middleware):
            asyncio.run(call())
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:]))


def one_line() -> Any:
    return path("", include("otel_kpi.endpoints.django"))


def lines(caplog: pytest.LogCaptureFixture, name: str) -> list[Any]:
    return [each for each in caplog.records if each.name == name]


# --- endpoints


@pytest.mark.parametrize("target", [each.path for each in ENDPOINTS])
def test_each_path_answers_get_and_head_and_nothing_else(target: str) -> None:
    project = Project(one_line())
    answer = project.ask(target)
    assert answer.status in {200, 503}
    assert answer.headers["cache-control"] == "no-store"
    head = project.ask(target, "HEAD")
    assert (head.status, head.headers["content-type"]) == (answer.status, answer.headers["content-type"])
    assert project.ask(target, "POST").status == 405


def test_health_follows_what_is_declared_under_both_servers(caplog: pytest.LogCaptureFixture) -> None:
    project = Project(one_line())
    health.check("database", lambda: None, critical=True, interval=1000)
    assert project.ask("/api/health/ready").status == 503, "nothing is known yet"
    assert not lines(caplog, "django.request"), (
        "a probe is no error of the project's, nor a mail to its admins"
    )
    assert project.ask("/api/health/live").status == 200
    assert project.ask_async("/api/health/live").status == 200
    assert json.loads(project.ask_async("/api/health").body)["services"].keys() == {"database"}


@pytest.mark.parametrize("order", ["before", "after"])
@pytest.mark.parametrize(
    "theirs",
    [
        path("health", mine),
        path("health/", mine),
        re_path("^health/?$", mine),
        path("", include([path("health", mine)])),
    ],
    ids=["same", "slash", "expression", "included"],
)
def test_a_route_of_the_project_wins_wherever_it_stands(
    theirs: Any, order: str, caplog: pytest.LogCaptureFixture
) -> None:
    patterns = [theirs, one_line()] if order == "before" else [one_line(), theirs]
    project = Project(*patterns)
    target = "/health/" if str(theirs.pattern) == "health/" else "/health"
    assert project.ask(target).body == b"mine"
    assert project.ask("/api/health/live").status == 200
    assert project.ask("/health").body in {b"mine", project.ask("/nowhere").body}
    if order == "after":
        assert {each.getMessage() for each in lines(caplog, "otel_kpi.endpoints")} == {
            "/health stays the project's; paths= gives ours another"
        }, "once for each URLconf, of which there is a new one for each question here"


def test_what_takes_every_path_does_not_hide_what_stands_before_it() -> None:
    project = Project(one_line(), re_path("^.*$", mine))
    assert json.loads(project.ask("/api/health/live").body)["status"] == "ok"
    assert project.ask("/anything").body == b"mine"


def test_paths_are_moved_and_left_out() -> None:
    patterns = endpoints_of_django.endpoints(prefix="internal", paths={"live": "up", "metrics": None})
    project = Project(path("ops/", include(patterns)))
    assert project.ask("/ops/internal/up").status == 200
    assert project.ask("/ops/internal/api/health").status == 200
    assert project.ask("/ops/internal/metrics").status == 404
    assert project.ask("/internal/up").status == 404


@pytest.mark.parametrize("prefix", ["<slug:tenant>/", "<int:tenant>/<str:place>/"])
def test_a_prefix_may_capture(prefix: str) -> None:
    project = Project(path(prefix, include("otel_kpi.endpoints.django")))
    target = "/a/api/health/live" if "slug" in prefix else "/7/b/api/health/live"
    assert project.ask(target).status == 200


def test_a_prefix_may_capture_without_names() -> None:
    project = Project(re_path("^(a|b)/", include("otel_kpi.endpoints.django")))
    assert project.ask("/b/api/health/live").status == 200


def test_who_may_ask() -> None:
    patterns = endpoints_of_django.endpoints(allow={"live": None, "*": "loopback"})
    project = Project(path("", include(patterns)))
    assert project.ask("/api/health").status == 200
    assert project.ask("/api/health", address="10.0.0.9").status == 403
    assert project.ask("/api/health", X_Forwarded_For="203.0.113.9").status == 403
    assert project.ask("/api/health/live", address="10.0.0.9").status == 200


def test_a_project_where_everybody_logs_in_lets_probes_in() -> None:
    login = "django.contrib.auth.middleware.LoginRequiredMiddleware"
    view = endpoints_of_django.endpoints()[0].callback
    assert view is not None
    assert getattr(view, "login_required", True) is False
    assert login  # the middleware looks at this attribute, and needs models of users to be asked itself


def test_answers_are_as_their_schemas_say() -> None:
    project = Project(one_line())
    health.check("database", lambda: None, critical=True)
    paths = openapi()["paths"]
    for target, described in paths.items():
        answer = project.ask(target)
        kind = answer.headers["content-type"].partition(";")[0]
        schema = described["get"]["responses"][str(answer.status)]["content"][kind]["schema"]
        if kind == "application/json":
            jsonschema.validate(json.loads(answer.body), schema, jsonschema.Draft202012Validator)


# --- response times

VIEWS = (
    path("mine/", mine),
    path("items/<int:number>/", slow),
    path("boom/", boom),
    path("stream/", stream),
    path("events/", events),
    path("stream-async/", stream_async),
    path("file/", file),
)


@pytest.mark.parametrize(("target", "status"), [("/mine/", 200), ("/nowhere/", 404), ("/boom/", 500)])
@pytest.mark.parametrize("server", ["ask", "ask_async"])
def test_each_response_says_how_long_it_took(target: str, status: int, server: str) -> None:
    answer = getattr(Project(*VIEWS), server)(target)
    assert answer.status == status
    assert re.fullmatch(r"\d+\.\d\dms", answer.headers["x-response-time"])
    assert re.fullmatch(r"total;dur=\d+\.\d\d", answer.headers["server-timing"])


@pytest.mark.parametrize("server", ["ask", "ask_async"])
def test_a_slow_request_is_one_line_with_its_template_and_never_its_path(
    server: str, caplog: pytest.LogCaptureFixture
) -> None:
    getattr(Project(*VIEWS), server)("/items/4711/")
    [line] = lines(caplog, "otel_kpi.slow_requests")
    assert (line.levelname, line.method, line.route, line.statusCode) == (
        "WARNING",
        "GET",
        "/items/<int:number>/",
        "201",
    )
    assert "4711" not in str(vars(line))


@pytest.mark.parametrize(("server", "target"), [("ask", "/stream/"), ("ask_async", "/stream-async/")])
def test_a_stream_is_measured_to_its_last_byte(
    server: str, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = getattr(Project(*VIEWS), server)(target)
    assert answer.body == b"ok"
    assert float(answer.headers["x-response-time"].removesuffix("ms")) < 120
    assert [line.route for line in lines(caplog, "otel_kpi.slow_requests")] == [target]


def test_a_stream_of_events_may_last_and_a_file_stays_a_file(caplog: pytest.LogCaptureFixture) -> None:
    project = Project(*VIEWS)
    assert project.ask("/events/").body == b"ok"
    assert project.ask("/file/").body.startswith(b'"""Endpoints and response times')
    assert lines(caplog, "otel_kpi.slow_requests") == []


def test_what_is_no_response_passes() -> None:
    nothing = object()
    middleware = endpoints_of_django.ResponseTimeMiddleware(lambda _request: nothing)
    assert middleware(object()) is nothing
