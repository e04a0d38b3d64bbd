"""What a WebSocket application says itself: events, levels, connections, and traces in messages."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from support.captured import Captured
from support.measured import Measured, measured

from otel_kpi import websocket
from otel_kpi.model.lint import problems
from otel_kpi.packs.websocket import connections, handles, levels
from otel_kpi.packs.websocket.closing import close_class, reported_by
from otel_kpi.packs.websocket.instruments import CLOSE_CLASS

if TYPE_CHECKING:
    from collections.abc import Iterator

ACTIVE = "kpi_websocket_active_connections"


@pytest.fixture(autouse=True)
def series() -> Iterator[Measured]:
    with measured() as found:
        yield found
    levels._after_fork()


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Captured:
    """Spans of the test; the provider of a process can be set only once, so the pack's tracer is turned to this one."""
    captured = Captured()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(captured.span_exporter))
    monkeypatch.setattr(handles, "tracer", provider.get_tracer(handles.SCOPE))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return captured


def test_declarations_have_no_problems() -> None:
    assert problems([websocket.PACK]) == []


def test_alert_of_the_document_finds_its_series(series: Measured) -> None:
    """`kpi_websocket_active_connections > 1000` holds for a series without labels."""
    clients = [websocket.connected() for _ in range(1001)]
    assert series.labels(ACTIVE) == {()}
    assert series.value(ACTIVE) == 1001
    for client in clients:
        websocket.disconnected(client)
    assert series.value(ACTIVE) == 0


def test_events_are_counted_by_type_and_model(series: Measured) -> None:
    websocket.published("kpi_update", "marketing")
    websocket.published("kpi_update", "marketing", 2)
    websocket.delivered("kpi_update", "marketing", recipients=7)
    labels = {"kpi_websocket_event_type": "kpi_update", "model_name": "marketing"}
    assert series.value("kpi_websocket_events_published_total", **labels) == 3
    assert series.value("kpi_websocket_events_delivered_total", **labels) == 7


def test_delivery_is_measured_whether_or_not_it_succeeds(series: Measured) -> None:
    with websocket.delivery("kpi_update"):
        pass
    with pytest.raises(ConnectionError), websocket.delivery("kpi_update"):
        raise ConnectionError

    async def deliver() -> None:
        async with websocket.delivery("kpi_update"):
            await asyncio.sleep(0)

    asyncio.run(deliver())
    websocket.delivery_duration("kpi_update", 0.25)
    count, total = series.value(
        "kpi_websocket_delivery_duration_seconds", kpi_websocket_event_type="kpi_update"
    )
    assert count == 4
    assert 0.25 < total < 1


def test_delivery_is_a_span_inside_of_a_trace_and_begins_none(captured: Captured) -> None:
    with websocket.delivery("kpi_update"):
        pass
    assert captured.spans() == []
    with trace.get_tracer("shop").start_as_current_span("job") as job, websocket.delivery("kpi_update"):
        event = websocket.inject({"type": "kpi_update"})
    [delivery] = captured.spans(SpanKind.PRODUCER)
    assert delivery.context is not None
    assert (delivery.name, delivery.parent) == ("deliver kpi_update", job.get_span_context())
    assert f"{delivery.context.span_id:016x}" in event["traceparent"]


def test_subscriptions_and_batches(series: Measured) -> None:
    websocket.subscription("subscribe")
    websocket.subscription("change")
    for operation, count in (("subscribe", 1), ("unsubscribe", 0), ("change", 1)):
        labels = {"kpi_websocket_subscription_operation": operation}
        assert series.value("kpi_websocket_subscriptions_total", **labels) == count
    websocket.batch(20)
    assert series.value("kpi_websocket_batch_size") == (1, 20)


def test_levels_are_absent_until_somebody_says_them(series: Measured) -> None:
    assert (
        series.labels("kpi_websocket_buffer_size") == series.labels("kpi_websocket_active_filters") == set()
    )
    websocket.buffer(12)
    websocket.buffer(3, "broadcast")
    websocket.buffer(7)
    websocket.filters(40)
    assert series.value("kpi_websocket_buffer_size") == 7
    assert series.value("kpi_websocket_buffer_size", kpi_websocket_buffer_name="broadcast") == 3
    assert series.value("kpi_websocket_active_filters") == 40


def test_filters_of_a_client_are_gone_with_it(series: Measured) -> None:
    websocket.filters(1)
    with websocket.connection() as first:
        websocket.filters(3)
        first.filters(5)
        assert series.value("kpi_websocket_active_filters") == 6
    assert series.value("kpi_websocket_active_filters") == 1


NONSENSE: list[Any] = [float("nan"), float("inf"), -1, "many", None, object(), [1]]


