"""Messages: a trace for each, linked to the handshake of its connection and to who sent it.

A connection lasts for hours. Were all that happens in it one trace, that trace would be seen when it is over, and
nobody could read it (opentelemetry-python-contrib#2343). So the handling of each message is a trace of its own.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, cast

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otel_kpi.packs.faults import failed
from otel_kpi.packs.websocket import handles
from otel_kpi.packs.websocket.connections import current_connection
from otel_kpi.packs.websocket.events import EVENT_TYPE, end_with

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from opentelemetry.trace import SpanContext

# The trace alone: baggage may hold what is nobody's business but ours, and a message leaves the house.
_PROPAGATOR: Final = TraceContextTextMapPropagator()
_UNIT: Final = context.create_key("otel_kpi.websocket.unit")
UNNAMED: Final = "message"

Message = TypeVar("Message")


class Unit(Protocol):
    """What is being done for a connection, where an instrumentor knows."""

    def describe(self, event_type: str, sender: SpanContext | None) -> bool:
        """Take on what the application knows of a message; False when it is none that is being handled."""
        ...

    def failed(self, error: BaseException) -> None:
        """Note an error that was raised in it, once."""
        ...


def in_unit(unit: Unit, where: Context | None = None) -> Context:
    """Give a context in which `unit` is what is being done."""
    return context.set_value(_UNIT, unit, where)


def current_unit() -> Any:
    """Give what is being done here, or None."""
    return context.get_value(_UNIT)


def inject(message: Message) -> Message:
    """Put the current trace into a message that is about to be sent, as its field `traceparent`.

    Args:
        message: A dictionary that will be sent as JSON; anything else is left as it is.

    Returns:
        The same object.
    """
    try:
        if isinstance(message, dict):
            _PROPAGATOR.inject(cast("dict[str, str]", message))
    except Exception as error:
        failed("the trace of a message that is sent", error)
    return message


def sender_of(payload: object) -> SpanContext | None:
    """Give the span that a message says it comes from; None when it says none, or nothing that can be read."""
    try:
        if isinstance(payload, dict) and "traceparent" in payload:
            said = cast("Mapping[str, object]", payload)
            names = ("traceparent", "tracestate")
            carrier = {name: value for name in names if isinstance(value := said.get(name), str)}
            found = trace.get_current_span(_PROPAGATOR.extract(carrier, Context())).get_span_context()
            return found if found.is_valid else None
    except Exception as error:
        failed("the trace of a message that came", error)
    return None


class message:  # noqa: N801 - a context manager, used as `with message(...)`
    """The handling of one message, for `with` and `async with`; what it raises goes on.

    Args:
        event_type: Its kind, a word of the application's; at most 30 distinct values on the metric.
        payload: The message itself, parsed: its `traceparent`, if it has one, is who sent it. Nothing else of it is
            looked at.

    A CONSUMER span that begins a trace, with links to the connection's handshake and to the sender. Where an
    instrumentor has begun one for this message already, that one gets the name and the link. The duration is the
    histogram `kpi_websocket_message_duration_seconds`.
    """

    __slots__ = ("_event_type", "_payload", "_span", "_start", "_token", "_unit")

    def __init__(self, event_type: str, payload: object = None) -> None:
        self._event_type = event_type
        self._payload = payload

    def __enter__(self) -> trace.Span:
        """Begin."""
        self._span: trace.Span | None = None
        self._unit: Unit | None = None
        self._token: Any = None
        try:
            self._begin()
        except Exception as error:
            failed("a message", error)
        self._start = time.perf_counter()
        return self._span or trace.get_current_span()

    def _begin(self) -> None:
        sender = sender_of(self._payload)
        unit = current_unit()
        if unit is not None and unit.describe(str(self._event_type), sender):
            self._unit = unit
            return
        attributes = {EVENT_TYPE: str(self._event_type)}
        connection = current_connection()
        links = [Link(sender, {"kpi.websocket.link": "sender"})] if sender is not None else []
        if connection is not None:
            if connection.handshake is not None:
                links.append(Link(connection.handshake, {"kpi.websocket.link": "handshake"}))
            if connection.route:
                attributes["http.route"] = connection.route
        self._span = handles.tracer.start_span(
            f"{UNNAMED} {self._event_type}", Context(), SpanKind.CONSUMER, attributes, links
        )
        self._token = context.attach(trace.set_span_in_context(self._span))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        handles.message_duration.record(time.perf_counter() - self._start, self._event_type)
        if self._token is not None:
            context.detach(self._token)
        if self._span is not None:
            end_with(self._span, error)
        elif self._unit is not None and error is not None:
            try:
                self._unit.failed(error)
            except Exception as fault:
                failed("an error of a message", fault)

    async def __aenter__(self) -> trace.Span:
        """Begin."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        self.__exit__(kind, error, traceback)
