"""A WebSocket of an ASGI application, from its handshake to its end.

The handshake is a SERVER span that ends when the connection is accepted or refused, so it is seen at once. Each
message that is handled, and each push, is a trace of its own with a link to it, if anything is seen to happen there.
When the connection ends a span below the handshake says how long it lasted, what came and went, and how it ended.
`docs/decisions/0009-websockets-in-many-traces.md` says why.

Counts do not depend on spans. Nothing here waits, and what is sent and received passes as it is.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.asgi import set_status_code
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from otel_kpi import endings
from otel_kpi._version import __version__
from otel_kpi.instrumentation.servers.asgi import captured_headers, left_by_framework
from otel_kpi.instrumentation.servers.server_request import in_context
from otel_kpi.instrumentation.websockets.choices import CHOICES
from otel_kpi.instrumentation.websockets.units import LINK, Budget, Floating, Unit, unsampled
from otel_kpi.packs.outcome import error_type
from otel_kpi.packs.websocket import handles
from otel_kpi.packs.websocket.closing import reported_by
from otel_kpi.packs.websocket.connections import (
    GOING_AWAY,
    INTERNAL_ERROR,
    NO_STATUS,
    NORMAL,
    Connection,
    in_connection,
)
from otel_kpi.packs.websocket.messages import current_unit, in_unit
from otel_kpi.packs.websocket.serving import end_span

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.servers.server_request import ServerRequest

SCOPE: Final = "otel_kpi.instrumentation.websockets"
IDLE: Final = 60.0
"""Seconds without anything after which what follows is another push."""
DISCONNECT: Final = "disconnect"
"""What is done after the connection has ended: the span's name, before the route."""
_BROKEN: Final = 1006
_SWITCHING: Final = 101
_REFUSED: Final = 403
_FAILED: Final = 500
# What servers, frameworks and libraries call it when an application sends to a client that is gone.
_GONE: Final = frozenset({
    "ClientDisconnect", "ClientDisconnected", "ConnectionClosed", "ConnectionClosedError", "ConnectionClosedOK",
    "WebSocketDisconnect",
})  # fmt: skip

_live: Final[set[Conversation]] = set()


