"""A WebSocket of an ASGI application, from its handshake to its end.

The handshake is a SERVER span that ends when the connection is accepted or refused, so it is seen at once. Each
message that is handled, and each push, is a trace of its own with a link to it, if anything is seen to happen there.
When the connection ends a span below the handshake says how long it lasted, what came and went, and how it ended.
`docs/decisions/0009-websockets-in-many-traces.md` says why.

Counts do not depend on spans. Nothing here waits, and what is sent and received passes as it is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context
from opentelemetry.instrumentation.asgi import set_status_code
from opentelemetry.trace import Status, StatusCode

from otel_kpi import endings, forks
from otel_kpi.instrumentation.servers.asgi import captured_headers, left_by_framework
from otel_kpi.instrumentation.servers.server_request import in_context
from otel_kpi.instrumentation.websockets.traces import Traces
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
from otel_kpi.packs.websocket.serving import end_span

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.servers.server_request import ServerRequest

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
        self._request = request
        self._end_handshake = end
        self._parent = parent
        self._boundary = boundary
        self._conventions = conventions
        self._scope: Any = None
        self._traces = Traces(request, boundary)
        self._status = 0
        self._broken = False

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
                self._traces.waits()
            except Exception as error:
                boundary.failed(error)
            message = await receive()
            try:
                self._received(message)
            except Exception as error:
                boundary.failed(error)
            return message

        inside = in_connection(self, in_context(self._request, self._parent))
        inside = self._traces.context_of(self._traces.floating, inside)
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
            _live.discard(self)
            if self.connection is not None:
                self.connection.forget()  # however it ended, it is open no longer

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
        self._name_route()
        self.connection = Connection(self._traces.route, self._traces.handshake.get_span_context())
        self._traces.connection = self.connection
        _live.add(self)
        if self._traces.spans != "connection":
            self._end_handshake()

    def _name_route(self) -> None:
        request = self._request
        if not request.attributes.get("http.route"):
            route = left_by_framework(self._scope)
            if route:
                request.set_route(route)

    # --- messages

    def _after_send(self, message: Any) -> None:
        kind = message["type"]
        connection = self.connection
        if kind == "websocket.send":
            if connection is not None:
                connection.sent(_size(message))
                self._traces.sent()
        elif kind == "websocket.accept":
            self._accepted()
        elif kind == "websocket.close" and connection is not None:
            connection.closed(message.get("code") or NORMAL, "server")

    def _received(self, message: Any) -> None:
        kind = message["type"]
        connection = self.connection
        if kind == "websocket.receive" and connection is not None:
            size = _size(message)
            connection.received(size)
            self._traces.received(message, size, connection.received_messages)
        elif kind == "websocket.disconnect" and connection is not None:
            code = message.get("code") or NO_STATUS
            connection.closed(code, reported_by(code))

    # --- the end

    def _finish(self, error: BaseException | None) -> None:
        if self._traces.finished:
            return
        cancelled = error is not None and not isinstance(error, Exception)
        failure = error if isinstance(error, Exception) and not self._is_gone(error) else None
        self._name_route()
        connection = self.connection
        if connection is None:
            self._end_unaccepted(failure, cancelled=cancelled or failure is not error)
        elif self in _live:  # a child that was forked has none of its parent's
            self._end(connection, failure, cancelled=cancelled)
        self._traces.finished = True

    def _is_gone(self, error: Exception) -> bool:
        """Whether the client went away and the application says it in its own way, which is no error."""
        gone = any(cls.__name__ in _GONE for cls in type(error).__mro__)
        if gone and self.connection is not None and self.connection.is_open:
            code = getattr(error, "code", None)
            self.connection.closed(code if isinstance(code, int) else _BROKEN, "client")
        return gone or (self._broken and isinstance(error, OSError))

    def _end(self, connection: Connection, error: Exception | None, *, cancelled: bool) -> None:
        _live.discard(self)
        connection.route = self._traces.route
        recorded = self._traces.finish(error)
        if error is not None:
            connection.failed(error)
        elif cancelled:
            connection.closed(GOING_AWAY, "server")
        else:
            connection.closed(_BROKEN if self._broken else NORMAL, "client" if self._broken else "server")
        if self._traces.spans == "connection":
            self._end_whole(connection, error)
        else:
            end_span(connection, error, recorded=recorded)

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


def _size(message: Any) -> int:
    text = message.get("text")
    if text is None:
        return len(message.get("bytes") or b"")
    # Python knows of a text whether it is ASCII without looking at it.
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _process_ends(_signal: int | None) -> None:
    for each in tuple(_live):
        each.process_ends()


endings.before_end(_process_ends)
# What a child does with a connection of its parent's is not told of twice.
forks.in_child(_live.clear)
