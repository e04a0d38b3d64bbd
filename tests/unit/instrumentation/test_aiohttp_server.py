"""aiohttp's server: one SERVER span for a request, whatever is mounted in what."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured

TRACE = 0x0AF7651916CD43DD8448EB211C80319C
CALLER = {"traceparent": f"00-{TRACE:032x}-b7ad6b7169203331-01"}
_tracer = trace.get_tracer("shop")


async def item(request: web.Request) -> web.Response:
    with _tracer.start_as_current_span("inside"):
        logging.getLogger("shop").warning("item %s", request.match_info.get("number"))
    return web.Response(text="item")


async def boom(_request: web.Request) -> web.Response:
    raise LookupError("nothing there")


async def refused(_request: web.Request) -> web.Response:
    raise web.HTTPForbidden


async def streamed(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"four")
    with _tracer.start_as_current_span("inside"):
        await response.write(b"more")
    return response


async def room(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        await socket.send_str(message.data)
    return socket


def application() -> web.Application:
    inner = web.Application()
    inner.router.add_get("/items/{number}", item)
    middle = web.Application()
    middle.add_subapp("/shop", inner)
    outer = web.Application()
    outer.router.add_get("/", item)
    outer.router.add_get("/health", item)
    outer.router.add_get(r"/orders/{number:\d+}", item)
    outer.router.add_get("/boom", boom)
    outer.router.add_get("/refused", refused)
    outer.router.add_get("/stream", streamed)
    outer.router.add_get("/rooms/{room}", room)
    outer.add_subapp("/v1", middle)
    return outer


def serve(visit: Callable[[int], Any], app: web.Application | None = None) -> None:
    """Serve while `visit` runs in a thread, which has no context of ours."""

    async def run() -> None:
        runner = web.AppRunner(app or application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            port = runner.addresses[0][1]
            await asyncio.get_running_loop().run_in_executor(None, visit, port)
        finally:
            await runner.cleanup()

    asyncio.run(run())


def get(*paths: str, headers: dict[str, str] | None = None) -> list[int]:
    """Ask for paths on one connection; give the statuses."""
    statuses: list[int] = []

    def visit(port: int) -> None:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            for path in paths:
                connection.request("GET", path, headers=headers or {})
                response = connection.getresponse()
                response.read()
                statuses.append(response.status)

    serve(visit)
    return statuses


def servers(captured: Captured) -> list[ReadableSpan]:
    return captured.spans(SpanKind.SERVER)


def ids(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def counted(captured: Captured, route: str) -> int:
    points = captured.points("http.server.request.duration")
    return sum(point.count for point in points if point.attributes.get("http.route") == route)


@pytest.fixture
def access_lines() -> Iterator[None]:
    logger = logging.getLogger("aiohttp.access")
    level = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(level)


def test_request_through_two_mounts_is_one_server_span_with_the_whole_route(captured: Captured) -> None:
    route = "/v1/shop/items/{number}"
    before = counted(captured, route)
    assert get("/v1/shop/items/7?page=2", headers=CALLER) == [200]
    [span] = servers(captured)
    assert span.name == f"GET {route}"
    assert span.context is not None
    assert span.context.trace_id == TRACE
    assert span.parent is not None
    assert span.parent.is_remote
    attributes = dict(span.attributes or {})
    assert attributes["http.route"] == route
    assert (attributes["http.request.method"], attributes["http.response.status_code"]) == ("GET", 200)
    assert (attributes["url.path"], attributes["url.query"]) == ("/v1/shop/items/7", "page=2")
    assert attributes["server.address"] == "127.0.0.1"
    assert attributes["client.address"] == "127.0.0.1"
    assert isinstance(attributes["server.port"], int)
    [inside] = captured.spans(SpanKind.INTERNAL)
    assert inside.parent is not None
    assert inside.parent.span_id == span.context.span_id
    assert counted(captured, route) == before + 1


def test_names_hold_no_value_of_a_request(captured: Captured) -> None:
    assert get("/orders/7", "/orders/x7", "/nowhere/8", "/") == [200, 404, 404, 200]
    assert [span.name for span in servers(captured)] == ["GET /orders/{number}", "GET", "GET", "GET /"]


def test_health_is_not_traced_nor_is_what_it_does(captured: Captured) -> None:
    before = len(captured.points("http.server.request.duration"))
    assert get("/health", headers=CALLER) == [200]
    assert captured.spans() == []
    assert len(captured.points("http.server.request.duration")) == before
    assert [record.body for record in captured.logs()] == ["item None"]


def test_requests_on_one_connection_are_traces_of_their_own(captured: Captured) -> None:
    with _tracer.start_as_current_span("start of the server"):
        assert get("/orders/1", "/health", "/orders/2") == [200, 200, 200]
    first, second = servers(captured)
    assert (first.parent, second.parent) == (None, None)
    assert ids(first)[0] != ids(second)[0]


def test_error_is_recorded_once_and_a_response_that_is_raised_is_none(captured: Captured) -> None:
    assert get("/boom", "/refused") == [500, 403]
    failed, refused = servers(captured)
    assert failed.status.status_code is StatusCode.ERROR
    assert [event.name for event in failed.events] == ["exception"]
    assert (failed.attributes or {})["error.type"] == "500"
    assert (refused.status.status_code, list(refused.events)) == (StatusCode.UNSET, [])
    assert (refused.attributes or {})["http.response.status_code"] == 403
    # What the server says of it belongs to the request.
    [record] = [record for record in captured.logs() if str(record.body).startswith("Error handling")]
    assert (record.trace_id, record.span_id) == ids(failed)


@pytest.mark.usefixtures("access_lines")
def test_access_lines_are_in_the_trace_of_their_request(captured: Captured) -> None:
    assert get("/orders/1", "/health", "/boom") == [200, 200, 500]
    order, failed = servers(captured)
    lines = [record for record in captured.logs() if '"GET /' in str(record.body)]
    assert len(lines) == 3
    assert [(line.trace_id, line.span_id) for line in (lines[0], lines[2])] == [ids(order), ids(failed)]
    assert ids(order)[0] != lines[1].trace_id != ids(failed)[0]


def test_streamed_response_is_inside(captured: Captured) -> None:
    assert get("/stream") == [200]
    [span], [inside] = servers(captured), captured.spans(SpanKind.INTERNAL)
    assert inside.parent is not None
    assert inside.parent.span_id == ids(span)[1]
    assert span.end_time is not None
    assert inside.end_time is not None
    assert span.end_time >= inside.end_time


def test_websocket_is_one_span_from_handshake_to_end(captured: Captured) -> None:
    def visit(port: int) -> None:
        async def talk() -> None:
            url = f"http://127.0.0.1:{port}/rooms/red"
            async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
                for _ in range(3):
                    await socket.send_str("hello")
                    assert await socket.receive_str() == "hello"
                await socket.close(code=4001)

        asyncio.run(talk())

    serve(visit)
    [span] = servers(captured)
    assert span.name == "/rooms/{room}"
    attributes = dict(span.attributes or {})
    assert (attributes["http.response.status_code"], attributes["websocket.close_code"]) == (101, 4001)
    assert counted(captured, "/rooms/{room}") == 0


def test_request_that_the_server_cannot_read_is_answered_as_ever(captured: Captured) -> None:
    answers: list[bytes] = []

    def visit(port: int) -> None:
        import socket

        for request in (
            b"NONSENSE\r\n\r\n",
            b"GET /orders/7?\xff=\xfe HTTP/1.1\r\nHost: \xff\r\nX: \xff\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", port), 5) as connection:
                connection.sendall(request)
                answers.append(connection.recv(100))

    serve(visit)
    assert [answer[:12] for answer in answers] == [b"HTTP/1.0 400", b"HTTP/1.0 400"]
    instrumentation.uninstall()
    plain, answers = answers, []
    serve(visit)
    assert [answer[:12] for answer in plain] == [answer[:12] for answer in answers]
    assert all(span.status.status_code is StatusCode.UNSET for span in servers(captured))


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")  # by upstream's
def test_application_that_the_user_instrumented_is_left_alone(captured: Captured) -> None:
    from opentelemetry.instrumentation.aiohttp_server import AioHttpServerInstrumentor

    AioHttpServerInstrumentor().instrument(skip_dep_check=True)
    try:
        assert get("/orders/7") == [200]
    finally:
        AioHttpServerInstrumentor().uninstrument()
    assert [span.instrumentation_scope.name for span in servers(captured) if span.instrumentation_scope] == [
        "opentelemetry.instrumentation.aiohttp_server"
    ]


def test_uninstrumented_server_is_as_it_was(captured: Captured) -> None:
    instrumentation.uninstall()
    assert get("/orders/7", "/boom") == [200, 500]
    assert servers(captured) == []


def test_error_of_ours_costs_the_span_and_not_the_request(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.servers import server_address

    def broken(_scope: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(server_address, "of_scope", broken)
    try:
        assert get(*["/orders/7"] * 12) == [200] * 12
        assert not Boundary("aiohttp-server").open
    finally:
        Boundary("aiohttp-server").reset()
    assert servers(captured) == []
