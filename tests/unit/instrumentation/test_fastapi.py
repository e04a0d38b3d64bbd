from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import fastapi
import fastapi.applications
import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, StatusCode

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.captured import Captured

_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
_PARENT = "00f067aa0ba902b7"


def get(app: Any, path: str, **headers: str) -> int:
    """Make one request, as a server would: in a context of its own, without a client span around it."""

    async def request() -> int:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await _call(app, path, headers, receive, send)
        return int(sent[0]["status"])

    return asyncio.run(request())


async def _call(
    app: Any,
    path: str,
    headers: dict[str, str],
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    bare, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"shop.test"), *((k.encode(), v.encode()) for k, v in headers.items())],
        "server": ("shop.test", 80),
        "client": ("127.0.0.1", 1),
    }
    await app(scope, receive, send)


def with_item(app: FastAPI | APIRouter) -> Any:
    @app.get("/items/{item_id}")
    async def item(item_id: int) -> dict[str, int]:
        return {"id": item_id}

    assert item
    return app


class Shop(FastAPI):
    """A subclass, as large applications have."""


@pytest.mark.parametrize("cls", [FastAPI, fastapi.FastAPI, fastapi.applications.FastAPI, Shop])
def test_request_is_one_server_span_with_its_route_and_a_metric(
    cls: type[FastAPI], captured: Captured
) -> None:
    app = with_item(cls())
    assert get(app, "/items/7") == 200
    [span] = captured.spans()
    assert (span.kind, span.name) == (SpanKind.SERVER, "GET /items/{item_id}")
    attributes = dict(span.attributes or {})
    assert attributes["http.route"] == "/items/{item_id}"
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.response.status_code"] == 200
    assert (attributes["server.address"], attributes["server.port"]) == ("shop.test", 80)
    routes = {point.attributes.get("http.route") for point in captured.points("http.server.request.duration")}
    assert "/items/{item_id}" in routes


def test_application_made_before_install_is_traced(captured: Captured) -> None:
    instrumentation.uninstall()
    app = with_item(FastAPI())
    instrumentation.install()
    assert get(app, "/items/7") == 200
    assert captured.span(SpanKind.SERVER).name == "GET /items/{item_id}"


def test_mounted_application_is_one_server_span_with_the_whole_route(captured: Captured) -> None:
    app, api = FastAPI(), with_item(FastAPI())
    api.include_router(with_item(APIRouter()), prefix="/v2")
    app.mount("/api/{tenant}", api)
    assert get(app, "/api/acme/items/7") == 200
    assert get(app, "/api/acme/v2/items/7") == 200
    assert [(span.kind, span.name) for span in captured.spans()] == [
        (SpanKind.SERVER, "GET /api/{tenant}/items/{item_id}"),
        (SpanKind.SERVER, "GET /api/{tenant}/v2/items/{item_id}"),
    ]


def test_unknown_path_has_no_route(captured: Captured) -> None:
    assert get(with_item(FastAPI()), "/missing") == 404
    span = captured.span(SpanKind.SERVER)
    assert span.name == "GET"
    assert "http.route" not in (span.attributes or {})


def test_traceparent_that_came_in_is_the_parent(captured: Captured) -> None:
    get(with_item(FastAPI()), "/items/7", traceparent=f"00-{_TRACE}-{_PARENT}-01")
    span = captured.span(SpanKind.SERVER)
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == _TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == _PARENT


def test_request_on_a_connection_with_an_earlier_ones_context_is_not_its_child(captured: Captured) -> None:
    """uvicorn resumes reading inside the first request, and the next ones inherit its context."""
    with trace.get_tracer("test").start_as_current_span("earlier", kind=SpanKind.SERVER) as earlier:
        pass
    token = context.attach(trace.set_span_in_context(earlier))
    try:
        get(with_item(FastAPI()), "/items/7", traceparent=f"00-{_TRACE}-{_PARENT}-01")
    finally:
        context.detach(token)
    span = captured.spans(SpanKind.SERVER)[-1]
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == _TRACE


def test_unhandled_error_is_recorded_and_is_still_the_servers(captured: Captured) -> None:
    app = FastAPI()

    @app.get("/boom")
    async def boom() -> None:
        raise LookupError("no such thing")

    assert boom
    with pytest.raises(LookupError):
        get(app, "/boom")
    span = captured.span(SpanKind.SERVER)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["http.response.status_code"] == 500
    [event] = span.events
    assert (event.attributes or {})["exception.type"] == "LookupError"


def test_error_type_of_an_unhandled_error_is_the_status_on_span_and_metric(captured: Captured) -> None:
    """The conventions leave the choice; the class is on the exception event, and no metric label grows with it."""
    app = FastAPI()

    @app.get("/error-type")
    async def fail() -> None:
        raise LookupError("no such thing")

    assert fail
    with pytest.raises(LookupError):
        get(app, "/error-type")
    assert (captured.span(SpanKind.SERVER).attributes or {})["error.type"] == "500"
    types = [
        point.attributes.get("error.type")
        for point in captured.points("http.server.request.duration")
        if point.attributes.get("http.route") == "/error-type"
    ]
    assert types == ["500"]


