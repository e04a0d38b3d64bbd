"""Which trace what a connection does belongs to: its handshake's, a message's, or that of a push.

What is current in code that serves a connection is a stand-in (`units`), which asks here. A message has a context of
its own in the task that received it, and what that task starts; elsewhere the message that is being handled is found
from here, and where there is none, what is done is a push, up to the next thing that is sent.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from otel_kpi._version import __version__
from otel_kpi.instrumentation.websockets.choices import CHOICES
from otel_kpi.instrumentation.websockets.units import LINK, Budget, Floating, Unit, unsampled
from otel_kpi.packs.websocket import handles
from otel_kpi.packs.websocket.messages import current_unit, in_unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.servers.server_request import ServerRequest
    from otel_kpi.packs.websocket.connections import Connection

SCOPE: Final = "otel_kpi.instrumentation.websockets"
IDLE: Final = 60.0
"""Seconds without anything after which what follows is another push."""
DISCONNECT: Final = "disconnect"
"""What is done after the connection has ended: the span's name, before the route."""


class Traces:
    """The traces of one connection.

    Args:
        request: Its handshake, begun.
        boundary: Counts errors that are ours.

    Attributes:
        spans: What has spans, as chosen when it began.
        connection: What is counted; None before the acceptance.
        handling: The message that is being handled.
        last_received: Attributes of the message that came last.
        dispatched: Whether a framework says when it handles a message.
        finished: Whether the connection is over.
        floating: The current span of code that serves it.
    """

    def __init__(self, request: ServerRequest, boundary: Boundary) -> None:
        self.spans = CHOICES.spans
        self.connection: Connection | None = None
        self.handling: Unit | None = None
        self.last_received: dict[str, Any] = {}
        self.dispatched = False
        self.finished = False
        self.floating = Floating(self)
        self.failed = boundary.failed
        self._request = request
        self._budget = Budget(CHOICES.first)
        self._push: Unit | None = None
        self._noted: BaseException | None = None
        self._tracer = trace.get_tracer(SCOPE, __version__)

    @property
    def handshake(self) -> trace.Span:
        """Its SERVER span."""
        return self._request.span or trace.INVALID_SPAN

    @property
    def route(self) -> str:
        """The template of its path; empty when it is not known."""
        return str(self._request.attributes.get("http.route") or "")

    # --- what happens

    def sent(self) -> None:
        """Something was sent: a push is over, a message goes on."""
        unit = current_unit()
        if isinstance(unit, Unit):
            if not unit.ended:
                return
            # What began in a message and sends on after it is over pushes from now on. A span of the
            # application's stays current.
            if trace.get_current_span() is unit:
                context.attach(self.context_of(self.floating))
        self._end_push()

    def waits(self) -> None:
        """The next message is waited for: the one before is handled."""
        if self.connection is None or self.spans != "linked" or self.dispatched:
            return
        unit, self.handling = self.handling, None
        if unit is not None:
            unit.finish()
            context.attach(self.context_of(self.floating))
        elif current_unit() is self.floating:
            self._end_push()

    def received(self, message: Any, size: int, number: int) -> None:
        """A message came, which is handled from here unless a framework says when.

        Args:
            message: As ASGI has it.
            size: Its bytes.
            number: Which of the connection, from 1.
        """
        if self.spans != "linked":
            return
        self.last_received = {
            "websocket.message.type": "binary" if message.get("text") is None else "text",
            "websocket.message.size": size,
            "kpi.websocket.message.number": number,
        }
        if not self.dispatched:
            self.handling = Unit(self, "", SpanKind.CONSUMER, self.last_received)
            self.handling.task = _current_task()
            context.attach(self.context_of(self.handling))

    def handle(
        self, name: str, attributes: dict[str, Any], sender: trace.SpanContext | None = None
    ) -> Unit | None:
        """Begin to handle a message, where a framework says so.

        Args:
            name: Of the span; empty is after the route.
            attributes: Of the span.
            sender: The span that sent it, if the message says so.

        Returns:
            What ends it; None when messages have no spans.
        """
        if self.connection is None or self.spans != "linked":
            return None
        links = () if sender is None else (Link(sender, {LINK: "sender"}),)
        kind = SpanKind.INTERNAL if name == DISCONNECT else SpanKind.CONSUMER
        self.handling = Unit(self, name, kind, attributes, links)
        return self.handling

    def note(self, unit: Unit, error: Exception) -> None:
        """Note an error in the message in which it was raised; it is on its way to end the connection."""
        unit.failed(error)
        if unit.recorded(error):
            self._noted = error

    def finish(self, error: Exception | None) -> bool:
        """End what is not over.

        Args:
            error: What ended the connection.

        Returns:
            Whether the span of a message has the error as its event.
        """
        self.finished = True
        unit = self.handling
        if unit is not None and not unit.ended:
            if error is not None:
                self.note(unit, error)
            unit.finish()
        self._end_push()
        return error is not None and error is self._noted

    def _end_push(self) -> None:
        if self._push is not None:
            self._push.finish()
            self._push = None

    # --- where one is

    def context_of(self, stand_in: Unit | Floating, where: Context | None = None) -> Context:
        """Give a context in which a stand-in is the current span."""
        return in_unit(stand_in, trace.set_span_in_context(stand_in, where))

    def current_span(self) -> trace.Span:
        """Give the span of what is being done."""
        if self.connection is None or self.spans == "connection":
            return self.handshake
        if self.spans == "off":
            return trace.INVALID_SPAN
        unit = self.handled_here()
        return self.push() if unit is None or self.finished else unit.real()

    def handled_here(self) -> Unit | None:
        """Give the message that code handles which has not its context, if there is one.

        Where the task that received it still runs, that one has it: who asks here is another.
        """
        unit = self.handling
        if unit is None or unit.ended or not (unit.task is None or unit.task.done()):
            return None
        return unit

    def push(self) -> trace.Span:
        """Give the span of what the connection does of itself."""
        if self.finished:
            return trace.NonRecordingSpan(self.handshake.get_span_context())
        unit = self._push
        if unit is not None and unit.idle > IDLE:
            unit.finish(now=False)
        if unit is None or unit.ended:
            closed = self.connection is not None and not self.connection.is_open
            unit = self._push = Unit(self, DISCONNECT if closed else "push", SpanKind.INTERNAL)
        unit.touch()
        return unit.real()

    def begin_unit(
        self, name: str, kind: SpanKind, attributes: dict[str, Any], links: Sequence[Link], started: int
    ) -> trace.Span:
        """Begin the span of a message or a push, as far as the budget goes.

        Args:
            name: Its name; empty for a message of which nothing is known.
            kind: CONSUMER for a message.
            attributes: What is known.
            links: To who sent it.
            started: In nanoseconds since 1970.
        """
        origin = self.handshake.get_span_context()
        if not self._budget.take(time.monotonic()):
            if self.connection is not None:
                self.connection.untraced += 1
            handles.untraced_messages.add(1)
            return unsampled(origin)
        route = self.route
        if not name or kind is SpanKind.INTERNAL:
            name = f"{name or 'message'} {route}".strip()
        if route:
            attributes = {**attributes, "http.route": route}
        to_handshake = [Link(origin, {LINK: "handshake"})] if origin.is_valid else []
        return self._tracer.start_span(name, Context(), kind, attributes, [*links, *to_handshake], started)


def current_traces() -> Traces | None:
    """Give the traces of the connection that is being served here."""
    unit = current_unit()
    return unit.traces if isinstance(unit, (Unit, Floating)) else None


def _current_task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # another event loop than asyncio's
