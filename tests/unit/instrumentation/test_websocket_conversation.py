"""A WebSocket of an ASGI application: a handshake that is seen at once, a trace for each message, exact counts."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.measured import Measured, measured
from support.pace import slowdown
from support.web import Answer, converse, scope_of

from otel_kpi import websocket
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers.asgi import Traced
from otel_kpi.instrumentation.websockets import conversation, traces, units
from otel_kpi.instrumentation.websockets.choices import CHOICES
from otel_kpi.packs.websocket import levels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured

ACTIVE = "kpi_websocket_active_connections"
CONNECT = {"type": "websocket.connect"}
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def series(captured: Captured) -> Iterator[Measured]:
    del captured
    levels._after_fork()  # what another test said of filters
    with measured() as found:
        yield found


@pytest.fixture(autouse=True)
def _choices() -> Iterator[None]:
    before = vars(CHOICES).copy()
    yield
    vars(CHOICES).update(before)


def message(text: str = "hello") -> dict[str, Any]:
    return {"type": "websocket.receive", "text": text}


def gone(code: int = 1001) -> dict[str, Any]:
    return {"type": "websocket.disconnect", "code": code}


def look(name: str = "below") -> None:
    """What user code does that is seen: a span."""
    with trace.get_tracer("shop").start_as_current_span(name):
        pass


def serve(app: Any, *incoming: dict[str, Any]) -> Answer:
    return converse(Traced(app, "asgi"), scope_of("/rooms/blue", kind="websocket"), [CONNECT, *incoming])


async def accept(receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})


def echo(handle: Callable[[str], None] = lambda _text: None) -> Any:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        while (received := await receive())["type"] == "websocket.receive":
            handle(received.get("text") or "")
            await send({"type": "websocket.send", "text": "hé!"})

    return app


def named(captured: Captured, *names: str) -> list[ReadableSpan]:
    return [span for span in captured.spans() if span.name in names]


def links(span: ReadableSpan) -> dict[str, trace.SpanContext]:
    return {str((link.attributes or {})["kpi.websocket.link"]): link.context for link in span.links}


def test_handshake_is_seen_while_the_connection_is_open(captured: Captured, series: Measured) -> None:
    seen: list[tuple[list[str], Any]] = []

    def handle(_text: str) -> None:
        seen.append(([span.name for span in captured.spans()], series.value(ACTIVE)))

    serve(echo(handle), message(), gone())
    assert seen == [(["websocket"], 1)]
    assert series.value(ACTIVE) == 0


def test_each_message_in_which_something_happens_is_a_trace_linked_to_the_handshake(
    captured: Captured,
) -> None:
    serve(
        echo(lambda text: look() if text == "look" else None),
        message("look"),
        message("no"),
        message("look"),
        gone(),
    )
    [handshake] = captured.spans(SpanKind.SERVER)
    messages = named(captured, "message")
    assert [span.kind for span in messages] == [SpanKind.CONSUMER] * 2
    assert [(span.attributes or {})["kpi.websocket.message.number"] for span in messages] == [1, 3]
    assert [(span.attributes or {})["websocket.message.size"] for span in messages] == [4, 4]
    assert [links(span) for span in messages] == [{"handshake": handshake.context}] * 2
    assert [span.parent for span in messages] == [None, None]
    assert [span.parent for span in named(captured, "below")] == [span.context for span in messages]
    assert len({span.context.trace_id for span in (handshake, *messages) if span.context}) == 3


def test_connection_is_a_span_below_the_handshake_with_what_came_and_went(
    captured: Captured, series: Measured
) -> None:
    serve(echo(), message("hé"), {"type": "websocket.receive", "bytes": b"\x00" * 10}, gone(4001))
    [point] = series.points("kpi_websocket_connection_duration_seconds").values()
    handshake, connection = captured.spans()
    assert (connection.name, connection.kind, connection.parent) == (
        "connection",
        SpanKind.INTERNAL,
        handshake.context,
    )
    attributes = dict(connection.attributes or {})
    assert attributes.pop("kpi.websocket.duration") > 0  # type: ignore[operator] # it is a number
    assert attributes == {
        "kpi.websocket.messages.received": 2,
        "kpi.websocket.messages.sent": 2,
        "kpi.websocket.bytes.received": 13,
        "kpi.websocket.bytes.sent": 8,
        "websocket.close_code": 4001,
        "kpi.websocket.close.by": "client",
    }
    for direction, count, size in (("receive", 2, 13), ("transmit", 2, 8)):
        assert series.value("kpi_websocket_messages_total", network_io_direction=direction) == count
        assert series.value("kpi_websocket_io_bytes_total", network_io_direction=direction) == size
    closed = {"kpi_websocket_close_class": "application", "kpi_websocket_close_by": "client"}
    assert series.value("kpi_websocket_closes_total", **closed) == 1
    assert series.value("kpi_websocket_handshakes_total", kpi_websocket_handshake_result="accepted") == 1
    assert point.count == 1
    assert [each.trace_id for each in point.exemplars] == [handshake.context.trace_id]  # type: ignore[union-attr] # it has been made


# --- how a connection ends


async def closes(_scope: Any, receive: Any, send: Any) -> None:
    await accept(receive, send)
    await send({"type": "websocket.close", "code": 1008})


async def returns(_scope: Any, receive: Any, send: Any) -> None:
    await accept(receive, send)


async def fails(_scope: Any, receive: Any, send: Any) -> None:
    await accept(receive, send)
    raise LookupError("no such room")


async def is_cancelled(_scope: Any, receive: Any, send: Any) -> None:
    await accept(receive, send)
    raise asyncio.CancelledError


async def exits(_scope: Any, receive: Any, send: Any) -> None:
    await accept(receive, send)
    raise SystemExit(3)


class WebSocketDisconnect(Exception):  # noqa: N818 - Starlette's name
    code = 1001


async def lets_the_end_through(_scope: Any, receive: Any, send: Any) -> None:
    await accept(receive, send)
    await receive()
    raise WebSocketDisconnect


async def sends_to_nobody(_scope: Any, receive: Any, send: Any) -> None:
    await accept(receive, send)
    await send({"type": "websocket.send", "text": "no"})


@pytest.mark.parametrize(
    ("app", "incoming", "end", "error"),
    [
        (echo(), [gone()], ("client", "going_away"), None),
        (echo(), [gone(1012)], ("server", "restart"), None),
        (echo(), [{"type": "websocket.disconnect"}], ("client", "no_status"), None),
        (closes, [], ("server", "policy"), None),
        (returns, [], ("server", "normal"), None),
        (fails, [], ("server", "error"), LookupError),
        (is_cancelled, [], ("server", "going_away"), asyncio.CancelledError),
        (exits, [], ("server", "going_away"), SystemExit),
        (lets_the_end_through, [gone(1000)], ("client", "normal"), WebSocketDisconnect),
    ],
)
def test_connection_is_no_longer_active_however_it_ended(
    app: Any,
    incoming: list[dict[str, Any]],
    end: tuple[str, str],
    error: type[BaseException] | None,
    series: Measured,
) -> None:
    if error is None:
        serve(app, *incoming)
    else:
        with pytest.raises(error):
            serve(app, *incoming)
    assert series.value(ACTIVE) == 0
    labels = zip(("kpi_websocket_close_by", "kpi_websocket_close_class"), end, strict=True)
    assert series.labels("kpi_websocket_closes_total") == {tuple(labels)}
    errors = series.labels("kpi_websocket_errors_total")
    assert errors == ({(("error_type", "LookupError"),)} if error is LookupError else set())


def test_error_is_one_event_where_it_was_raised_and_the_connection_says_so(
    captured: Captured, series: Measured
) -> None:
    def fail(_text: str) -> None:
        raise LookupError("no such room")

    with pytest.raises(LookupError):
        serve(echo(fail), message())
    handshake, handled, connection = captured.spans()
    assert [len(span.events) for span in (handshake, handled, connection)] == [0, 1, 0]
    statuses = [span.status.status_code for span in (handshake, handled, connection)]
    assert statuses == [StatusCode.UNSET, StatusCode.ERROR, StatusCode.ERROR]
    assert (connection.attributes or {})["error.type"] == "LookupError"
    assert series.value("kpi_websocket_errors_total", error_type="LookupError") == 1


def test_client_that_is_gone_when_something_is_sent_is_no_error(captured: Captured, series: Measured) -> None:
    async def call() -> None:
        incoming = [CONNECT]

        async def receive() -> Any:
            return incoming.pop()

        async def send(sent: Any) -> None:
            if sent["type"] == "websocket.send":
                raise BrokenPipeError

        with pytest.raises(BrokenPipeError):
            await Traced(sends_to_nobody, "asgi")(scope_of("/", kind="websocket"), receive, send)

    asyncio.run(call())
    labels = (("kpi_websocket_close_by", "client"), ("kpi_websocket_close_class", "abnormal"))
    assert series.labels("kpi_websocket_closes_total") == {labels}
    assert series.labels("kpi_websocket_errors_total") == set()
    assert captured.spans()[-1].status.status_code is StatusCode.UNSET


async def rejects(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    look()
    await send({"type": "websocket.close"})


async def rejects_with_reason(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"who are you?"})


async def fails_first(_scope: Any, receive: Any, _send: Any) -> None:
    await receive()
    raise LookupError


async def waits(_scope: Any, receive: Any, _send: Any) -> None:
    await receive()
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("app", "result", "status"),
    [
        (rejects, "rejected", 403),
        (rejects_with_reason, "rejected", 401),
        (fails_first, "error", 500),
        (waits, "abandoned", None),
    ],
)
def test_handshake_that_is_not_accepted_is_no_connection(
    app: Any, result: str, status: int | None, captured: Captured, series: Measured
) -> None:
    with contextlib.suppress(LookupError, asyncio.CancelledError):
        serve(app)
    handshake = captured.span(SpanKind.SERVER)
    assert (handshake.attributes or {}).get("http.response.status_code") == status
    assert series.value(ACTIVE) == 0
    assert series.value("kpi_websocket_handshakes_total", kpi_websocket_handshake_result=result) == 1
    assert series.labels("kpi_websocket_closes_total") == set()
    assert [span.parent for span in named(captured, "below")] == [handshake.context] * len(
        named(captured, "below")
    )


# --- what belongs to which trace


def test_push_is_a_trace_up_to_the_next_thing_that_is_sent(captured: Captured) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        for _ in range(3):
            look("query")
            look("query")
            await send({"type": "websocket.send", "text": "tick"})

    serve(app)
    [handshake] = captured.spans(SpanKind.SERVER)
    pushes = named(captured, "push")
    assert [links(span) for span in pushes] == [{"handshake": handshake.context}] * 3
    parents = [span.parent for span in named(captured, "query")]
    assert parents == [span.context for span in pushes for _ in range(2)]


def test_task_that_pushes_beside_the_one_that_reads_has_traces_of_its_own(captured: Captured) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        handled, pushed = asyncio.Event(), asyncio.Event()

        async def read() -> None:
            await receive()
            look("handled")
            handled.set()
            await pushed.wait()
            look("handled")

        async def write() -> None:
            await handled.wait()
            look("pushed")
            await send({"type": "websocket.send", "text": "tick"})
            pushed.set()

        await asyncio.gather(read(), write())

    serve(app, message())
    [handled] = named(captured, "message")
    [push] = named(captured, "push")
    assert [span.parent for span in named(captured, "handled")] == [handled.context] * 2
    assert [span.parent for span in named(captured, "pushed")] == [push.context]


def test_loop_that_a_message_began_leaves_its_trace_when_the_message_is_over(captured: Captured) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        await receive()
        ticks = 0

        async def feed() -> None:
            nonlocal ticks
            while ticks < 4:
                look(f"tick {ticks}")
                await send({"type": "websocket.send", "text": "tick"})
                ticks += 1
                await asyncio.sleep(0)

        task = asyncio.create_task(feed())
        await asyncio.sleep(0)
        await receive()
        await task

    serve(app, message("subscribe"), message("more"))
    ids = {
        span.name: span.parent.trace_id if span.parent else None
        for span in captured.spans()
        if span.name.startswith("tick")
    }
    first = named(captured, "message")[0]
    assert first.context is not None
    assert ids["tick 0"] == first.context.trace_id
    assert first.context.trace_id not in {ids["tick 2"], ids["tick 3"]}
    assert ids["tick 2"] != ids["tick 3"], "each push is a trace of its own"


def test_message_that_is_received_in_a_task_of_its_own_is_still_the_one_that_is_handled(
    captured: Captured,
) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        for _ in range(2):
            await asyncio.create_task(receive())  # as `asyncio.wait_for` does on Python 3.11
            look()

    serve(app, message("a"), message("b"))
    assert [span.parent for span in named(captured, "below")] == [
        span.context for span in named(captured, "message")
    ]
    assert len(named(captured, "message")) == 2


def test_background_task_of_a_message_stays_in_its_trace_for_a_while(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        await receive()
        look("first")
        again = asyncio.Event()

        async def later() -> None:
            await again.wait()
            look("within a minute")
            monkeypatch.setattr(units, "GRACE", -1.0)
            look("much later")

        task = asyncio.create_task(later())
        await receive()
        again.set()
        await task

    serve(app, message(), message())
    [first], [soon], [late] = (named(captured, name) for name in ("first", "within a minute", "much later"))
    assert soon.parent == first.parent
    assert late.parent == named(captured, "push")[0].context


def test_what_is_done_after_the_end_is_a_trace_of_its_own_too(captured: Captured) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await echo()(scope, receive, send)
        look("clean up")

    serve(app, gone())
    [clean_up] = named(captured, "clean up")
    assert clean_up.parent == named(captured, "disconnect")[0].context


def test_log_record_of_a_message_is_in_its_trace(captured: Captured) -> None:
    logger = logging.getLogger("shop.rooms")
    serve(echo(lambda text: logger.warning("got %s", text)), message(), gone())
    [handled] = named(captured, "message")
    [log] = [each for each in captured.logs() if each.body == "got hello"]
    assert handled.context is not None
    assert (log.trace_id, log.span_id) == (handled.context.trace_id, handled.context.span_id)


def test_application_says_what_a_message_is_and_who_sent_it(captured: Captured, series: Measured) -> None:
    def handle(text: str) -> None:
        with websocket.message(text, {"traceparent": TRACEPARENT}):
            look()

    serve(echo(handle), message("order"), gone())
    [handled] = named(captured, "message order")
    assert captured.span(SpanKind.CONSUMER) is handled, "one span for the message, not two"
    assert (handled.attributes or {})["kpi.websocket.event.type"] == "order"
    assert set(links(handled)) == {"handshake", "sender"}
    assert f"{links(handled)['sender'].trace_id:032x}" == TRACEPARENT.split("-")[1]
    assert series.value("kpi_websocket_message_duration_seconds", kpi_websocket_event_type="order")[0] == 1


def test_error_that_the_application_handles_is_on_the_message(captured: Captured) -> None:
    def handle(text: str) -> None:
        with contextlib.suppress(LookupError), websocket.message(text):
            raise LookupError

    serve(echo(handle), message("order"), gone())
    [handled] = named(captured, "message order")
    assert (handled.status.status_code, len(handled.events)) == (StatusCode.ERROR, 1)


# --- how many spans


def test_chatty_connection_has_a_hundred_messages_with_a_span_and_counts_the_rest(
    captured: Captured, series: Measured
) -> None:
    serve(echo(lambda _text: look()), *[message()] * 1000, gone())
    # One more when the first after the hundred comes: from then on there is one in ten seconds.
    assert len(named(captured, "message")) == len(named(captured, "below")) == 101
    assert series.value("kpi_websocket_untraced_messages_total") == 899
    assert series.value("kpi_websocket_messages_total", network_io_direction="receive") == 1000
    assert (captured.spans()[-1].attributes or {})["kpi.websocket.messages.untraced"] == 899


def test_message_that_nobody_looks_at_has_no_span_and_uses_up_no_budget(
    captured: Captured, series: Measured
) -> None:
    serve(echo(), *[message()] * 1000, gone())
    assert [span.name for span in captured.spans()] == ["websocket", "connection"]
    assert series.value("kpi_websocket_untraced_messages_total") == 0


def test_budget_gives_one_span_in_ten_seconds_when_it_is_used_up() -> None:
    budget = units.Budget(2)
    taken = [now for now in range(100, 150) if budget.take(now)]
    assert taken == [100, 101, 102, 112, 122, 132, 142]


def test_spans_can_be_one_connection_with_all_below_it(captured: Captured, series: Measured) -> None:
    CHOICES.spans = "connection"
    serve(echo(lambda _text: look()), message(), message(), gone(4001))
    [whole] = captured.spans(SpanKind.SERVER)
    assert [span.name for span in captured.spans()] == ["below", "below", "websocket"]
    assert [span.parent for span in named(captured, "below")] == [whole.context] * 2
    assert whole.attributes is not None
    assert whole.attributes["websocket.close_code"] == 4001
    assert whole.attributes["kpi.websocket.messages.received"] == 2
    assert series.value(ACTIVE) == 0


def test_spans_of_messages_can_be_off(captured: Captured, series: Measured) -> None:
    CHOICES.spans = "off"
    serve(echo(lambda _text: look()), message(), gone())
    assert [span.name for span in captured.spans()] == ["websocket", "below", "connection"]
    assert named(captured, "below")[0].parent is None
    assert series.value("kpi_websocket_messages_total", network_io_direction="receive") == 1


def test_row_that_is_disabled_leaves_one_span_and_counts_nothing(
    captured: Captured, series: Measured
) -> None:
    CHOICES.enabled = False
    serve(echo(lambda _text: look()), message(), gone(4001))
    [whole] = captured.spans(SpanKind.SERVER)
    assert [span.parent for span in named(captured, "below")] == [whole.context]
    assert (whole.attributes or {})["websocket.close_code"] == 4001
    assert series.labels("kpi_websocket_messages_total") == set()


# --- what must not happen


def test_thread_that_handles_a_message_is_in_its_trace(captured: Captured) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        while (await receive())["type"] == "websocket.receive":
            await asyncio.gather(*[asyncio.to_thread(look) for _ in range(8)])

    serve(app, message(), message(), gone())
    messages = named(captured, "message")
    parents = [span.parent for span in named(captured, "below")]
    assert len(messages) == 2, "threads that look at the same time make one span"
    assert parents == [messages[0].context] * 8 + [messages[1].context] * 8


def test_message_that_is_not_waited_for_any_longer_leaves_the_one_before(captured: Captured) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        await receive()
        look("handled")
        for _ in range(3):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(receive(), 0.001)
            look("heartbeat")
            await send({"type": "websocket.send", "text": "still here"})

    serve(app, message())
    [handled], heartbeats = named(captured, "handled"), named(captured, "heartbeat")
    pushes = named(captured, "push")
    assert handled.parent == named(captured, "message")[0].context
    # Python 3.11 waits in a task of its own, so the first is known for none of the message's when it has sent.
    assert [span.parent for span in heartbeats[-2:]] == [span.context for span in pushes[-2:]]


def test_message_in_a_span_of_the_applications_is_not_below_it(captured: Captured) -> None:
    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        with trace.get_tracer("shop").start_as_current_span("session"):
            await receive()
            look()
        look("after")

    serve(app, message())
    assert named(captured, "below")[0].parent == named(captured, "message")[0].context


def test_forked_child_has_no_connections_of_its_parent(captured: Captured, series: Measured) -> None:
    del captured
    in_child: list[int] = []

    def fork(_text: str) -> None:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            os.write(writing, str(len(list(websocket_open()))).encode())
            os._exit(0)
        os.waitpid(child, 0)
        in_child.append(int(os.read(reading, 10)))
        os.close(reading)
        os.close(writing)

    serve(echo(fork), message(), gone())
    assert in_child == [0]
    assert series.value(ACTIVE) == 0


def websocket_open() -> set[Any]:
    from otel_kpi.packs.websocket import connections

    return connections._open


def test_application_that_counts_too_is_not_counted_twice(series: Measured) -> None:
    seen: list[Any] = []

    def count() -> None:
        websocket.connected()
        with websocket.connection("/rooms/{room}") as connection:
            connection.received(10)
            websocket.filters(3)
            seen.append((series.value(ACTIVE), series.value("kpi_websocket_active_filters")))
        websocket.disconnected()
        seen.append((series.value(ACTIVE), series.value("kpi_websocket_active_filters")))

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        count()
        await accept(receive, send)
        count()
        await receive()
        count()
        await receive()
        count()

    elsewhere = websocket.connected()
    serve(app, message("x"), gone())
    assert seen == [(1, None)] * 2 + [(2, 3)] * 4 + [(1, None)] * 2
    assert series.value("kpi_websocket_messages_total", network_io_direction="receive") == 1
    assert series.value("kpi_websocket_handshakes_total", kpi_websocket_handshake_result="accepted") == 2
    websocket.disconnected(elsewhere)


PARTS: list[tuple[type, str]] = [
    (conversation.Conversation, "_before_send"),
    (conversation.Conversation, "_after_send"),
    (conversation.Conversation, "_received"),
    (conversation.Conversation, "_end"),
    (traces.Traces, "waits"),
    (traces.Traces, "received"),
    (traces.Traces, "sent"),
    (traces.Traces, "current_span"),
    (traces.Traces, "begin_unit"),
    (traces.Traces, "finish"),
    (units.Unit, "finish"),
]


@pytest.mark.parametrize(("part", "method"), PARTS, ids=lambda each: str(getattr(each, "__name__", each)))
def test_error_of_ours_does_not_reach_the_application(
    part: type, method: str, series: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_args: object, **_options: object) -> None:
        raise ZeroDivisionError("ours")

    Boundary("asgi").reset()
    # The failure is planted in our own code, which is what is under test.
    monkeypatch.setattr(part, method, explode)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        look()
        await echo(lambda _text: look())(scope, receive, send)

    answer = serve(app, message(), gone())
    assert [sent["type"] for sent in answer.sent] == ["websocket.accept", "websocket.send"]
    assert Boundary("asgi").errors > 0
    assert series.value(ACTIVE) in {0, None}
    Boundary("asgi").reset()


def test_messages_pass_as_they_are(captured: Captured) -> None:
    del captured
    given = {"type": "websocket.receive", "text": "hello", "bytes": None, "extension": object()}
    got: list[Any] = []

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        await accept(receive, send)
        got.append(await receive())

    serve(app, given)
    assert got[0] is given


def test_process_that_ends_has_no_connections_and_says_how_they_ended(
    captured: Captured, series: Measured
) -> None:
    async def call() -> None:
        incoming = [CONNECT]
        waiting = asyncio.Event()

        async def receive() -> Any:
            if incoming:
                return incoming.pop()
            waiting.set()
            return await asyncio.Event().wait()

        async def send(_sent: Any) -> None:
            pass

        task = asyncio.create_task(Traced(echo(), "asgi")(scope_of("/", kind="websocket"), receive, send))
        await waiting.wait()
        assert series.value(ACTIVE) == 1
        conversation._process_ends(15)
        assert series.value(ACTIVE) == 0
        assert captured.spans()[-1].name == "connection"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    contextvars.Context().run(asyncio.run, call())
    assert len(captured.spans()) == 2, "what the task says later changes nothing"
    labels = (("kpi_websocket_close_by", "server"), ("kpi_websocket_close_class", "going_away"))
    assert series.labels("kpi_websocket_closes_total") == {labels}


def test_message_without_a_span_costs_at_most_ten_microseconds(captured: Captured, series: Measured) -> None:
    del captured, series
    count = 5000

    def cost(app: Any) -> float:
        messages = [CONNECT, *[message()] * count, gone()]
        messages.reverse()

        async def receive() -> Any:
            return messages.pop()

        async def send(_sent: Any) -> None:
            pass

        async def call() -> float:
            began = time.process_time()
            await app(scope_of("/", kind="websocket"), receive, send)
            return time.process_time() - began

        return asyncio.run(call())

    plain = min(cost(echo()) for _ in range(3))
    watched = min(cost(Traced(echo(), "asgi")) for _ in range(3))
    each = (watched - plain) / count
    print(f"{each * 1e6:.1f} µs a message and its answer")
    assert each < 3 * 20e-6 * slowdown(), "a message that comes and one that goes, at three times the figure"
