"""Spans of what is done for a connection, made when somebody looks: a message that nobody looks at costs no span.

The current span of code that handles a message is a stand-in. What asks it for its context (a span that begins below
it, a log record, a call that carries the trace on) makes it real, from the moment at which the message came. Once a
connection has had its share of spans the stand-in stays unreal: what is done then is part of no trace, and counted.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind

from otel_kpi import forks
from otel_kpi.instrumentation.websockets.choices import SPAN_EVERY
from otel_kpi.packs.outcome import error_type
from otel_kpi.packs.spans import mark

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext, Status, StatusCode

    from otel_kpi.instrumentation.websockets.traces import Traces

LINK: Final = "kpi.websocket.link"
GRACE: Final = 60.0
"""Seconds after its end for which a unit is the parent of what goes on; later it is work of the connection's own."""

_making = threading.RLock()


class Budget:
    """How many spans one connection may have: so many at first, and then one every few seconds."""

    __slots__ = ("_left", "_next")

    def __init__(self, first: int) -> None:
        self._left = first
        self._next = 0.0

    def take(self, now: float) -> bool:
        """Take one, if there is one.

        Args:
            now: In seconds, on a clock that never goes back.
        """
        if self._left > 0:
            self._left -= 1
            return True
        if now < self._next:
            return False
        self._next = now + SPAN_EVERY
        return True


class StandIn(trace.Span):
    """A span that is another one: which, is asked at each use."""

    __slots__ = ("traces",)

    traces: Traces

    def find(self) -> trace.Span:
        """Give the span that this one is now."""
        raise NotImplementedError

    def real(self) -> trace.Span:
        """Give the span that this one is now; one that records nothing where it cannot be made. Never raises."""
        try:
            return self.find()
        except Exception as error:
            self.traces.failed(error)
            return trace.INVALID_SPAN

    def get_span_context(self) -> SpanContext:
        """Give that of the span."""
        return self.real().get_span_context()

    def is_recording(self) -> bool:
        """Say whether the span does."""
        return self.real().is_recording()

    def set_attributes(self, attributes: Any) -> None:
        """Set them on the span."""
        self.real().set_attributes(attributes)

    def set_attribute(self, key: str, value: Any) -> None:
        """Set it on the span."""
        self.real().set_attribute(key, value)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        """Add it to the span."""
        self.real().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Any = None) -> None:
        """Add it to the span."""
        self.real().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        """Name the span."""
        self.real().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set it on the span."""
        self.real().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Any = None,
        timestamp: int | None = None,
        escaped: bool = False,  # noqa: FBT001, FBT002 - the interface's
    ) -> None:
        """Record it on the span."""
        self.real().record_exception(exception, attributes, timestamp, escaped)

    def end(self, end_time: int | None = None) -> None:
        """Do nothing: it ends when what it stands for is over."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real(), name)  # what opentelemetry-sdk's spans have beyond the interface


class Unit(StandIn):
    """A message that is handled, or a push: what a connection does of itself up to the next thing that it sends.

    Attributes:
        traces: Of which connection.
        ended: Whether it is over.
        task: The task that received the message.
    """

    __slots__ = (
        "_attributes",
        "_ended_at",
        "_error",
        "_kind",
        "_links",
        "_making",
        "_name",
        "_span",
        "_started",
        "_touched",
        "ended",
        "task",
    )

    def __init__(
        self,
        traces: Traces,
        name: str,
        kind: SpanKind,
        attributes: dict[str, Any] | None = None,
        links: tuple[Link, ...] = (),
    ) -> None:
        self.traces = traces
        self.ended = False
        self.task: Any = None
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._links = links
        self._span: trace.Span | None = None
        self._started = self._touched = time.time_ns()
        self._ended_at = 0.0
        self._making = False
        self._error: BaseException | None = None

    def find(self) -> trace.Span:
        """Give its span, made now if there is none; long after its end, what the connection does of itself."""
        if self.ended and time.monotonic() - self._ended_at > GRACE:
            return self.traces.push()
        span = self._span
        return self._make() if span is None else span

    def _make(self) -> trace.Span:
        with _making:
            if self._span is not None:
                return self._span
            if self._making:  # a sampler that writes to the log: the record belongs to no span yet
                return trace.INVALID_SPAN
            self._making = True
            try:
                span = self.traces.begin_unit(
                    self._name, self._kind, self._attributes or {}, self._links, self._started
                )
            finally:
                self._making = False
            self._span = span
            if self.ended:
                span.end(self._touched)
            return span

    def describe(self, event_type: str, sender: SpanContext | None) -> bool:
        """Take on what the application knows of the message; False where it is no message, or over.

        Whoever describes it wants to see it: its span is made, as far as the budget goes.
        """
        if self.ended or self._kind is not SpanKind.CONSUMER:
            return False
        self._name = f"message {event_type}"
        described = {"kpi.websocket.event.type": event_type}
        link = None if sender is None else Link(sender, {LINK: "sender"})
        with _making:
            if self._span is None:
                self._attributes = {**(self._attributes or {}), **described}
                if link is not None:
                    self._links = (*self._links, link)
                self.real()
                return True
        self._span.update_name(self._name)
        self._span.set_attributes(described)
        if link is not None:
            self._span.add_link(link.context, link.attributes)
        return True

    def touch(self) -> None:
        """Note that something is done in it."""
        self._touched = time.time_ns()

    @property
    def idle(self) -> float:
        """Seconds since something was done in it."""
        return (time.time_ns() - self._touched) / 1e9

    def failed(self, error: BaseException) -> None:
        """Note an error that was raised in it, once; a task that is cancelled is none."""
        if self._error is error or not isinstance(error, Exception):
            return
        self._error = error
        span = self.real()  # somebody will want to know what happened
        if span.is_recording():
            mark(span, error_type(error), error)

    def recorded(self, error: BaseException) -> bool:
        """Whether its span has an error as its event."""
        return self._error is error and self._sampled

    @property
    def _sampled(self) -> bool:
        return self._span is not None and self._span.get_span_context().trace_flags.sampled

    def finish(self, *, now: bool = True) -> None:
        """End it: now, or when something was last done in it."""
        if self.ended:
            return
        if now:
            self._touched = time.time_ns()
        self._ended_at = time.monotonic()
        with _making:
            self.ended = True
            if self._span is not None:
                self._span.end(self._touched)


class Floating(StandIn):
    """The span of code that serves a connection, whatever that is doing."""

    __slots__ = ()

    def __init__(self, traces: Traces) -> None:
        self.traces = traces

    def find(self) -> trace.Span:
        """Give the span of what the connection is doing."""
        return self.traces.current_span()

    def describe(self, event_type: str, sender: SpanContext | None) -> bool:
        """Tell the message that is being handled."""
        handling = self.traces.handled_here()
        return handling is not None and handling.describe(event_type, sender)

    def failed(self, error: BaseException) -> None:
        """Note an error in the message that is being handled."""
        handling = self.traces.handled_here()
        if handling is not None:
            handling.failed(error)


def unsampled(handshake: SpanContext) -> trace.Span:
    """Give a span below which nothing is recorded; log records in it lead to the handshake's trace."""
    return trace.NonRecordingSpan(
        trace.SpanContext(
            handshake.trace_id, handshake.span_id, is_remote=False, trace_state=handshake.trace_state
        )
    )


def _after_fork() -> None:
    global _making
    _making = threading.RLock()  # a thread of the parent may have held it


forks.in_child(_after_fork)