def test_websocket_that_only_sends_is_a_handshake_and_a_connection(captured: Captured) -> None:
    app = FastAPI()

    @app.websocket("/feed/{topic}")
    async def feed(socket: WebSocket, topic: str) -> None:
        await socket.accept()
        for _ in range(3):
            await socket.send_text(topic)
        await socket.close()

    assert feed
    sent: list[str] = []

    async def connect() -> None:
        async def receive() -> dict[str, str]:
            return {"type": "websocket.connect"}

        async def send(message: dict[str, str]) -> None:
            sent.append(message["type"])

        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "scheme": "ws",
            "path": "/feed/prices",
            "raw_path": b"/feed/prices",
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"shop.test")],
            "subprotocols": [],
        }
        await cast("Any", app)(scope, receive, send)

    asyncio.run(connect())
    assert sent.count("websocket.send") == 3
    handshake, connection = captured.spans()
    assert (handshake.kind, handshake.name) == (SpanKind.SERVER, "/feed/{topic}")
    assert connection.name == "connection /feed/{topic}"


@pytest.mark.parametrize("path", ["/health", "/healthz", "/health/live", "/readyz", "/metrics", "/-/healthy"])
def test_health_and_metrics_paths_are_not_traced(path: str, captured: Captured) -> None:
    get(with_item(FastAPI()), path)
    assert captured.spans() == []


@pytest.mark.parametrize("path", ["/healthy-recipes", "/articles/health", "/metricsystem"])
def test_paths_that_only_look_like_health_are_traced(path: str, captured: Captured) -> None:
    get(with_item(FastAPI()), path)
    assert len(captured.spans()) == 1


def test_users_excluded_urls_win_over_the_default(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    import opentelemetry.instrumentation.fastapi as upstream
    from opentelemetry.util.http import get_excluded_urls

    monkeypatch.setenv("OTEL_PYTHON_FASTAPI_EXCLUDED_URLS", "items")
    # Upstream reads the variable when it is imported.
    monkeypatch.setattr(upstream, "_excluded_urls_from_env", get_excluded_urls("FASTAPI"))
    app = with_item(FastAPI())
    get(app, "/items/7")
    get(app, "/health")
    assert [span.attributes["url.path"] for span in captured.spans() if span.attributes] == ["/health"]


def test_applications_that_the_user_instrumented_keep_the_users_options(captured: Captured) -> None:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    app = with_item(FastAPI())
    seen: list[str] = []

    def hook(span: trace.Span, _scope: dict[str, Any]) -> None:
        seen.append(type(span).__name__)

    FastAPIInstrumentor.instrument_app(app, server_request_hook=hook, exclude_spans=["receive", "send"])
    assert get(app, "/items/7") == 200
    assert len(captured.spans(SpanKind.SERVER)) == 1
    assert len(seen) == 1
    FastAPIInstrumentor.uninstrument_app(app)


def test_users_asgi_middleware_is_not_doubled(captured: Captured) -> None:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    app = with_item(FastAPI())
    app.add_middleware(OpenTelemetryMiddleware, exclude_spans=["receive", "send"])
    assert get(app, "/items/7") == 200
    assert len(captured.spans()) == 1


def test_background_task_runs_in_the_trace_of_its_request(captured: Captured) -> None:
    app = FastAPI()

    def send_mail() -> None:
        with trace.get_tracer("test").start_as_current_span("mail"):
            pass

    @app.get("/order")
    async def order(tasks: BackgroundTasks) -> str:
        tasks.add_task(send_mail)
        return "ok"

    assert order
    assert get(app, "/order") == 200
    assert len({span.context.trace_id for span in captured.spans() if span.context}) == 1
    assert "mail" in [span.name for span in captured.spans()]


def test_health_leaves_nothing_not_even_its_children(captured: Captured) -> None:
    app = FastAPI()

    @app.get("/healthz")
    async def health() -> str:
        trace.get_tracer("shop").start_span("below").end()
        return "ok"

    assert health
    before = len(captured.points("http.server.request.duration"))
    assert get(app, "/healthz", traceparent=f"00-{_TRACE}-{_PARENT}-01") == 200
    assert captured.spans() == []
    assert len(captured.points("http.server.request.duration")) == before


def test_bytes_in_no_encoding_reach_the_application_and_do_not_end_the_tracing(captured: Captured) -> None:
    """Upstream's middleware raises on them, inside the request."""
    from support.web import converse, scope_of

    app = with_item(FastAPI())
    for _ in range(12):
        scope = scope_of("/items/7?q=\xff\xfe")
        scope["headers"] = [(b"host", b"shop.test"), (b"user-agent", b"\xff\\")]
        assert converse(app, scope, [{"type": "http.request", "body": b""}]).status == 200
    assert [span.name for span in captured.spans(SpanKind.SERVER)] == ["GET /items/{item_id}"] * 12


def test_websocket_says_by_which_code_it_was_closed(captured: Captured) -> None:
    from support.web import converse, scope_of

    app = FastAPI()

    @app.websocket("/rooms/{room}")
    async def rooms(websocket: WebSocket, room: str) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(room + text)

    assert rooms
    incoming = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.disconnect", "code": 4001},
    ]
    converse(app, scope_of("/rooms/blue", kind="websocket"), incoming)
    span = captured.spans()[-1]
    assert span.name == "connection /rooms/{room}"
    assert span.attributes is not None
    assert span.attributes["websocket.close_code"] == 4001
