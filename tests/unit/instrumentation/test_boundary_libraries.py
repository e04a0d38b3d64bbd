"""Real libraries under instrumentors that are broken everywhere: every answer is as without instrumentation."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import sqlite3
import ssl
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest
import requests
import sqlalchemy
import urllib3
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import context, trace
from support.faults import FAULTS, Faults, Ours, Outcome, lines, outcome, state

from otel_kpi import instrumentation
from otel_kpi.instrumentation.boundary import MOST_ERRORS, Boundary

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A real server whose answers depend on nothing but the path."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/broken":
                self.close_connection = True
                return
            body = f"you asked for {self.path}".encode() * 100
            self.send_response_only(404 if self.path == "/missing" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Case", "Kept")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


CERTIFICATES = ssl.create_default_context()
"""Read once: httpx reads them for each client."""


def with_requests(url: str) -> Outcome:
    with requests.Session() as session:
        response = session.get(url, timeout=5)
        return response.status_code, list(response.headers.items()), response.content


def with_urllib3(url: str) -> Outcome:
    with urllib3.PoolManager(retries=False) as pool:
        response = pool.request("GET", url)
        return response.status, list(response.headers.items()), response.data


def with_httpx(url: str) -> Outcome:
    with httpx.Client(verify=CERTIFICATES) as client:
        response = client.get(url)
        return response.status_code, response.headers.raw, response.content


def with_async_httpx(url: str) -> Outcome:
    async def get() -> Outcome:
        async with httpx.AsyncClient(verify=CERTIFICATES) as client:
            response = await client.get(url)
            return response.status_code, response.headers.raw, response.content

    return asyncio.run(get())


CLIENTS: dict[str, tuple[str, Callable[[str], Outcome]]] = {
    "requests": ("requests", with_requests),
    "urllib3": ("urllib3", with_urllib3),
    "httpx": ("httpx", with_httpx),
    "httpx async": ("httpx", with_async_httpx),
}


def assert_fails_open(
    name: str, call: Callable[[], Any], expected: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten errors, then off: every answer as expected, two lines, and the eleventh call says nothing."""
    for errors in range(1, MOST_ERRORS + 1):
        assert outcome(call) == expected
        assert state(name).errors >= errors
    assert (state(name).state, state(name).errors) == ("off", MOST_ERRORS)
    assert outcome(call) == expected
    assert state(name).errors == MOST_ERRORS
    first, last = lines(caplog, name)
    assert "telemetry of a call is lost" in first
    assert "switched off after 10 errors" in last
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ("sampler", "/ok"),
        ("on_start", "/missing"),
        ("on_end", "/ok"),
        ("on_end", "/broken"),
        ("inject", "/broken"),
    ],
)
@pytest.mark.parametrize("client", CLIENTS)
def test_client_gives_the_answer_that_the_server_gave(  # noqa: PLR0913, PLR0917 -- three parameters and fixtures
    faults: Faults, caplog: pytest.LogCaptureFixture, server: str, client: str, fault: str, path: str
) -> None:
    name, call = CLIENTS[client]
    expected = outcome(lambda: call(server + path))
    instrumentation.install()
    assert outcome(lambda: call(server + path)) == expected
    faults.armed = fault
    assert_fails_open(name, lambda: call(server + path), expected, caplog)
    assert faults.raised >= MOST_ERRORS


@pytest.mark.parametrize("client", CLIENTS)
def test_refused_connection_stays_a_refused_connection(faults: Faults, client: str) -> None:
    name, call = CLIENTS[client]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        expected = outcome(lambda: call(url))
        instrumentation.install()
        for fault in ("sampler", "on_end", "inject"):
            faults.armed = fault
            assert outcome(lambda: call(url)) == expected
    assert state(name).errors == 3


