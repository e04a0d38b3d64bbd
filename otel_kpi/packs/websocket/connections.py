"""Connections: how many there are now, how long they last, what comes and goes, and how they end.

An instrumentor counts the connections of ASGI applications. Where there is none (the library `websockets`, aiohttp,
a protocol of your own) the application says `with websocket.connection(...)`, or `connected()` and `disconnected()`.
Inside of a connection that is counted already these do nothing, so the same code is right with and without.

How many there are is read off the connections themselves and is not a sum of what was added: neither `clear_metrics()`
nor a fork makes it wrong, and it never falls below zero.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_kpi import endings, record
from otel_kpi.packs.outcome import error_type
from otel_kpi.packs.websocket import handles, instruments
from otel_kpi.packs.websocket.closing import By, close_class

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

_logger = logging.getLogger("otel_kpi.websocket")

_KEY: Final = context.create_key("otel_kpi.websocket.connection")
CLOSE_CODE: Final = "websocket.close_code"
NORMAL: Final = 1000
NO_STATUS: Final = 1005
INTERNAL_ERROR: Final = 1011
GOING_AWAY: Final = 1001

_open: Final[set[Connection]] = set()
_without_name: Final[list[Connection]] = []
"""Connections of `connected()`, whose end is told by a `disconnected()` that names none."""


class Connection:
    """One connection, from its acceptance to its end. No method raises.

    Attributes:
        route: The template of its path; empty when it is not known.
        handshake: The span that its messages are linked to; None when there is none.
        opened: When it was accepted, in nanoseconds since 1970.
        received_messages: How many came; likewise `sent_messages`, `received_bytes` and `sent_bytes`.
        untraced: Messages and pushes that would have had a span and got none.
        code: By which code it was closed; None while it is open, and when nobody said.
        by: Who ended it; None while it is open.
        error: What the application raised; None when it raised nothing.
        held_filters: Filters that its client has set.
    """

    __slots__ = (
        "_lasted",
        "_since",
        "by",
        "code",
        "error",
        "handshake",
        "held_filters",
        "opened",
        "received_bytes",
        "received_messages",
        "route",
        "sent_bytes",
        "sent_messages",
        "untraced",
    )

    def __init__(self, route: str = "", handshake: SpanContext | None = None) -> None:
        self.route = route
        self.handshake = handshake
        self.received_messages = self.sent_messages = self.received_bytes = self.sent_bytes = 0
        self.untraced = self.held_filters = 0
        self.code: int | None = None
        self.by: By | None = None
        self.error: BaseException | None = None
        self._lasted = 0.0
        self.opened = time.time_ns()
        self._since = time.perf_counter()
        handles.handshakes.add(1, "accepted")
        _open.add(self)

    @property
    def connection(self) -> Connection:
        """Itself: it is served where it is current."""
        return self

    @property
    def is_open(self) -> bool:
        """Whether it has not ended, and is this process's: a forked child has none of its parent's."""
        return self in _open

    def received(self, size: int = 0) -> None:
        """Count a message that came.

        Args:
            size: Bytes of it.
        """
        self.received_messages += 1
        self.received_bytes += size
        handles.messages.add(1, "receive")
        if size:
            handles.io.add(size, "receive")

    def sent(self, size: int = 0) -> None:
        """Count a message that went.

        Args:
            size: Bytes of it.
        """
        self.sent_messages += 1
        self.sent_bytes += size
        handles.messages.add(1, "transmit")
        if size:
            handles.io.add(size, "transmit")

    def filters(self, count: int) -> None:
        """Say how many filters its client has set; they are gone with it."""
        self.held_filters = max(0, count)

    def closed(self, code: int = NORMAL, by: By = "client") -> None:
        """Say how it ended. Later calls change nothing.

        Args:
            code: The close code, 1005 when the client gave none, 1006 when the connection broke.
            by: Who ended it.
        """
        self._end(code, by)

    def failed(self, error: BaseException) -> None:
        """Say that an error ended it that nobody handled. A task that is cancelled ends it without being an error."""
        if isinstance(error, Exception):
            if self.error is None:
                self.error = error
                handles.errors.add(1, error_type(error))
            self._end(INTERNAL_ERROR, "server")
        else:
            self._end(GOING_AWAY, "server")

    def _end(self, code: int | None, by: By | None) -> None:
        try:
            _open.remove(self)  # one step: whoever takes it out is the one who ends it
        except KeyError:
            return
        self.code, self.by = code, by
        self._lasted = time.perf_counter() - self._since
        if code is None:
            return
        said = close_class(code)
        handles.closes.add(1, said, by)
        # Its exemplar is the trace of the handshake, whatever happens to be current where the end was noticed.
        handles.connection_duration.record(self._lasted, said, context=_linked(self.handshake))

    def attributes(self) -> dict[str, Any]:
        """Give the attributes of its span."""
        found: dict[str, Any] = {
            "kpi.websocket.duration": round(self._lasted or time.perf_counter() - self._since, 6),
            "kpi.websocket.messages.received": self.received_messages,
            "kpi.websocket.messages.sent": self.sent_messages,
            "kpi.websocket.bytes.received": self.received_bytes,
            "kpi.websocket.bytes.sent": self.sent_bytes,
        }
        if self.route:
            found["http.route"] = self.route
        if self.untraced:
            found["kpi.websocket.messages.untraced"] = self.untraced
        if self.code is not None:
            found[CLOSE_CODE] = self.code
        if self.by is not None:
            found["kpi.websocket.close.by"] = self.by
        if self.error is not None:
            found["error.type"] = error_type(self.error)
        return found


class Served(Protocol):
    """Who serves a connection, from its handshake on."""

    @property
    def connection(self) -> Connection | None:
        """What is counted of it; None before it is accepted."""
        ...


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


def _linked(handshake: SpanContext | None) -> Context:
    if handshake is None:
        return context.Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(handshake), context.Context())


# --- the connection that is current


def in_connection(served: Served, where: Context | None = None) -> Context:
    """Give a context in which a connection is current."""
    return context.set_value(_KEY, served, where)


def current_server() -> Served | None:
    """Give who serves a connection here, before its acceptance and after its end, too."""
    return cast("Served | None", context.get_value(_KEY))


def current_connection() -> Connection | None:
    """Give the connection that is being served here; None outside of one, before it is accepted and after its end."""
    served = current_server()
    found = None if served is None else served.connection
    return found if found is not None and found.is_open else None


# --- what an application says itself


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
        connection: What `connected()` returned. Without it any one of those that are open is taken, and since nobody
            knows which it was, neither its duration nor its end is recorded.
        code: The close code.
        by: Who ended the connection.
    """
    if connection is not None:
        if connection in _without_name:
            _without_name.remove(connection)
        connection.closed(code, by)
    elif current_server() is None:
        try:
            any_one = _without_name.pop()
        except IndexError:
            return  # nobody was counted, so nobody is gone
        any_one._end(None, None)  # noqa: SLF001 - the module's own


