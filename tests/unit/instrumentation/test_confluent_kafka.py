"""confluent-kafka on a real protocol: spans and headers, also of the classes that serialize."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import confluent_kafka
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from support.kafka_server import kafka_server

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured

# The server is built with Go, and each client takes its time to join a group.
pytestmark = [pytest.mark.proof, pytest.mark.network, pytest.mark.timeout(700)]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with kafka_server() as started:
        yield started


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


def consumer(cls: Any, address: str, group: str) -> Any:
    consumer = cls({"bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe(["orders"])
    return consumer


def poll(consumer: Any) -> Any:
    while True:
        message = consumer.poll(1.0)
        if message is not None and message.error() is None:
            return message


def test_message_is_processed_with_a_link_to_its_publisher(captured: Captured, address: str) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": address})
    assert isinstance(producer, confluent_kafka.Producer)
    headers: list[tuple[str, str | bytes | None]] = [("kind", b"new")]
    producer.produce("orders", b"one", headers=headers)
    producer.produce("orders", b"two", headers={"kind": "old"})
    producer.flush(10)
    assert headers == [("kind", b"new")], "the application's list grew"
    messages = consumer(confluent_kafka.Consumer, address, "polling")
    assert dict(poll(messages).headers())["kind"] == b"new"
    with trace.get_tracer("test").start_as_current_span("work"):
        pass
    assert dict(poll(messages).headers())["kind"] == b"old"
    messages.close()
    assert not trace.get_current_span().get_span_context().is_valid
    sent = captured.spans(SpanKind.PRODUCER)
    processed = [span for span in captured.spans(SpanKind.CONSUMER) if span.name == "orders process"]
    assert [link.context.span_id for span in processed for link in span.links] == [
        span_id(span) for span in sent
    ]
    [work] = [span for span in captured.spans() if span.name == "work"]
    assert work.parent is not None
    assert work.parent.span_id == span_id(processed[0])
    assert attributes(sent[0])["server.port"] == int(address.rpartition(":")[2])


def test_batch_is_linked_to_each_publisher(captured: Captured, address: str) -> None:
    messages = consumer(confluent_kafka.Consumer, address, "batch")
    assert len(messages.consume(2, 20)) == 2
    messages.close()
    [span] = [span for span in captured.spans(SpanKind.CONSUMER) if span.name == "orders process"]
    assert len(span.links) == 2


def test_classes_that_serialize_are_seen(captured: Captured, address: str) -> None:
    producer = confluent_kafka.SerializingProducer({"bootstrap.servers": address})
    producer.produce("orders", value=b"three")
    producer.flush(10)
    sent = captured.span(SpanKind.PRODUCER)
    messages = consumer(confluent_kafka.DeserializingConsumer, address, "deserializing")
    while poll(messages).value() != b"three":
        pass
    messages.close()
    processed = [span for span in captured.spans(SpanKind.CONSUMER) if span.name == "orders process"]
    assert [link.context.span_id for link in processed[-1].links] == [span_id(sent)]


def test_uninstrumented_client_is_as_it_was(captured: Captured, address: str) -> None:
    instrumentation.uninstall()
    assert confluent_kafka.Producer is confluent_kafka.cimpl.Producer
    producer = confluent_kafka.SerializingProducer({"bootstrap.servers": address})
    producer.produce("orders", value=b"four")
    producer.flush(10)
    assert captured.spans() == []