@pytest.mark.parametrize("value", NONSENSE)
def test_values_that_make_no_sense_are_dropped_and_counted(value: Any, series: Measured) -> None:
    websocket.buffer(value)
    websocket.filters(value)
    websocket.batch(value)
    websocket.delivery_duration("kpi_update", value)
    websocket.published("kpi_update", "marketing", value)
    websocket.delivered("kpi_update", "marketing", value)
    dropped = {dict(labels)["instrument"] for labels in series.labels("otel_kpi_dropped_values_total")}
    assert dropped == {
        "kpi.websocket.buffer.size",
        "kpi.websocket.active_filters",
        "kpi.websocket.batch.size",
        "kpi.websocket.delivery.duration",
        "kpi.websocket.events.published",
        "kpi.websocket.events.delivered",
    }
    assert series.labels("kpi_websocket_buffer_size") == set()


@pytest.mark.parametrize("value", [None, "", 7, object(), ["x"], {"a": 1}, "x" * 10_000])
def test_types_that_are_no_words_change_nothing_for_the_application(value: Any) -> None:
    websocket.published(value, value)
    websocket.subscription(value)
    websocket.buffer(1, value)
    with websocket.delivery(value), websocket.message(value, value):
        assert websocket.inject(value) is value


def test_a_hundred_thousand_types_and_models_stay_within_the_budget(
    series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "otel_kpi.record")
    for number in range(100_000):
        websocket.published(f"type {number}", f"model {number}")
        if number % 10 == 0:
            websocket.delivered(f"type {number % 500}", f"model {number}")
        if number % 100 == 0:
            websocket.delivery_duration(f"type {number}", 0.1)
            websocket.subscription(f"operation {number}")
            websocket.buffer(1, f"buffer {number}")
    most = {each.series_name: each.most_series for each in websocket.PACK.instruments}
    for name in ("events_published_total", "events_delivered_total", "delivery_duration_seconds",
                 "subscriptions_total", "buffer_size"):  # fmt: skip
        # One more is that for overflow.
        assert len(series.labels(f"kpi_websocket_{name}")) <= most[f"kpi_websocket_{name}"] + 1
    published = series.points("kpi_websocket_events_published_total").values()
    assert sum(point.value for point in published) == 100_000, "nothing is lost"
    buffers = sum(point.value for point in series.points("kpi_websocket_buffer_size").values())
    assert buffers == 200 + 1, (
        "so many names are remembered; later ones are one buffer, of which the last word counts"
    )
    overflowed = {
        (each["instrument"], each["attribute"])
        for each in map(dict, series.labels("otel_kpi_overflowed_values_total"))
    }
    for pair in (
        ("kpi.websocket.events.published", "kpi.websocket.event.type"),
        ("kpi.websocket.events.published", "model_name"),
        ("kpi.websocket.delivery.duration", "kpi.websocket.event.type"),
        ("kpi.websocket.subscriptions", "kpi.websocket.subscription.operation"),
        ("kpi.websocket.buffer.size", "kpi.websocket.buffer.name"),
    ):
        assert pair in overflowed
    assert len(caplog.messages) == len(set(caplog.messages)), "said once"


# --- connections that the application counts


def test_connection_is_counted_from_its_first_line_to_its_last(captured: Captured, series: Measured) -> None:
    with websocket.connection("/feed/{topic}") as connection:
        assert series.value(ACTIVE) == 1
        connection.received(100)
        connection.sent(5)
    assert series.value(ACTIVE) == 0
    assert series.value("kpi_websocket_io_bytes_total", network_io_direction="receive") == 100
    labels = {"kpi_websocket_close_class": "normal", "kpi_websocket_close_by": "server"}
    assert series.value("kpi_websocket_closes_total", **labels) == 1
    handshake, ended = captured.spans()
    assert (handshake.name, handshake.kind) == ("/feed/{topic}", SpanKind.SERVER)
    assert (ended.name, ended.parent) == ("connection /feed/{topic}", handshake.context)


def test_connection_says_how_it_ended(captured: Captured, series: Measured) -> None:
    with websocket.connection() as connection:
        connection.closed(1006)
    labels = {"kpi_websocket_close_class": "abnormal", "kpi_websocket_close_by": "client"}
    assert series.value("kpi_websocket_closes_total", **labels) == 1
    with pytest.raises(LookupError), websocket.connection():
        raise LookupError
    assert series.value("kpi_websocket_errors_total", error_type="LookupError") == 1
    assert captured.spans()[-1].status.status_code is StatusCode.ERROR

    async def cancelled() -> None:
        async with websocket.connection():
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert captured.spans()[-1].status.status_code is StatusCode.UNSET
    assert series.value(ACTIVE) == 0


def test_client_that_is_gone_without_a_name_is_one_less(series: Measured) -> None:
    websocket.connected()
    websocket.connected()
    websocket.disconnected()
    assert series.value(ACTIVE) == 1
    for _ in range(3):
        websocket.disconnected()
    assert series.value(ACTIVE) == 0, "never below zero"
    assert series.labels("kpi_websocket_connection_duration_seconds") == set(), "nobody knows which it was"


@pytest.mark.parametrize("socket", [object(), "client-7", 5, {}])
def test_client_that_is_gone_with_its_socket_is_one_less(series: Measured, socket: Any) -> None:
    websocket.connected()
    websocket.connected()
    websocket.disconnected(socket)
    assert series.value(ACTIVE) == 1
    websocket.disconnected(socket)
    websocket.disconnected(socket)
    assert series.value(ACTIVE) == 0