class Conversation:
    """One connection on its way: looks at what is sent and received.

    Args:
        request: Its handshake, begun.
        end: Ends that.
        parent: The context in which it began.
        boundary: Of the instrumentor that speaks.
        conventions: Which generation of attributes the handshake has.

    Attributes:
        connection: What is counted of it; None before it is accepted.
        handling: The message that is being handled.
        last_received: Attributes of the message that came last.
        dispatched: Whether a framework says when it handles a message.
    """

    def __init__(
        self,
        request: ServerRequest,
        end: Callable[[], None],
        parent: Context,
        boundary: Boundary,
        conventions: Any,
    ) -> None:
        self.connection: Connection | None = None
        self.handling: Unit | None = None
        self.last_received: dict[str, Any] = {}
        self.dispatched = False
        self._request = request
        self._end_handshake = end
        self._parent = parent
        self._boundary = boundary
        self._conventions = conventions
        self._scope: Any = None
        self._spans = CHOICES.spans
        self._budget = Budget(CHOICES.first)
        self._floating = Floating(self)
        self._push: Unit | None = None
        self._status = 0
        self._numbered = 0
        self._broken = False
        self._finished = False
        self._noted: BaseException | None = None
        self._tracer = trace.get_tracer(SCOPE, __version__)

    async def run(self, app: Any, scope: Any, receive: Any, send: Any) -> None:
        """Have the application serve it."""
        self._scope = scope
        boundary = self._boundary

        async def watched_send(message: Any) -> None:
            try:
                self._before_send(message)
            except Exception as error:
                boundary.failed(error)
            try:
                await send(message)
            except OSError:
                self._broken = True
                raise
            try:
                self._after_send(message)
            except Exception as error:
                boundary.failed(error)

        async def watched_receive() -> Any:
            try:
                self._before_receive()
            except Exception as error:
                boundary.failed(error)
            message = await receive()
            try:
                self._received(message)
            except Exception as error:
                boundary.failed(error)
            return message

        inside = in_connection(self, in_context(self._request, self._parent))
        inside = self.context_of(self._floating, inside)
        token = context.attach(inside)
        try:
            await app(scope, watched_receive, watched_send)
        except GeneratorExit as error:
            self._guarded(error)  # the loop is gone: there is no context to leave
            raise
        except BaseException as error:
            self._guarded(error)
            context.detach(token)
            raise
        self._guarded(None)
        context.detach(token)

    def _guarded(self, error: BaseException | None) -> None:
        try:
            self._finish(error)
        except Exception as ours:
            self._boundary.failed(ours)

    # --- the handshake

    def _before_send(self, message: Any) -> None:
        kind = message["type"]
        if kind == "websocket.send":
            return
        if kind in {"websocket.accept", "websocket.http.response.start"}:
            self._answer(_SWITCHING if kind == "websocket.accept" else int(message["status"]))
            if self._request.span is not None:
                self._request.span.set_attributes(captured_headers(message, response=True))
        elif kind == "websocket.close" and self.connection is None:
            self._answer(_REFUSED)  # what the server makes of it

    def _answer(self, status: int) -> None:
        if not self._status:
            self._status = status
            if self._request.span is not None:
                set_status_code(self._request.span, status, self._request.attributes, self._conventions)

    def _accepted(self) -> None:
        if self.connection is not None:
            return
        span = self._request.span
        assert span is not None  # noqa: S101 - it was started before this began
        self._name_route()
        self.connection = Connection(self.route, span.get_span_context())
        _live.add(self)
        if self._spans == "connection":
            return
        self._end_handshake()

    def _name_route(self) -> None:
        request = self._request
        if not request.attributes.get("http.route"):
            route = left_by_framework(self._scope)
            if route:
                request.set_route(route)

    @property
    def route(self) -> str:
        """The template of its path; empty when it is not known."""
        return str(self._request.attributes.get("http.route") or "")

    # --- messages

    def _after_send(self, message: Any) -> None:
        kind = message["type"]
        connection = self.connection
        if kind == "websocket.send":
            if connection is not None:
                connection.sent(_size(message))
                self._pushed()
        elif kind == "websocket.accept":
            self._accepted()
        elif kind == "websocket.close" and connection is not None:
            connection.closed(message.get("code") or NORMAL, "server")

    def _pushed(self) -> None:
        """Something was sent: a push is over, a message goes on."""
        unit = current_unit()
        if isinstance(unit, Unit):
            if not unit.ended:
                return
            # What began in a message and sends on after it is over pushes from now on. A span of the
            # application's stays current.
            if trace.get_current_span() is unit:
                context.attach(self.context_of(self._floating))
        if self._push is not None:
            self._push.finish()
            self._push = None

    def _before_receive(self) -> None:
        if self.connection is None or self._spans != "linked" or self.dispatched:
            return
        unit, self.handling = self.handling, None
        if unit is not None:
            unit.finish()
            context.attach(self.context_of(self._floating))
        elif self._push is not None and current_unit() is self._floating:
            self._push.finish()
            self._push = None

    def _received(self, message: Any) -> None:
        kind = message["type"]
        connection = self.connection
        if kind == "websocket.receive" and connection is not None:
            size = _size(message)
            connection.received(size)
            if self._spans == "linked":
                self._handled_from_here(message, size, connection.received_messages)
        elif kind == "websocket.disconnect" and connection is not None:
            code = message.get("code") or NO_STATUS
            connection.closed(code, reported_by(code))

    def _handled_from_here(self, message: Any, size: int, number: int) -> None:
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
        if self.connection is None or self._spans != "linked":
            return None
        links = () if sender is None else (Link(sender, {LINK: "sender"}),)
        kind = SpanKind.INTERNAL if name == DISCONNECT else SpanKind.CONSUMER
        self.handling = Unit(self, name, kind, attributes, links)
        return self.handling

    def context_of(self, stand_in: Unit | Floating, where: Context | None = None) -> Context:
        """Give a context in which a stand-in is the current span."""
        return in_unit(stand_in, trace.set_span_in_context(stand_in, where))

    # --- spans

    def current_span(self) -> trace.Span:
        """Give the span of what is being done."""
        handshake = self._request.span
        assert handshake is not None  # noqa: S101 - as above
        if self.connection is None or self._spans == "connection":
            return handshake
        if self._spans == "off":
            return trace.INVALID_SPAN
        if self._finished:
            return trace.NonRecordingSpan(handshake.get_span_context())
        unit = self.handled_here()
        return self.push() if unit is None else unit.real()

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
        handshake = self._request.span
        assert handshake is not None  # noqa: S101 - as above
        if self._finished:
            return trace.NonRecordingSpan(handshake.get_span_context())
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
        handshake = self._request.span
        assert handshake is not None  # noqa: S101 - as above
        origin = handshake.get_span_context()
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

    # --- the end

    def _finish(self, error: BaseException | None) -> None:
        if self._finished:
            return
        if error is not None and (self._is_gone(error) or not isinstance(error, Exception)):
            self._end(None, cancelled=not isinstance(error, Exception))
        else:
            self._end(error if isinstance(error, Exception) else None)

    def _is_gone(self, error: BaseException) -> bool:
        """Whether the client went away and the application says it in its own way, which is no error."""
        if self.connection is None:
            return False
        gone = any(cls.__name__ in _GONE for cls in type(error).__mro__)
        if gone and self.connection.is_open:
            code = getattr(error, "code", None)
            self.connection.closed(code if isinstance(code, int) else _BROKEN, "client")
        return gone or (self._broken and isinstance(error, OSError))

    def _end(self, error: Exception | None, *, cancelled: bool = False) -> None:
        self._name_route()
        connection = self.connection
        if connection is None:
            self._end_unaccepted(error, cancelled=cancelled)
            self._finished = True
            return
        self._finished = self not in _live  # a child that was forked has none of its parent's
        if self._finished:
            return
        connection.route = self.route
        recorded = False
        for unit in (self.handling, self._push):
            if unit is not None and not unit.ended:
                if error is not None and unit is self.handling:
                    unit.failed(error)
                unit.finish()
            recorded = recorded or (unit is not None and error is not None and unit.recorded(error))
        recorded = recorded or (error is not None and error is self._noted)
        self._finished = True
        _live.discard(self)
        if error is not None:
            connection.failed(error)
        elif cancelled:
            connection.closed(GOING_AWAY, "server")
        else:
            connection.closed(_BROKEN if self._broken else NORMAL, "client" if self._broken else "server")
        if self._spans == "connection":
            self._end_whole(connection, error)
        else:
            end_span(connection, error, recorded=recorded)

    def note(self, unit: Unit, error: Exception) -> None:
        """Note an error in the message in which it was raised; it is on its way to end the connection."""
        unit.failed(error)
        if unit.recorded(error):
            self._noted = error

    def _end_unaccepted(self, error: Exception | None, *, cancelled: bool) -> None:
        if error is not None:
            self._answer(_FAILED)  # what every server makes of an error before the answer
            self._request.failed(error)
            handles.errors.add(1, error_type(error))
            result = "error"
        elif cancelled or not self._status:
            result = "abandoned"
        else:
            result = "rejected"
        handles.handshakes.add(1, result)
        self._end_handshake()

    def _end_whole(self, connection: Connection, error: Exception | None) -> None:
        span = self._request.span
        if span is not None:
            span.set_attributes(connection.attributes())
            if error is not None:
                self._request.failed(error)
            elif connection.code == INTERNAL_ERROR:
                span.set_status(Status(StatusCode.ERROR))
        self._end_handshake()

    def process_ends(self) -> None:
        """End it: the process does, and nobody will come back to say so."""
        self._guarded(asyncio.CancelledError())


def current_conversation() -> Conversation | None:
    """Give the conversation that is being served here."""
    unit = current_unit()
    return unit.conversation if isinstance(unit, (Unit, Floating)) else None


def _size(message: Any) -> int:
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    # Python knows of a text whether it is ASCII without looking at it.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _current_task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None  # another event loop than asyncio's


def _process_ends(_signal: int | None) -> None:
    for each in tuple(_live):
        each.process_ends()


endings.before_end(_process_ends)
if hasattr(os, "register_at_fork"):
    # What a child does with a connection of its parent's is not told of twice.
    os.register_at_fork(after_in_child=_live.clear)
