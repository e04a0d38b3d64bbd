"""aiokafka on a real protocol: the trace goes along in headers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiokafka
import pytest
from opentelemetry.trace import SpanKind
from support.kafka_server import kafka_server

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


def test_message_is_received_in_the_trace_of_its_publisher(captured: Captured, address: str) -> None:
    headers = (("kind", b"new"),)

    async def exchange() -> int:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=address)
        await producer.start()
        for message in (b"one", b"two", b"three"):
            await producer.send_and_wait("orders", message, headers=headers)
        await producer.stop()
        consumer: Any = aiokafka.AIOKafkaConsumer(
            "orders", bootstrap_servers=address, group_id="group", auto_offset_reset="earliest"
        )
        await consumer.start()
        await consumer.getone()
        batches = await consumer.getmany(timeout_ms=5000)
        await consumer.stop()
        return sum(len(batch) for batch in batches.values())

    assert asyncio.run(exchange()) == 2
    sent = captured.spans(SpanKind.PRODUCER)
    assert [span.name for span in sent] == ["orders send"] * 3
    received = captured.spans(SpanKind.CONSUMER)
    parents = [span.parent.span_id for span in received if span.parent is not None]
    assert set(parents) >= {span_id(span) for span in sent}
    port = int(address.rpartition(":")[2])
    assert {(attributes(span)["server.address"], attributes(span)["server.port"]) for span in sent} == {
        ("127.0.0.1", port)
    }
    assert attributes(received[0])["messaging.destination.name"] == "orders"
