"""What is there at the moment: filters that clients have set, and events that wait to be sent."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks, record
from otel_kpi.packs.websocket import handles, instruments
from otel_kpi.packs.websocket.connections import current_connection, current_server, open_filters

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_BUFFERS: Final = 200
"""Names that are remembered, far above the budget of the attribute; later ones are one buffer."""

_filters: int | None = None
_buffers: Final[dict[str | None, float]] = {}


def filters(count: int) -> None:
    """Say how many filters are in force.

    Args:
        count: Inside of a connection those of its client, which are gone when it ends; elsewhere those of the whole
            process, in the place of what was said before.

    Exported as `kpi_websocket_active_filters`, the sum of both; nothing is exported before the first word.
    """
    global _filters
    if not _makes_sense(count):
        active_filters._dropped(count)  # noqa: SLF001 - handles count what they drop, and these readings come later
        return
    if current_server() is None:
        _filters = count
        return
    connection = current_connection()
    if connection is not None:
        connection.filters(count)


def buffer(size: float, name: str | None = None) -> None:
    """Say how many events wait to be sent.

    Args:
        size: In `{event}`, 0 or more; the last word counts.
        name: Which buffer, where a process has several; at most 20 distinct values.

    Exported as `kpi_websocket_buffer_size`; nothing is exported before the first word.
    """
    if not _makes_sense(size):
        buffer_size._dropped(size)  # noqa: SLF001 - as above
        return
    try:
        _buffers[name if name in _buffers or len(_buffers) < _MOST_BUFFERS else record.OTHER] = size
    except TypeError:
        buffer_size._dropped(size)  # noqa: SLF001 - a name without a hash


def _makes_sense(value: Any) -> bool:
    try:
        return 0 <= value < math.inf
    except TypeError:
        return False


def _active_filters() -> Iterable[tuple[int]]:
    of_connections = open_filters()
    if _filters is not None or of_connections:
        yield ((_filters or 0) + of_connections,)


def _buffer_sizes() -> Iterable[tuple[float, str | None]]:
    """Those that have no room of their own are one reading: two of one series would hide each other."""
    room = instruments.BUFFER.values
    named = [(name, size) for name, size in _buffers.copy().items() if name != record.OTHER]
    yield from ((size, name) for name, size in named[:room])
    rest = [*named[room:], *((name, size) for name, size in _buffers.copy().items() if name == record.OTHER)]
    if rest:
        yield sum(size for _, size in rest), rest[0][0]


active_filters: Final = record.observe(instruments.ACTIVE_FILTERS, _active_filters, handles.SCOPE)
buffer_size: Final = record.observe(instruments.BUFFER_SIZE, _buffer_sizes, handles.SCOPE)


def _after_fork() -> None:
    global _filters
    _filters = None
    _buffers.clear()


forks.in_child(_after_fork)
