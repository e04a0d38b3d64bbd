"""Who calls whom, as it was counted when the spans were written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_kpi.dev.views import Dependency

if TYPE_CHECKING:
    import sqlite3

_MINUTE: Final = 60 * 10**9


def dependencies(reader: sqlite3.Connection, start_ns: int, end_ns: int) -> list[Dependency]:
    """Calls between services in the minutes that a time touches, the most frequent first."""
    rows = reader.execute(
        "SELECT p.name, c.name, sum(k.calls), sum(k.errors) FROM call k "
        "JOIN service p ON p.id = k.parent JOIN service c ON c.id = k.child "
        "WHERE k.minute BETWEEN ? AND ? GROUP BY k.parent, k.child ORDER BY sum(k.calls) DESC, p.name, c.name",
        (start_ns // _MINUTE, end_ns // _MINUTE),
    )
    return [Dependency(*row) for row in rows]
