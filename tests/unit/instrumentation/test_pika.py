"""pika on a real RabbitMQ: a message is received in the trace of its publisher."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

import pika
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from support.faults import Faults, state
from support.rabbitmq_server import rabbitmq_server

from otel_kpi import instrumentation
from otel_kpi.instrumentation.boundary import MOST_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured

# RabbitMQ takes its time to start.
pytestmark = [pytest.mark.proof, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with rabbitmq_server() as started:
        yield started


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def connect(port: int) -> Any:
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))


def test_callback_runs_in_the_trace_of_the_publisher(captured: Captured, port: int) -> None:
    with connect(port) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        properties = pika.BasicProperties(headers={"kind": "new"})
        channel.basic_publish("", queue, b"one", properties)

        def on_message(channel: Any, method: Any, properties: Any, body: bytes) -> None:
            assert (properties.headers["kind"], body) == ("new", b"one")
            with trace.get_tracer("test").start_as_current_span("work"):
                channel.basic_ack(method.delivery_tag)
            channel.stop_consuming()

        channel.basic_consume(queue, on_message)
        channel.start_consuming()
    sent = captured.span(SpanKind.PRODUCER)
    received = captured.span(SpanKind.CONSUMER)
    assert received.parent is not None
    assert received.parent.span_id == span_id(sent)
    [work] = [span for span in captured.spans() if span.name == "work"]
    assert work.parent is not None
    assert work.parent.span_id == span_id(received)


def test_messages_of_an_iterator_are_received(captured: Captured, port: int) -> None:
    # Upstream leaves the last message's span current after the loop; the other tests are not its children.
    contextvars.copy_context().run(iterate, captured, port)


def iterate(captured: Captured, port: int) -> None:
    with connect(port) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for body in (b"one", b"two"):
            channel.basic_publish("", queue, body)
        bodies: list[bytes] = []
        for method, _properties, body in channel.consume(queue, inactivity_timeout=10):
            channel.basic_ack(method.delivery_tag)
            bodies.append(body)
            if len(bodies) == 2:
                break
        channel.cancel()
    assert bodies == [b"one", b"two"]
    sent = captured.spans(SpanKind.PRODUCER)
    received = captured.spans(SpanKind.CONSUMER)
    assert [span.parent.span_id for span in received if span.parent] == [span_id(span) for span in sent]


def test_uninstrumented_client_is_as_it_was(captured: Captured, port: int) -> None:
    instrumentation.uninstall()
    with connect(port) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.basic_publish("", queue, b"one", pika.BasicProperties(headers={"kind": "new"}))
        _, properties, _ = channel.basic_get(queue, auto_ack=True)
        assert properties.headers == {"kind": "new"}
    assert captured.spans() == []


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end", "inject", "extract"])
def test_message_arrives_where_telemetry_is_broken(fault: str, faults: Faults, port: int) -> None:
    instrumentation.install()
    received: list[bytes] = []

    def on_message(channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        received.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(received) == MOST_ERRORS + 1:
            channel.stop_consuming()

    with connect(port) as connection:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        faults.armed = fault
        bodies = [b"%d" % number for number in range(MOST_ERRORS + 1)]
        for body in bodies:
            channel.basic_publish("", queue, body)
        channel.basic_consume(queue, on_message)
        channel.start_consuming()
    assert received == bodies
    assert faults.raised
    assert (state("pika").state, state("pika").errors) == ("off", MOST_ERRORS)
