"""What every page says of the telemetry itself: when something came last, and what could not be kept."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from otel_kpi.dev.store import Store

_MINUTES: Final = 15
"""How far back what was refused still counts as news."""


@dataclass(frozen=True, slots=True)
class Reception:
    """What was received.

    Attributes:
        minute: The last one in which something was accepted, in minutes since 1970; None where nothing ever was.
        accepted: Items in the last quarter of an hour.
        refused: The same, of what was not kept.
        signal: What came last.
    """

    minute: int | None = None
    accepted: int = 0
    refused: int = 0
    signal: str = ""

    @property
    def last_ns(self) -> int | None:
        """The beginning of that minute."""
        return None if self.minute is None else self.minute * 60_000_000_000


def reception(store: Store | None) -> Reception | None:
    """What was received lately; None where another system receives."""
    if store is None:
        return None
    reader = store.reader()
    last = reader.execute(
        "SELECT minute, signal FROM intake WHERE outcome = 'accepted' ORDER BY minute DESC LIMIT 1"
    ).fetchone()
    since = int(time.time() // 60) - _MINUTES
    accepted, refused = reader.execute(
        "SELECT coalesce(sum(items) FILTER (WHERE outcome = 'accepted'), 0),"
        " coalesce(sum(items) FILTER (WHERE outcome IN ('rejected', 'malformed', 'refused', 'failed')), 0) FROM intake WHERE minute >= ?",
        (since,),
    ).fetchone()
    return Reception(last[0] if last else None, accepted, refused, last[1] if last else "")
