"""Clients of Kafka: upstream's instrumentors, with what they do not see and without what they change.

Upstream appends the trace to the list of headers that the application handed over: a list that is used twice grows
with each message, and a tuple is an error. The wrappers here hand it a list of its own. Unseen by upstream are
`KafkaConsumer.poll` of kafka-python, and confluent-kafka's `SerializingProducer` and `DeserializingConsumer`, whose
base classes are bound before upstream replaces them. Names of today stand beside those of 2021.
"""

from __future__ import annotations

import json
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from otel_kpi._version import __version__
from otel_kpi.instrumentation.boundary import Boundary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.util.types import AttributeValue

_SCOPE: Final = "otel_kpi.instrumentation.kafka"
_MOST_LINKS: Final = 128
"""What a span takes of them by default."""

_iterating: Final = ContextVar("otel_kpi_kafka_iterating", default=False)


class _Instrumentor:
    """One of upstream's instrumentors, and what is wrapped besides."""

    _name = ""

    def __init__(self) -> None:
        self._boundary = Boundary(self._name)
        self.upstream = self._create()
        self._wrapped: list[tuple[Any, str]] = []

    def _create(self) -> Any:
        raise NotImplementedError

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the application did it itself."""
        return bool(self.upstream.is_instrumented_by_opentelemetry)

    def _wrap(self, cls: Any, method: str, wrapper: Callable[..., Any]) -> None:
        from wrapt import wrap_function_wrapper

        wrap_function_wrapper(cls, method, self._boundary.wrap(wrapper))
        self._wrapped.append((cls, method))

    def uninstrument(self) -> None:
        """Take back what is ours, then have upstream do the same."""
        from opentelemetry.instrumentation.utils import unwrap

        for cls, method in reversed(self._wrapped):
            unwrap(cls, method)
        self._wrapped = []
        self.upstream.uninstrument()


class Instrumentor(_Instrumentor):
    """kafka-python."""

    _name = "kafka"

    def _create(self) -> Any:
        from opentelemetry.instrumentation.kafka import KafkaInstrumentor

        return KafkaInstrumentor()

    def instrument(self, **options: Any) -> None:
        """Have upstream instrument the library, and wrap what it leaves out."""
        import kafka

        self.upstream.instrument(produce_hook=_sent, consume_hook=_received, **options)
        self._wrap(kafka.KafkaProducer, "send", with_own_headers(3))
        self._wrap(kafka.KafkaConsumer, "__next__", _iterate)
        self._wrap(kafka.KafkaConsumer, "poll", _poll)


class ConfluentInstrumentor(_Instrumentor):
    """confluent-kafka."""

    _name = "confluent_kafka"

    def _create(self) -> Any:
        from opentelemetry.instrumentation.confluent_kafka import ConfluentKafkaInstrumentor

        return ConfluentKafkaInstrumentor()

    def instrument(self, **options: Any) -> None:
        """Have upstream instrument the library, and wrap the classes that it does not reach."""
        import confluent_kafka

        self.upstream.instrument(**options)
        tracer = trace.get_tracer(_SCOPE, __version__)
        upstream = type(self.upstream)
        producer: Any = confluent_kafka.SerializingProducer
        consumer: Any = confluent_kafka.DeserializingConsumer

        def produce(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return upstream.wrap_produce(wrapped, instance, tracer, args, kwargs)

        def poll(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return upstream.wrap_poll(wrapped, instance, tracer, args, kwargs)

        def close(wrapped: Any, instance: Any, args: Any, kwargs: Any) -> Any:
            return upstream.wrap_close(wrapped, instance, args, kwargs)

        consumer._current_consume_span = consumer._current_context_token = None  # noqa: SLF001 -- where upstream keeps them
        self._wrap(producer, "produce", produce)
        self._wrap(consumer, "poll", poll)
        self._wrap(consumer, "close", close)
        for cls in (producer, confluent_kafka.Producer):
            self._wrap(cls, "produce", with_own_headers(6))

    def uninstrument(self) -> None:
        """Take everything back: upstream leaves two of its methods wrapped, and wraps them again the next time."""
        from opentelemetry.instrumentation import confluent_kafka
        from opentelemetry.instrumentation.utils import unwrap

        super().uninstrument()
        for method in ("consume", "close"):
            unwrap(confluent_kafka.AutoInstrumentedConsumer, method)


class AiokafkaInstrumentor(_Instrumentor):
    """aiokafka."""

    _name = "aiokafka"

    def _create(self) -> Any:
        from opentelemetry.instrumentation.aiokafka import AIOKafkaInstrumentor

        return AIOKafkaInstrumentor()

    def instrument(self, **options: Any) -> None:
        """Have upstream instrument the library."""
        import aiokafka

        async def correct(span: trace.Span, *_arguments: Any) -> None:
            # Upstream writes the list of servers as JSON where the conventions want an address.
            written = (getattr(span, "attributes", None) or {}).get("server.address")
            if isinstance(written, str):
                span.set_attributes(server(json.loads(written)))

        self.upstream.instrument(async_produce_hook=correct, async_consume_hook=correct, **options)
        self._wrap(aiokafka.AIOKafkaProducer, "send", with_own_headers(5))


def with_own_headers(position: int) -> Callable[..., Any]:
    """Make a wrapper that replaces a message's headers, the argument at `position`, by a copy."""

    def wrapper(wrapped: Any, _producer: Any, args: Any, kwargs: Any) -> Any:
        given = args[position] if len(args) > position else kwargs.get("headers")
        if not given:
            return wrapped(*args, **kwargs)
        own = list(given.items() if isinstance(given, dict) else given)
        if len(args) > position:
            return wrapped(*args[:position], own, *args[position + 1 :], **kwargs)
        return wrapped(*args, **{**kwargs, "headers": own})

    return wrapper


