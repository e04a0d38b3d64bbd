"""The indexes of words: one for a range of ids, so that what was forgotten leaves by a dropped table.

An index without content cannot delete a row (`contentless_delete` is of SQLite 3.43): rows of what is gone stay until
their whole range is, and a search that joins them to nothing drops them. Therefore an id is never given twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import sqlite3

Indexed = Literal["traces", "logs"]

SEGMENT: Final = 250_000
"""Ids of an index: some 17 MB of spans, dropped in a fifth of a second."""


class Words:
    """The index that grows, of spans or of log records.

    Args:
        connection: The writer's.
        signal: What it is of.
    """

    def __init__(self, connection: sqlite3.Connection, signal: Indexed) -> None:
        self._connection = connection
        self._signal: Indexed = signal
        self._number = 0
        self._end = -1

    def forget(self) -> None:
        """Look anew which index grows."""
        self._end = -1

    def add(self, rows: list[tuple[int, str]]) -> None:
        """Index rows, in the order of their ids."""
        if not rows:
            return
        if self._end < 0:
            self._open()
        if rows[0][0] >= self._end:
            self._begin(rows[0][0])
        self._connection.executemany(f"INSERT INTO fts_{self._number} (rowid, t) VALUES (?, ?)", rows)  # noqa: S608 - a number

    def _open(self) -> None:
        row = self._connection.execute(
            "SELECT id, first FROM words WHERE signal = ? AND last IS NULL ORDER BY id DESC LIMIT 1",
            (self._signal,),
        ).fetchone()
        self._number, self._end = (row[0], row[1] + SEGMENT) if row else (0, 0)

    def _begin(self, first: int) -> None:
        self._connection.execute(
            "UPDATE words SET last = ? WHERE signal = ? AND last IS NULL", (first - 1, self._signal)
        )
        number = self._connection.execute(
            "INSERT INTO words (signal, first) VALUES (?, ?)", (self._signal, first)
        ).lastrowid
        assert number is not None  # noqa: S101 - an INSERT has made a row
        self._connection.execute(
            f"CREATE VIRTUAL TABLE fts_{number} USING fts5(t, content='', detail=none, columnsize=0)"
        )
        self._number, self._end = number, first + SEGMENT


def drop_before(connection: sqlite3.Connection, signal: Indexed, first: int) -> bool:
    """Drop the oldest index whose rows are all gone; whether there was one.

    Args:
        connection: The writer's, outside of a transaction or in one.
        signal: What it is of.
        first: The lowest id that is still there.
    """
    row = connection.execute(
        "SELECT id FROM words WHERE signal = ? AND last < ? ORDER BY id LIMIT 1", (signal, first)
    ).fetchone()
    if row is None:
        return False
    connection.execute(f"DROP TABLE fts_{row[0]}")
    connection.execute("DELETE FROM words WHERE id = ?", row)
    return True