class connection:  # noqa: N801 - a context manager, used as `with connection(...)`
    """A connection that this block serves, for `with` and `async with`; what it raises goes on.

    Args:
        route: The template of its path, `/feed/{topic}`; never the path itself.

    In it `message()` makes a trace for each message, linked to the span of the handshake: the current one, or one
    that is made here and ends at once.
    """

    __slots__ = ("_connection", "_route", "_token")

    def __init__(self, route: str = "") -> None:
        self._route = route

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
    except Exception:
        _logger.debug("a connection has no span", exc_info=True)
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
            _linked(connection.handshake),
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
    except Exception:
        _logger.debug("a connection's end has no span", exc_info=True)


def _valid(found: SpanContext) -> SpanContext | None:
    return found if found.is_valid else None


# --- how many there are


def open_filters() -> int:
    """Give the filters that clients of open connections have set."""
    return sum(each.held_filters for each in tuple(_open))


def _end_all(_signal: int | None) -> None:
    """The process ends, and what it says last is that it has no connections."""
    for each in tuple(_open):
        each.closed(GOING_AWAY, "server")
    _without_name.clear()


def _active() -> Iterable[tuple[int]]:
    yield (len(_open),)


active_connections: Final = record.observe(instruments.ACTIVE_CONNECTIONS, _active, handles.SCOPE)


def _after_fork() -> None:
    _open.clear()
    _without_name.clear()


endings.before_end(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