def test_connection_that_ends_twice_is_one_end(series: Measured) -> None:
    client = websocket.connected()
    for _ in range(2):
        websocket.disconnected(client, 1001)
        client.closed(1000)
    labels = {"kpi_websocket_close_class": "going_away", "kpi_websocket_close_by": "client"}
    assert series.value("kpi_websocket_closes_total", **labels) == 1
    assert series.value(ACTIVE) == 0


def test_forked_child_has_no_connections(series: Measured) -> None:
    client = websocket.connected()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        websocket.disconnected(client)  # the parent's, which the child has no say in
        websocket.connected()
        os.write(writing, str(len(connections._open)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reading, 10) == b"1"
    os.close(reading)
    os.close(writing)
    assert series.value(ACTIVE) == 1
    websocket.disconnected(client)


def test_end_of_the_process_is_the_end_of_its_connections(series: Measured) -> None:
    websocket.connected()
    connections._end_all(15)
    assert series.value(ACTIVE) == 0
    labels = {"kpi_websocket_close_class": "going_away", "kpi_websocket_close_by": "server"}
    assert series.value("kpi_websocket_closes_total", **labels) == 1


@pytest.mark.parametrize("value", NONSENSE)
def test_connection_that_is_told_nonsense_counts_its_messages_all_the_same(
    value: Any, series: Measured
) -> None:
    with websocket.connection(value) as connection:
        connection.received(value)
        connection.sent(value)
        connection.filters(value)
        connection.closed(value, value)
    assert series.value(ACTIVE) == 0
    for direction in ("receive", "transmit"):
        assert series.value("kpi_websocket_messages_total", network_io_direction=direction) == 1
        assert series.value("kpi_websocket_io_bytes_total", network_io_direction=direction) in {None, 0}


# --- traces in messages


def test_message_leads_to_its_sender_and_to_the_handshake(captured: Captured) -> None:
    tracer = trace.get_tracer("shop")
    with tracer.start_as_current_span("sender", Context()) as sender:
        sent = json.dumps(websocket.inject({"type": "order"}))
    with websocket.connection("/orders"):
        received = json.loads(sent)
        with websocket.message(received["type"], received) as span:
            assert span.is_recording()
            with tracer.start_as_current_span("below"):
                pass
    [handled] = captured.spans(SpanKind.CONSUMER)
    [handshake] = captured.spans(SpanKind.SERVER)
    [below] = [span for span in captured.spans() if span.name == "below"]
    assert (handled.name, handled.parent, below.parent) == ("message order", None, handled.context)
    assert [link.context.span_id for link in handled.links] == [
        sender.get_span_context().span_id,
        handshake.context.span_id if handshake.context else None,
    ]


def test_error_in_a_message_is_on_its_span(captured: Captured) -> None:
    with pytest.raises(LookupError), websocket.message("order"):
        raise LookupError
    [handled] = captured.spans()
    assert (handled.status.status_code, len(handled.events)) == (StatusCode.ERROR, 1)
    assert (handled.attributes or {})["error.type"] == "LookupError"


@pytest.mark.parametrize(
    "payload",
    [None, "text", b"\x00", 7, [], {}, {"traceparent": None}, {"traceparent": "no"}, {"traceparent": ["00-"]},
     {"traceparent": "00-" + "0" * 32 + "-" + "0" * 16 + "-01"}, {"traceparent": "x" * 1_000_000}],
)  # fmt: skip
def test_message_whose_sender_cannot_be_read_has_a_span_without_a_link(
    payload: Any, captured: Captured
) -> None:
    with websocket.message("order", payload):
        pass
    [handled] = captured.spans()
    assert handled.links == ()


def test_baggage_does_not_leave_in_a_message(captured: Captured) -> None:
    del captured
    token = context.attach(baggage.set_baggage("customer", "42"))
    try:
        with trace.get_tracer("shop").start_as_current_span("sender"):
            assert set(websocket.inject({})) == {"traceparent"}
    finally:
        context.detach(token)


def test_nothing_is_put_into_a_message_outside_of_a_trace() -> None:
    assert websocket.inject({"type": "order"}) == {"type": "order"}


@pytest.mark.parametrize(
    ("code", "said"),
    [(1000, "normal"), (1001, "going_away"), (1005, "no_status"), (1006, "abnormal"), (1002, "protocol"),
     (1008, "policy"), (1009, "too_big"), (1011, "error"), (1012, "restart"), (1015, "gateway"), (3000, "library"),
     (4999, "application"), (0, "abnormal"), (99_999, "abnormal"), (-1, "abnormal")],
)  # fmt: skip
def test_close_code_is_one_of_few_words(code: int, said: str) -> None:
    assert close_class(code) == said
    assert said in CLOSE_CLASS.members


def test_code_that_only_servers_say_was_the_servers_doing() -> None:
    assert [reported_by(code) for code in (1000, 1001, 1006, 1011, 1012, 4001)] == [
        "client",
        "client",
        "client",
        "server",
        "server",
        "client",
    ]