# Module of upstream's, and a function of it that is called before the request, and one that is called after it.
STAGES = {
    "requests": ("requests", "inject", "_set_http_status_code_attribute"),
    "urllib3": ("urllib3", "inject", "_set_status_code_attribute"),
    "httpx": ("httpx", "_inject_propagation_headers", "_extract_response"),
    "httpx async": ("httpx", "_inject_propagation_headers", "_extract_response"),
}


@pytest.mark.parametrize("when", [1, 2], ids=["before", "after"])
@pytest.mark.parametrize("client", CLIENTS)
def test_upstreams_own_function_may_be_broken(  # noqa: PLR0913, PLR0917 -- the same
    faults: Faults,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    server: str,
    client: str,
    when: Literal[1, 2],
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise Ours

    name, call = CLIENTS[client]
    expected = outcome(lambda: call(f"{server}/ok"))
    instrumentation.install()
    module = STAGES[client][0]
    monkeypatch.setattr(f"opentelemetry.instrumentation.{module}.{STAGES[client][when]}", broken)
    assert_fails_open(name, lambda: call(f"{server}/ok"), expected, caplog)
    assert faults.raised == 0


@pytest.mark.parametrize("hook", ["request_hook", "response_hook"])
@pytest.mark.parametrize("client", CLIENTS)
def test_hook_of_the_user_may_be_broken(
    faults: Faults, caplog: pytest.LogCaptureFixture, server: str, client: str, hook: str
) -> None:
    def broken(*_: Any) -> None:
        raise Ours

    async def async_broken(*_: Any) -> None:
        raise Ours

    name, call = CLIENTS[client]
    expected = outcome(lambda: call(f"{server}/ok"))
    instrumentation.install()
    instrumentor = {
        "requests": "opentelemetry.instrumentation.requests:RequestsInstrumentor",
        "urllib3": "opentelemetry.instrumentation.urllib3:URLLib3Instrumentor",
        "httpx": "opentelemetry.instrumentation.httpx:HTTPXClientInstrumentor",
    }[name]
    module, _, cls = instrumentor.partition(":")
    hooks: dict[str, Any] = {hook: broken}
    if name == "httpx":
        hooks[f"async_{hook}"] = async_broken
    upstream = getattr(sys.modules[module], cls)()
    upstream.instrument(**hooks)
    try:
        assert_fails_open(name, lambda: call(f"{server}/ok"), expected, caplog)
    finally:
        upstream.uninstrument()
    assert faults.raised == 0


def statements(connection: Any) -> list[Outcome]:
    cursor = connection.cursor()
    return [
        outcome(lambda: cursor.execute("SELECT 41 + ?", (1,)).fetchall()),
        outcome(lambda: cursor.execute("SELECT * FROM nothing")),
        outcome(lambda: cursor.executemany("SELECT ?", [(1,)])),
    ]


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end"])
def test_statement_of_sqlite3_gives_its_rows_and_errors(faults: Faults, fault: str) -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        expected = statements(connection)
    instrumentation.install()
    faults.armed = fault
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        for _ in range(6):
            assert statements(connection) == expected
    assert (state("sqlite3").state, state("sqlite3").errors) == ("off", MOST_ERRORS)


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end"])
def test_statement_of_sqlalchemy_gives_its_rows_and_errors(faults: Faults, fault: str) -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)

    def run() -> list[Outcome]:
        with engine.connect() as connection:
            return [
                outcome(lambda: connection.execute(sqlalchemy.text("SELECT 42")).fetchall()),
                outcome(lambda: connection.execute(sqlalchemy.text("SELECT * FROM nothing"))),
            ]

    expected = run()
    instrumentation.install()
    faults.armed = fault
    for _ in range(8):
        assert run() == expected
    engine.dispose()
    assert (state("sqlalchemy").state, state("sqlalchemy").errors) == ("off", MOST_ERRORS)


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end"])
def test_engine_that_the_application_gave_to_upstream_gives_its_rows_and_errors(
    faults: Faults, fault: str
) -> None:
    instrumentation.install()
    from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor

    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.StaticPool)

    def run() -> list[Outcome]:
        with engine.connect() as connection:
            return [
                outcome(lambda: connection.execute(sqlalchemy.text("SELECT 42")).fetchall()),
                outcome(lambda: connection.execute(sqlalchemy.text("SELECT * FROM nothing"))),
            ]

    expected = run()
    SQLAlchemyInstrumentor().instrument(engine=engine, enable_commenter=True, skip_dep_check=True)
    try:
        faults.armed = fault
        for _ in range(12):
            assert run() == expected
    finally:
        faults.armed = ""
        SQLAlchemyInstrumentor().uninstrument()
        engine.dispose()
    assert (state("sqlalchemy").state, state("sqlalchemy").errors) == ("off", MOST_ERRORS)


