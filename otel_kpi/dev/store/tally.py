"""What became of what was sent, by minute: accepted, refused and why. It is written with the next commit."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, Literal

from otel_kpi.dev.store.dictionary import clean

if TYPE_CHECKING:
    import sqlite3

    from otel_kpi.dev.telemetry import Signal

Outcome = Literal[
    "accepted", "duplicate", "late", "future", "dropped", "rejected", "malformed", "refused", "failed"
]
"""`duplicate` came before and is not kept again; `late`, `future` and `dropped` (attributes, events and links that the
sender left out) are of what was accepted. `rejected` were items of a request that cannot be kept, `malformed` whole
requests, `refused` requests while too much waited, `failed` requests that could not be written."""

_MINUTE: Final = 60
_LONGEST: Final = 500


class Tally:
    """Counts, from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._counted: dict[tuple[int, str, str, int], tuple[int, str]] = {}
        self.now = 0.0

    def add(  # noqa: PLR0913 - what is counted
        self,
        signal: Signal,
        outcome: Outcome,
        items: int,
        *,
        service: int = 0,
        last: str = "",
        now: float | None = None,
    ) -> None:
        """Count.

        Args:
            signal: Of what.
            outcome: What became of it.
            items: How many.
            service: Whose; 0 where nobody can tell.
            last: What the problem was.
            now: When, in seconds since 1970; the time of the commit without.
        """
        if not items:
            return
        key = (int(self.now if now is None else now) // _MINUTE, signal, outcome, service)
        with self._lock:
            count, said = self._counted.get(key, (0, ""))
            self._counted[key] = (count + items, clean(last[:_LONGEST]) or said)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self._counted

    def take(self) -> dict[tuple[int, str, str, int], tuple[int, str]]:
        """What was counted; it begins anew."""
        with self._lock:
            counted, self._counted = self._counted, {}
        return counted

    def put_back(self, counted: dict[tuple[int, str, str, int], tuple[int, str]]) -> None:
        """Count again what was taken and could not be written."""
        with self._lock:
            for key, (items, last) in counted.items():
                count, said = self._counted.get(key, (0, ""))
                self._counted[key] = (count + items, said or last)


def write(connection: sqlite3.Connection, counted: dict[tuple[int, str, str, int], tuple[int, str]]) -> None:
    """Add counts to the table."""
    connection.executemany(
        "INSERT INTO intake (minute, signal, outcome, service, items, last) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO UPDATE SET items = items + excluded.items, "
        "last = CASE excluded.last WHEN '' THEN last ELSE excluded.last END",
        [(*key, *counts) for key, counts in counted.items()],
    )
