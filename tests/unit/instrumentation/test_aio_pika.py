"""aio-pika on a real RabbitMQ: a message is received in the trace of its publisher."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aio_pika
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
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


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def span_id(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


async def exchange(port: int, consume: Any, *bodies: bytes) -> None:
    """Publish to a queue of its own, with a confirmation, and have `consume(queue)` take what is in it."""
    connection = await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{port}/")
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for body in bodies:
            message = aio_pika.Message(body, headers={"kind": "new"}, message_id="m-1")
            await channel.default_exchange.publish(message, routing_key=queue.name)
        await consume(queue)


def test_callback_runs_in_the_trace_of_the_publisher(captured: Captured, port: int) -> None:
    done = asyncio.Event()

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        async with message.process():
            assert message.headers["kind"] == "new"
            with trace.get_tracer("test").start_as_current_span("work"):
                done.set()

    async def consume(queue: Any) -> None:
        tag = await queue.consume(on_message)
        await asyncio.wait_for(done.wait(), 10)
        await queue.cancel(tag)

    asyncio.run(exchange(port, consume, b"one"))
    sent = captured.span(SpanKind.PRODUCER)
    received = captured.span(SpanKind.CONSUMER)
    assert received.parent is not None
    assert received.parent.span_id == span_id(sent)
    [work] = [span for span in captured.spans() if span.name == "work"]
    assert work.parent is not None
    assert work.parent.span_id == span_id(received)
    assert attributes(received)["messaging.system"] == "rabbitmq"
    assert attributes(received)["messaging.message.id"] == "m-1"


def test_messages_of_an_iterator_are_received_each_in_its_own_trace(captured: Captured, port: int) -> None:
    async def consume(queue: Any) -> None:
        left = 3
        async with queue.iterator() as messages:
            async for message in messages:
                await message.ack()
                left -= 1
                if not left:
                    break

    asyncio.run(exchange(port, consume, b"one", b"two", b"three"))
    sent = captured.spans(SpanKind.PRODUCER)
    received = captured.spans(SpanKind.CONSUMER)
    assert [span.parent.span_id for span in received if span.parent] == [span_id(span) for span in sent]
    assert len({span.context.trace_id for span in received if span.context}) == 3


def test_error_of_a_callback_is_on_its_span(captured: Captured, port: int) -> None:
    failed = asyncio.Event()

    async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        await message.ack()
        failed.set()
        raise ValueError("no stock")

    async def consume(queue: Any) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
        await queue.consume(on_message)
        await asyncio.wait_for(failed.wait(), 10)
        await asyncio.sleep(0)  # aio-pika runs the callback in a task of its own

    asyncio.run(exchange(port, consume, b"one"))
    received = captured.span(SpanKind.CONSUMER)
    assert received.status.status_code is StatusCode.ERROR


def test_uninstrumented_client_is_as_it_was(captured: Captured, port: int) -> None:
    instrumentation.uninstall()

    async def consume(queue: Any) -> None:
        message = await queue.get(timeout=10)
        assert dict(message.headers) == {"kind": "new"}
        await message.ack()

    asyncio.run(exchange(port, consume, b"one"))
    assert captured.spans() == []


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end", "inject", "extract"])
def test_message_arrives_where_telemetry_is_broken(fault: str, faults: Faults, port: int) -> None:
    instrumentation.install()
    bodies = [b"%d" % number for number in range(MOST_ERRORS + 1)]
    received: list[bytes] = []

    async def run() -> None:
        done = asyncio.Event()

        async def on_message(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process():
                received.append(message.body)
            if len(received) == len(bodies):
                done.set()

        async def consume(queue: Any) -> None:
            await queue.consume(on_message)
            await asyncio.wait_for(done.wait(), 20)

        faults.armed = fault
        await exchange(port, consume, *bodies)

    asyncio.run(run())
    assert received == bodies
    assert faults.raised
    assert (state("aio-pika").state, state("aio-pika").errors) == ("off", MOST_ERRORS)