# --- logs


def of_logging() -> None:
    logging.getLogger("shop").error("sold out")


def of_structlog() -> None:
    import structlog

    structlog.wrap_logger(structlog.PrintLogger(), processors=[structlog.processors.JSONRenderer()]).error(
        "sold out"
    )


def of_loguru() -> None:
    from loguru import logger

    logger.error("sold out")


@pytest.mark.parametrize(
    ("name", "write"), [("logging", of_logging), ("structlog", of_structlog), ("loguru", of_loguru)]
)
@pytest.mark.usefixtures("faults")
def test_record_that_cannot_be_sent_is_written_all_the_same(
    name: str,
    write: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    from loguru import logger
    from opentelemetry import _logs

    instrumentation.install()
    broken: list[str] = []

    def on_emit(_record: Any) -> None:
        broken.append(name)
        raise Ours

    provider: Any = _logs.get_logger_provider()
    monkeypatch.setattr(provider._multi_log_record_processor, "on_emit", on_emit)
    logger.remove()
    logger.add(sys.stderr)
    try:
        for _ in range(MOST_ERRORS + 2):
            write()
    finally:
        logger.remove()
    written = capfd.readouterr()
    texts = (written.out + written.err).count("sold out")
    assert texts + caplog.messages.count("sold out") >= MOST_ERRORS + 2
    assert len(broken) == MOST_ERRORS
    assert (state(name).state, state(name).errors) == ("off", MOST_ERRORS)
    assert len(lines(caplog, name)) == 2


# --- servers


@pytest.mark.parametrize("which", ["fastapi", "starlette"])
def test_stack_that_we_cannot_build_is_the_applications_own(
    which: str, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otel_kpi.instrumentation.servers import asgi, fastapi

    def application() -> Any:
        if which == "fastapi":
            return shop()
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        async def answer(_request: Any) -> PlainTextResponse:
            return PlainTextResponse("here")

        return Starlette(routes=[Route("/ok/{number}", answer)])

    def broken(*_: Any, **__: Any) -> Any:
        raise Ours

    expected = asyncio.run(request(application(), "/ok/7"))
    instrumentation.install()
    monkeypatch.setattr(fastapi if which == "fastapi" else asgi, "Traced", broken)
    for _ in range(MOST_ERRORS + 1):
        assert asyncio.run(request(application(), "/ok/7")) == expected
    assert (state(which).state, state(which).errors) == ("off", MOST_ERRORS)
    assert faults.raised == 0


@pytest.mark.usefixtures("faults")
def test_middleware_of_the_application_that_cannot_be_made_is_its_own_error() -> None:
    made: list[int] = []

    class Refusing:
        def __init__(self, *_arguments: Any, **_options: Any) -> None:
            made.append(1)
            raise LookupError("the application's own")

    instrumentation.install()
    app = shop()
    app.add_middleware(Refusing)
    with pytest.raises(LookupError):
        asyncio.run(app({"type": "http", "method": "GET", "path": "/", "headers": []}, None, None))  # type: ignore[arg-type] # it gets no further
    assert (len(made), state("fastapi").errors) == (1, 0)


def shop() -> Any:
    app = FastAPI()

    @app.get("/ok/{item}")
    async def ok(item: int, tasks: BackgroundTasks) -> dict[str, int]:
        tasks.add_task(done.append, item)
        return {"item": item}

    @app.get("/error")
    async def error() -> None:
        raise LookupError("the application's own")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for part in (b"one", b"two", b"three"):
                yield part

        return StreamingResponse(parts())

    done: list[int] = []
    app.state.done = done
    return app


async def request(app: Any, path: str) -> Outcome:
    """One request over the ASGI interface: all messages, and what the application raised."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"shop.example"), (b"traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01")],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 80),
    }  # fmt: skip
    messages: list[Any] = []

    asked: list[bool] = []

    async def receive() -> Any:
        if asked:
            await asyncio.Event().wait()  # the client stays connected
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        messages.append(message)

    before = context.get_current()
    try:
        await app(scope, receive, send)
    except LookupError as raised:
        return messages, repr(raised), type(raised.__context__)
    finally:
        assert context.get_current() is before, "a context is left behind"
    return messages, None, None


@pytest.mark.parametrize("by_hand", [False, True], ids=["table", "instrument_app"])
@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end", "extract"])
@pytest.mark.parametrize("path", ["/ok/7", "/error", "/stream", "/missing"])
def test_request_is_answered_by_the_application(
    faults: Faults, path: str, fault: str, *, by_hand: bool
) -> None:
    bare = shop()
    expected = asyncio.run(request(bare, path))
    instrumentation.install()
    app = shop()
    if by_hand:
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app)
    try:
        assert asyncio.run(request(app, path)) == expected
        faults.armed = fault
        for _ in range(2 * MOST_ERRORS):
            assert asyncio.run(request(app, path)) == expected
        raised = faults.raised
        assert asyncio.run(request(app, path)) == expected
        assert raised == faults.raised >= MOST_ERRORS, "it is not off"
        assert app.state.done == [7] * (2 * MOST_ERRORS + 2 if path == "/ok/7" else 0)
        assert state("fastapi").errors >= MOST_ERRORS
    finally:
        faults.armed = ""
        if by_hand:
            from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

            FastAPIInstrumentor.uninstrument_app(app)


@pytest.mark.parametrize("function", ["collect_request_attributes", "set_status_code"])
def test_upstreams_middleware_may_be_broken(
    faults: Faults, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    """`set_status_code` is called inside of the application's own `send`."""
    from opentelemetry.instrumentation import asgi

    def broken(*_: Any, **__: Any) -> None:
        raise Ours

    expected = {path: asyncio.run(request(shop(), path)) for path in ("/ok/7", "/error", "/stream")}
    instrumentation.install()
    Boundary("asgi").reset()
    app = asgi.OpenTelemetryMiddleware(shop())
    monkeypatch.setattr(asgi, function, broken)
    for path, answer in expected.items():
        assert asyncio.run(request(app, path)) == answer
    assert Boundary("asgi").errors >= len(expected)
    assert faults.raised == 0


class Closing:
    """The body of a response that must be closed once."""

    def __init__(self, closed: list[str]) -> None:
        self._parts = iter([b"one", b"two"])
        self._closed = closed

    def __iter__(self) -> Closing:
        return self

    def __next__(self) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        self._closed.append("closed")


@pytest.mark.parametrize("path", ["/ok", "/error", "/late"])
@pytest.mark.parametrize("fault", ["", "sampler", "on_start", "on_end", "extract", "hook", "response_hook"])
def test_wsgi_application_is_called_once_and_its_body_is_closed(
    faults: Faults, path: str, fault: str
) -> None:
    from wsgiref.util import setup_testing_defaults

    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    closed: list[str] = []
    calls: list[str] = []

    def application(environ: Any, start_response: Any) -> Any:
        calls.append(environ["PATH_INFO"])
        if path == "/error":
            raise LookupError("the application's own")
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Closing(closed)

    def get(app: Any) -> Outcome:
        environ: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        started: list[Any] = []

        def start_response(*response: Any) -> Any:
            started.append(response)
            return started.append

        body = app(environ, start_response)
        parts = [part for _, part in zip(range(1 if path == "/late" else 9), body, strict=False)]
        close = getattr(body, "close", None)
        if close is not None:
            close()
        return started, parts

    expected = outcome(lambda: get(application))
    bare_calls, bare_closed = len(calls), list(closed)
    instrumentation.install()
    Boundary("wsgi").reset()

    def broken(*_: Any) -> None:
        raise Ours

    app: Any = OpenTelemetryMiddleware(
        application,
        request_hook=broken if fault == "hook" else None,
        response_hook=broken if fault == "response_hook" else None,
    )
    faults.armed = fault
    for number in range(1, 4):
        assert outcome(lambda: get(app)) == expected
        assert len(calls) == bare_calls * (number + 1)
        assert closed == bare_closed * (number + 1)
    assert Boundary("wsgi").errors == (
        0 if not fault or (fault == "response_hook" and path == "/error") else 3
    )


DJANGO = """
    import json, logging, sys
    logging.disable(logging.CRITICAL)
    instrumented = sys.argv[1] == "instrumented"
    from opentelemetry import context, propagate, trace
    from opentelemetry.sdk.trace import TracerProvider
    from otel_kpi import instrumentation
    from otel_kpi.instrumentation.boundary import Boundary
    from support.faults import FAULTS, Faults
    faults = Faults(propagate.get_global_textmap())
    provider = TracerProvider(sampler=faults)
    provider.add_span_processor(faults)
    trace.set_tracer_provider(provider)
    propagate.set_global_textmap(faults)
    if instrumented:
        instrumentation.install()
    from django.conf import settings
    settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="test", MIDDLEWARE=[])
    import django
    from django.http import HttpResponse
    from django.urls import path
    def ok(request):
        return HttpResponse("fine", headers={"X-Case": "Kept"})
    def error(request):
        raise LookupError("the application's own")
    urlpatterns = [path("ok/", ok), path("error/", error)]
    django.setup()
    from django.core.handlers.wsgi import WSGIHandler
    from wsgiref.util import setup_testing_defaults
    handler = WSGIHandler()
    def get(where):
        environ = {"PATH_INFO": where, "HTTP_TRACEPARENT": "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
        setup_testing_defaults(environ)
        started = []
        body = handler(environ, lambda *response: started.append(response))
        answer = [started[0][0], started[0][1], b"".join(body).decode()]
        body.close()
        assert context.get_current() == {}, context.get_current()
        return answer
    answers = []
    for fault in ("", *FAULTS):
        if instrumented:
            Boundary("django").reset()
        faults.armed, faults.raised = fault, 0
        for where in ("/ok/", "/error/", "/missing/"):
            for _ in range(4):
                answers.append(get(where))
        raised = {row.name: row.errors for row in instrumentation.report()}["django"]
        if instrumented and fault not in ("", "inject"):
            assert faults.raised == raised == 10, (fault, faults.raised, raised)
    print(json.dumps(answers))
"""


def test_django_answers_as_without_instrumentation() -> None:
    answers: list[Any] = []
    for how in ("bare", "instrumented"):
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(DJANGO), how],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=Path(__file__).parents[2],  # where `support` is
        )
        assert result.returncode == 0, result.stderr
        answers.append(json.loads(result.stdout))
    assert answers[0] == answers[1]
    assert len(answers[0]) == 12 * (len(FAULTS) + 1)


def test_error_in_a_request_is_said_once(
    faults: Faults, caplog: pytest.LogCaptureFixture, server: str
) -> None:
    instrumentation.install()
    faults.armed = "inject"
    with caplog.at_level(logging.DEBUG, "otel_kpi"):
        with_httpx(f"{server}/ok")
        with_httpx(f"{server}/ok")
    [line] = lines(caplog, "httpx")
    assert line.startswith("httpx: telemetry of a call is lost to an error, the call went on: Ours: inject (")
