"""kafka-python on a real protocol: the trace goes along in headers, batches are linked to their publishers."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind
from support.faults import Faults, state
from support.kafka_server import kafka_server

from otel_kpi import instrumentation
from otel_kpi.instrumentation.boundary import MOST_ERRORS

with warnings.catch_warnings():
    # kafka-python 3 reads its schemas in a way that Python 3.11 calls old.
    warnings.simplefilter("ignore", DeprecationWarning)
    import kafka

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


def publish(address: str, messages: list[bytes], headers: list[tuple[str, bytes]] | None = None) -> None:
    producer = kafka.KafkaProducer(bootstrap_servers=address)
    for message in messages:
        producer.send("orders", message, headers=headers).get(10)
    producer.close()


def consumer(address: str, group: str) -> Any:
    return kafka.KafkaConsumer(
        "orders",
        bootstrap_servers=address,
        group_id=group,
        auto_offset_reset="earliest",
        consumer_timeout_ms=3000,
    )


def test_message_is_received_in_the_trace_of_its_publisher(captured: Captured, address: str) -> None:
    headers = [("kind", b"new")]
    publish(address, [b"one", b"two"], headers)
    assert headers == [("kind", b"new")], "the application's list grew"
    records = consumer(address, "iterating")
    assert [dict(record.headers)["kind"] for record in records] == [b"new", b"new"]
    records.close()
    sent = captured.spans(SpanKind.PRODUCER)
    received = captured.spans(SpanKind.CONSUMER)
    assert [span.name for span in sent] == ["orders send"] * 2
    assert [span.name for span in received] == ["orders receive"] * 2
    assert [span.parent.span_id for span in received if span.parent] == [span_id(span) for span in sent]
    assert attributes(received[1])["messaging.destination.name"] == "orders"
    assert attributes(received[1])["messaging.kafka.offset"] == 1


def test_batch_is_one_span_linked_to_each_publisher(captured: Captured, address: str) -> None:
    publish(address, [b"three", b"four"])
    sent = captured.spans(SpanKind.PRODUCER)
    batches = consumer(address, "polling")
    count = 0
    while count < 4:
        count += sum(len(batch) for batch in batches.poll(5000).values())
    batches.close()
    received = captured.spans(SpanKind.CONSUMER)
    assert sum(attributes(span)["messaging.batch.message_count"] for span in received) == 4
    links = [link.context.span_id for span in received for link in span.links]
    assert links[-2:] == [span_id(span) for span in sent]
    assert attributes(received[0])["server.port"] == int(address.rpartition(":")[2])


def test_uninstrumented_client_is_as_it_was(captured: Captured, address: str) -> None:
    instrumentation.uninstall()
    publish(address, [b"five"])
    batches = consumer(address, "silent")
    assert list(batches)[-1].headers == []
    batches.close()
    assert captured.spans() == []


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end", "inject", "extract"])
def test_message_arrives_where_telemetry_is_broken(fault: str, faults: Faults, address: str) -> None:
    instrumentation.install()
    faults.armed = fault
    messages = [f"{fault} {number}".encode() for number in range(MOST_ERRORS + 1)]
    publish(address, messages, [("kind", b"new")])
    receiving = consumer(address, f"broken-{fault}")
    received = [record.value for record in receiving]
    receiving.close()
    assert received[-len(messages) :] == messages
    assert faults.raised
    assert (state("kafka").state, state("kafka").errors) == ("off", MOST_ERRORS)