def server(bootstrap: Any) -> dict[str, AttributeValue]:
    """Give address and port of the first of the servers in a client's configuration."""
    first = str(bootstrap.split(",")[0] if isinstance(bootstrap, str) else next(iter(bootstrap), ""))
    host, _, port = first.strip().rpartition(":")
    return {"server.address": host, "server.port": int(port)} if host and port.isdecimal() else {}


def publisher_of(headers: Iterable[tuple[str, bytes | None]] | None) -> trace.SpanContext:
    """Give the span in which a message was sent; an invalid one when nobody says."""
    carrier = {name: value.decode("utf-8", "replace") for name, value in headers or () if value is not None}
    return trace.get_current_span(propagate.extract(carrier, Context())).get_span_context()


# --- kafka-python


def _sent(span: trace.Span, args: Any, kwargs: Any) -> None:
    topic = args[0] if args else kwargs.get("topic")
    span.set_attributes(
        {
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
            "messaging.destination.name": str(topic),
        }
    )


def _received(span: trace.Span, record: Any, _args: Any, _kwargs: Any) -> None:
    span.set_attributes(
        {
            "messaging.operation.name": "receive",
            "messaging.operation.type": "receive",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
        }
    )


def _iterate(wrapped: Any, _consumer: Any, args: Any, kwargs: Any) -> Any:
    token = _iterating.set(True)  # it polls, and upstream makes a span of each record
    try:
        return wrapped(*args, **kwargs)
    finally:
        _iterating.reset(token)


def _poll(wrapped: Any, consumer: Any, args: Any, kwargs: Any) -> Any:
    start = time.time_ns()
    batches = wrapped(*args, **kwargs)
    if batches and not _iterating.get():
        _record_batch(consumer, [record for batch in batches.values() for record in batch], start)
    return batches


def _record_batch(consumer: Any, records: list[Any], start: int) -> None:
    """Record a reception of several messages: one span, linked to their publishers, as the conventions say."""
    topics = sorted({record.topic for record in records})
    attributes: dict[str, AttributeValue] = {
        "messaging.system": "kafka",
        "messaging.operation.name": "poll",
        "messaging.operation.type": "receive",
        "messaging.batch.message_count": len(records),
        **server(consumer.config.get("bootstrap_servers") or ()),
    }
    if len(topics) == 1:
        attributes["messaging.destination.name"] = topics[0]
    group = consumer.config.get("group_id")
    if group:
        attributes["messaging.consumer.group.name"] = str(group)
    publishers = (publisher_of(record.headers) for record in records[:_MOST_LINKS])
    trace.get_tracer(_SCOPE, __version__).start_span(
        f"{topics[0]} receive" if len(topics) == 1 else "receive",
        kind=SpanKind.CONSUMER,
        attributes=attributes,
        links=[Link(publisher) for publisher in publishers if publisher.is_valid],
        start_time=start,
    ).end()
