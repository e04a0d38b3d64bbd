"""A Starlette application: one SERVER span a request, named after its whole route."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.web import ask, converse, scope_of

starlette_applications = pytest.importorskip("starlette.applications")

from starlette.applications import Starlette  # noqa: E402 - skipped above where it is not installed
from starlette.background import BackgroundTask  # noqa: E402
from starlette.exceptions import HTTPException  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402
from starlette.responses import PlainTextResponse, StreamingResponse  # noqa: E402
from starlette.routing import Host, Mount, Route, WebSocketRoute  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.captured import Captured

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


async def item(request: Any) -> PlainTextResponse:
    with trace.get_tracer("shop").start_as_current_span("below"):
        return PlainTextResponse(request.url.path)


async def boom(_request: Any) -> None:
    raise LookupError("no such thing")


async def refused(_request: Any) -> None:
    raise HTTPException(418)


async def rooms(websocket: Any) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def closed_door(websocket: Any) -> None:
    await websocket.close()


def application(**options: Any) -> Starlette:
    return Starlette(
        routes=[
            Route("/items/{number:int}", item),
            Route("/boom", boom),
            Route("/refused", refused),
            Route("/health", item),
            WebSocketRoute("/rooms/{room}", rooms),
            WebSocketRoute("/closed", closed_door),
        ],
        **options,
    )


def test_request_is_named_after_its_route_and_in_the_trace_that_came_in(captured: Captured) -> None:
    assert ask(application(), "/items/7?token=x", **TRACEPARENT).status == 200
    span = captured.span(SpanKind.SERVER)
    assert span.name == "GET /items/{number:int}"
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.attributes is not None
    assert span.attributes["http.route"] == "/items/{number:int}"
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("shop.test", 80)
    below = captured.span(SpanKind.INTERNAL)
    assert below.parent is not None
    assert below.parent.span_id == span.context.span_id


def test_mounted_applications_are_one_span_with_the_whole_route(captured: Captured) -> None:
    app = Starlette(
        routes=[
            Mount("/api", Starlette(routes=[Mount("/v1", application())])),
            Host("shop.test", Starlette(routes=[Mount("/hosted", application())])),
        ]
    )
    assert ask(app, "/api/v1/items/7").status == 200
    assert ask(app, "/hosted/items/7").status == 200
    assert [span.name for span in captured.spans(SpanKind.SERVER)] == [
        "GET /api/v1/items/{number:int}",
        "GET /hosted/items/{number:int}",
    ]


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/missing/" + "x" * 5000, 404, "GET"),
        ("POST", "/items/7", 405, "POST /items/{number:int}"),
        ("HEAD", "/items/7", 200, "HEAD /items/{number:int}"),
        ("OPTIONS", "/items/7", 405, "OPTIONS /items/{number:int}"),
        ("BREW", "/items/7", 405, "HTTP /items/{number:int}"),
        ("GET", "/refused", 418, "GET /refused"),
    ],
)
def test_names_hold_no_value_of_the_request(
    captured: Captured, method: str, path: str, status: int, name: str
) -> None:
    assert ask(application(), path, method).status == status
    span = captured.span(SpanKind.SERVER)
    assert span.name == name
    assert span.status.status_code is StatusCode.UNSET
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == status


@pytest.mark.parametrize("whose", ["the application's", "Starlette's"])
def test_error_is_on_the_span_once_whoever_answers(captured: Captured, whose: str) -> None:
    async def answer(_request: Any, _error: Exception) -> PlainTextResponse:
        return PlainTextResponse("sorry", status_code=500)

    app = application(exception_handlers={Exception: answer} if whose == "the application's" else {})
    with pytest.raises(LookupError):
        ask(app, "/boom")
    span = captured.span(SpanKind.SERVER)
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    assert span.attributes is not None
    assert span.attributes["error.type"] == "500"
    # Points of the tests before are there, too.
    points = captured.points("http.server.request.duration")
    failed = [point.attributes for point in points if "error.type" in point.attributes]
    assert "/boom" in [attributes.get("http.route") for attributes in failed]


def test_background_task_is_after_the_request_and_in_its_trace(captured: Captured) -> None:
    ended_before: list[int] = []

    async def task() -> None:
        ended_before.append(len(captured.spans(SpanKind.SERVER)))
        trace.get_tracer("shop").start_span("task").end()

    async def handle(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(task))

    assert ask(Starlette(routes=[Route("/", handle)]), "/").status == 200
    assert ended_before == [1]
    server = captured.span(SpanKind.SERVER)
    assert all(span.parent for span in captured.spans(SpanKind.INTERNAL))
    assert {span.context.trace_id for span in captured.spans() if span.context} == {
        server.context.trace_id if server.context else 0
    }


def test_streamed_response_is_inside_the_request(captured: Captured) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for number in range(3):
            trace.get_tracer("shop").start_span(f"part {number}").end()
            yield b"x"

    async def handle(_request: Any) -> StreamingResponse:
        return StreamingResponse(parts())

    assert ask(Starlette(routes=[Route("/", handle)]), "/").body == b"xxx"
    server = captured.span(SpanKind.SERVER)
    children = captured.spans(SpanKind.INTERNAL)
    assert len(children) == 3
    assert all((child.end_time or 0) <= (server.end_time or 0) for child in children)
    assert {child.parent.span_id for child in children if child.parent} == {
        server.context.span_id if server.context else 0
    }


@pytest.mark.parametrize("path", ["/health", "/health/", "/health?full=1"])
def test_health_leaves_nothing_not_even_its_children(captured: Captured, path: str) -> None:
    before = len(captured.points("http.server.request.duration"))
    ask(application(), path)
    assert captured.spans() == []
    assert len(captured.points("http.server.request.duration")) == before


def test_user_says_which_paths_are_not_traced(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_STARLETTE_EXCLUDED_URLS", "items/1$")
    app = application()
    ask(app, "/health")
    ask(app, "/items/1")
    ask(app, "/items/2")
    assert [span.name for span in captured.spans(SpanKind.SERVER)] == [
        "GET /health",
        "GET /items/{number:int}",
    ]


def test_websocket_is_a_handshake_and_a_connection_with_its_close_code(captured: Captured) -> None:
    messages = [{"type": "websocket.receive", "text": "hello"}] * 3
    end = {"type": "websocket.disconnect", "code": 4001}
    converse(
        application(),
        scope_of("/rooms/blue", kind="websocket"),
        [{"type": "websocket.connect"}, *messages, end],
    )
    handshake, connection = captured.spans()
    assert (handshake.kind, handshake.name) == (SpanKind.SERVER, "/rooms/{room}")
    assert handshake.attributes is not None
    assert connection.attributes is not None
    assert handshake.attributes["http.response.status_code"] == 101
    assert (connection.name, connection.parent) == ("connection /rooms/{room}", handshake.context)
    assert connection.attributes["websocket.close_code"] == 4001
    assert {span.status.status_code for span in (handshake, connection)} == {StatusCode.UNSET}


def test_websocket_that_is_refused_is_a_403(captured: Captured) -> None:
    converse(application(), scope_of("/closed", kind="websocket"), [{"type": "websocket.connect"}])
    [span] = captured.spans()
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 403


def test_application_that_the_user_instrumented_has_the_users_span_alone(captured: Captured) -> None:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    app = application(middleware=[Middleware(OpenTelemetryMiddleware, exclude_spans=["send", "receive"])])
    assert ask(app, "/items/7").status == 200
    span = captured.span(SpanKind.SERVER)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.asgi"


def test_cancelled_request_ends_its_span_without_an_error(captured: Captured) -> None:
    async def wait(_request: Any) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        ask(Starlette(routes=[Route("/", wait)]), "/")
    span = captured.span(SpanKind.SERVER)
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()


def test_bytes_in_no_encoding_reach_the_application_and_do_not_end_the_tracing(captured: Captured) -> None:
    async def bare(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.scope["query_string"])

    app = Starlette(routes=[Route("/", bare)])
    for _ in range(12):
        scope = scope_of("/?q=\xff\xfe")
        scope["headers"] = [(b"host", b"shop.test"), (b"user-agent", b"\xff\\"), (b"traceparent", b"\xff\\")]
        assert converse(app, scope, []).body == b"q=\xff\xfe"
    assert [span.name for span in captured.spans(SpanKind.SERVER)] == ["GET /"] * 12
