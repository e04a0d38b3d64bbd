"""Connections: how many there are now, how long they last, what comes and goes, and how they end.

How many there are is read off the connections themselves and is not a sum of what was added: neither `clear_metrics()`
nor a fork makes it wrong, and it never falls below zero.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from opentelemetry import context, trace

from otel_kpi import endings, forks, record
from otel_kpi.packs.outcome import error_type
from otel_kpi.packs.websocket import handles, instruments
from otel_kpi.packs.websocket.closing import By, close_class

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.context import Context
    from opentelemetry.trace import SpanContext

_KEY: Final = context.create_key("otel_kpi.websocket.connection")
CLOSE_CODE: Final = "websocket.close_code"
NORMAL: Final = 1000
NO_STATUS: Final = 1005
INTERNAL_ERROR: Final = 1011
GOING_AWAY: Final = 1001
_NO_CODE: Final = 0
_PARTIES: Final = ("client", "server")
_MOST: Final = 2**53

_open: Final[set[Connection]] = set()


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
        self.route = route if isinstance(route, str) else ""  # pyright: ignore[reportUnnecessaryIsInstance] - as it came
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
        handles.messages.add(1, "receive")
        if size:
            handles.io.add(size, "receive")
            self.received_bytes += _counted(size)

    def sent(self, size: int = 0) -> None:
        """Count a message that went.

        Args:
            size: Bytes of it.
        """
        self.sent_messages += 1
        handles.messages.add(1, "transmit")
        if size:
            handles.io.add(size, "transmit")
            self.sent_bytes += _counted(size)

    def filters(self, count: int) -> None:
        """Say how many filters its client has set; they are gone with it."""
        self.held_filters = _counted(count)

    def closed(self, code: int = NORMAL, by: By = "client") -> None:
        """Say how it ended. Later calls change nothing.

        Args:
            code: The close code, 1005 when the client gave none, 1006 when the connection broke.
            by: Who ended it.
        """
        self._end(code if isinstance(code, int) else _NO_CODE, by if by in _PARTIES else "client")  # pyright: ignore[reportUnnecessaryIsInstance] - as it came

    def forget(self) -> None:
        """Count it no longer, and say nothing of how it ended: nobody knows."""
        self._end(None, None)

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
        handles.connection_duration.record(self._lasted, said, context=below(self.handshake))

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


def below(handshake: SpanContext | None) -> Context:
    """Give a context in which what begins is below the handshake; an empty one where there is none."""
    if handshake is None:
        return context.Context()
    return trace.set_span_in_context(trace.NonRecordingSpan(handshake), context.Context())


def _counted(amount: Any) -> int:
    """Give an amount that makes sense, and 0 for any other: what is dropped the handles count."""
    return int(amount) if isinstance(amount, int | float) and 0 <= amount < _MOST else 0


class Served(Protocol):
    """Who serves a connection, from its handshake on."""

    @property
    def connection(self) -> Connection | None:
        """What is counted of it; None before it is accepted."""
        ...


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


# --- how many there are


def open_filters() -> int:
    """Give the filters that clients of open connections have set."""
    return sum(each.held_filters for each in tuple(_open))


def _end_all(_signal: int | None) -> None:
    """The process ends, and what it says last is that it has no connections."""
    for each in tuple(_open):
        each.closed(GOING_AWAY, "server")


def _active() -> Iterable[tuple[int]]:
    yield (len(_open),)


active_connections: Final = record.observe(instruments.ACTIVE_CONNECTIONS, _active, handles.SCOPE)


endings.before_end(_end_all)
forks.in_child(_open.clear)
