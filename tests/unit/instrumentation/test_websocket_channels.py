"""What a Channels consumer dispatches: errors of ours never reach it, and without a connection nothing happens.

That its messages are traced is shown with real servers, in tests/process/test_websockets.py.
"""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.measured import Measured, measured
from support.web import converse, scope_of

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers.asgi import Traced
from otel_kpi.instrumentation.websockets import channels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured


@pytest.fixture(autouse=True)
def _boundary() -> Iterator[None]:
    Boundary("channels").reset()
    yield
    Boundary("channels").reset()


@pytest.fixture
def series() -> Iterator[Measured]:
    with measured() as found:
        yield found


class StopConsumer(Exception):  # noqa: N818 - Channels' name
    pass


async def _handle(message: Any) -> str:
    with trace.get_tracer("shop").start_as_current_span("below"):
        await asyncio.sleep(0)
    if message["type"] == "room.boom":
        raise LookupError
    if message["type"] == "websocket.disconnect":
        raise StopConsumer
    return "handled"


async def consumer(_scope: Any, receive: Any, send: Any) -> None:
    """What a consumer does with a connection: each message is received in a task, and dispatched in another."""

    async def dispatch(message: Any) -> str:
        return await channels._dispatch(_handle, SimpleNamespace(), (message,), {})

    await asyncio.create_task(receive())
    await send({"type": "websocket.accept"})
    while True:
        message = await asyncio.create_task(receive())
        try:
            assert await dispatch(message) == "handled"
        except StopConsumer:
            return
        if message.get("text"):
            await dispatch({"type": message["text"]})


def serve(*texts: str) -> None:
    incoming: list[dict[str, Any]] = [{"type": "websocket.connect"}]
    incoming += [{"type": "websocket.receive", "text": text} for text in texts]
    incoming.append({"type": "websocket.disconnect", "code": 1000})
    converse(Traced(consumer, "asgi"), scope_of("/", kind="websocket"), incoming)


def test_message_of_a_client_of_the_layer_and_the_end_are_a_trace_each(
    captured: Captured, series: Measured
) -> None:
    serve("room.event")
    units = [span for span in captured.spans() if span.links]
    assert [(span.name, span.kind) for span in units] == [
        ("message", SpanKind.CONSUMER),
        ("message room.event", SpanKind.CONSUMER),
        ("disconnect", SpanKind.INTERNAL),
    ]
    below = [span for span in captured.spans() if span.name == "below"]
    assert [span.parent for span in below] == [span.context for span in units]
    assert captured.spans()[-1].status.status_code is StatusCode.UNSET, "a consumer that stops is no error"
    assert series.value("kpi_websocket_messages_total", network_io_direction="receive") == 1


def test_error_of_a_handler_is_one_event_and_ends_the_connection(
    captured: Captured, series: Measured
) -> None:
    with pytest.raises(LookupError):
        serve("room.boom")
    ours = [span for span in captured.spans() if span.name != "below"]
    assert [(span.name, len(span.events)) for span in ours if span.events] == [("message room.boom", 1)]
    assert ours[-1].status.status_code is StatusCode.ERROR
    assert series.value("kpi_websocket_errors_total", error_type="LookupError") == 1


@pytest.mark.parametrize("message", [None, {}, {"type": None}, object(), "text"])
def test_message_that_is_none_is_handed_on_as_it_is(message: Any) -> None:
    handed: list[Any] = []

    async def handle(given: Any) -> str:
        handed.append(given)
        return "handled"

    assert asyncio.run(channels._dispatch(handle, SimpleNamespace(), (message,), {})) == "handled"
    assert handed == [message]


def test_error_of_ours_does_not_reach_a_consumer(
    captured: Captured, series: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object) -> None:
        raise ZeroDivisionError("ours")

    # The failure is planted in our own code, which is what is under test.
    monkeypatch.setattr(channels, "_begin", explode)
    serve("room.event", "room.event")
    assert Boundary("channels").errors == 5
    assert len([span for span in captured.spans() if span.name == "below"]) == 5
    assert series.value("kpi_websocket_active_connections") == 0


def test_router_that_cannot_be_read_routes_all_the_same(captured: Captured) -> None:
    class Router:
        @property
        def routes(self) -> Any:
            raise ZeroDivisionError("not ours")

    routed: list[Any] = []

    async def call(scope: Any, _receive: Any, _send: Any) -> None:
        routed.append(scope["path"])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await channels._call_router(call, Router(), (scope, receive, send), {})

    converse(Traced(app, "asgi"), scope_of("/rooms/7/", kind="websocket"), [])
    assert routed == ["/rooms/7/"]
    assert captured.span(SpanKind.SERVER).name == "websocket"
    assert Boundary("channels").errors == 1
