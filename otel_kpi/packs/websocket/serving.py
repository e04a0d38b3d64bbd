"""Connections that an application counts itself, where no instrumentor does: the library `websockets`, aiohttp.

Inside of a connection that is counted already these do nothing, so the same code is right with and without.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_kpi import endings, forks
from otel_kpi.packs.faults import failed
from otel_kpi.packs.websocket import handles
from otel_kpi.packs.websocket.connections import (
    INTERNAL_ERROR,
    NORMAL,
    Connection,
    below,
    current_server,
    in_connection,
)

if TYPE_CHECKING:
    from types import TracebackType

    from opentelemetry.trace import SpanContext

    from otel_kpi.packs.websocket.closing import By
    from otel_kpi.packs.websocket.connections import Served

_without_name: Final[list[Connection]] = []
"""Connections of `connected()`, whose end is told by a `disconnected()` that names none."""


class _Counted(Connection):
    """What the application gets inside of a connection that an instrumentor counts: filters alone are news."""

    __slots__ = ("_by",)

    def __init__(self, by: Served) -> None:  # pyright: ignore[reportMissingSuperCall] - it is no further one
        self._by = by
        self.route, self.handshake = "", None

    @property
    def is_open(self) -> bool:
        return self._by.connection is not None and self._by.connection.is_open

    def received(self, size: int = 0) -> None:
        del size

    def sent(self, size: int = 0) -> None:
        del size

    def filters(self, count: int) -> None:
        if self._by.connection is not None:
            self._by.connection.filters(count)

    def closed(self, code: int = NORMAL, by: By = "client") -> None:
        del code, by

    def failed(self, error: BaseException) -> None:
        del error


def connected(route: str = "") -> Connection:
    """Count a client that connected, unless its connection is counted already.

    Args:
        route: The template of its path, for its spans.

    Returns:
        The connection, for `disconnected(connection)`.
    """
    served = current_server()
    if served is not None:
        return _Counted(served)
    connection = Connection(route, _valid(trace.get_current_span().get_span_context()))
    _without_name.append(connection)
    return connection


def disconnected(connection: Connection | None = None, code: int = NORMAL, by: By = "client") -> None:
    """Count a client that went away.

    Args:
        connection: What `connected()` returned. Without it, as with a socket of the server's instead, any one of those
            that are open is taken, and since nobody knows which it was, neither its duration nor its end is recorded.
        code: The close code.
        by: Who ended the connection.
    """
    if isinstance(connection, Connection):
        with contextlib.suppress(ValueError):  # another thread was first
            _without_name.remove(connection)
        connection.closed(code, by)
    elif current_server() is None:
        try:
            any_one = _without_name.pop()
        except IndexError:
            return  # nobody was counted, so nobody is gone
        any_one.forget()


class connection:  # noqa: N801 - a context manager, used as `with connection(...)`
    """A connection that this block serves, for `with` and `async with`; what it raises goes on.

    Args:
        route: The template of its path, `/feed/{topic}`; never the path itself.

    In it `message()` makes a trace for each message, linked to the span of the handshake: the current one, or one
    that is made here and ends at once.
    """

    __slots__ = ("_connection", "_route", "_token")

    def __init__(self, route: str = "") -> None:
        self._route = route if isinstance(route, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance] - as it came

    def __enter__(self) -> Connection:
        """Count it, and make it current."""
        self._token: Any = None
        served = current_server()
        if served is not None:
            self._connection: Connection = _Counted(served)
            return self._connection
        self._connection = Connection(self._route, _handshake(self._route))
        self._token = context.attach(in_connection(self._connection))
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Count its end, unless `closed()` has."""
        if self._token is None:
            return
        context.detach(self._token)
        self._token = None
        if error is None:
            self._connection.closed(NORMAL, "server")
        else:
            self._connection.failed(error)
        end_span(self._connection, error)

    async def __aenter__(self) -> Connection:
        """Likewise."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Likewise."""
        self.__exit__(kind, error, traceback)


def _handshake(route: str) -> SpanContext | None:
    """Give the span that messages are linked to: the current one, or one that is made here and ends at once."""
    try:
        span = trace.get_current_span()
        if not span.get_span_context().is_valid:
            attributes = {"http.response.status_code": 101} | ({"http.route": route} if route else {})
            name = route or "websocket"
            span = handles.tracer.start_span(name, context.Context(), SpanKind.SERVER, attributes)
            span.end()
        return _valid(span.get_span_context())
    except Exception as error:
        failed("the handshake of a connection", error)
        return None


def end_span(connection: Connection, error: BaseException | None = None, *, recorded: bool = False) -> None:
    """Make the span of a connection that has ended: from its acceptance to now, below its handshake.

    Args:
        connection: Which.
        error: What ended it.
        recorded: Whether a span of a message has the error as its event already.
    """
    try:
        name = f"connection {connection.route}".strip()
        span = handles.tracer.start_span(
            name,
            below(connection.handshake),
            SpanKind.INTERNAL,
            connection.attributes(),
            start_time=connection.opened,
        )
        if isinstance(error, Exception):
            if not recorded:
                span.record_exception(error)
            span.set_status(Status(StatusCode.ERROR, f"{type(error).__name__}: {error}"))
        elif connection.code == INTERNAL_ERROR:
            span.set_status(Status(StatusCode.ERROR))
        span.end()
    except Exception as fault:
        failed("the end of a connection", fault)


def _valid(found: SpanContext) -> SpanContext | None:
    return found if found.is_valid else None


def _forget(*_: object) -> None:
    _without_name.clear()


endings.before_end(_forget)
forks.in_child(_forget)
