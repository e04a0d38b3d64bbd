"""Forgetting, by age and by size, in small pieces between two commits, so that nobody waits for it.

Age is how long ago something came (`arrival`), not what its sender's clock said: a clock that is wrong neither keeps a
trace forever nor loses it at once, and what was imported stays as long as what was received. Points alone have no
number of their own; they go by their time.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_kpi.dev.store.words import Indexed, drop_before

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

CHUNK: Final = 2_000
"""Rows that are deleted at once, some six milliseconds."""
PAGES: Final = 500
"""Pages that are given back to the disk at once."""
UNUSED_TEXTS: Final = 100_000
"""Texts, beyond which those are looked for that nothing has any more: names with ids in them."""
_MINUTE: Final = 60
_MINUTE_NS: Final = 60 * 10**9
_FULL: Final = 0.95
_ENOUGH: Final = 0.85
"""Beyond the first part of the size it is forgotten until the second is reached: one long piece of work, not a steady one."""
_OF_SPANS: Final = ("llm_call", "pipeline_run", "stage", "occurrence")
_UNUSED: Final = """
    DELETE FROM str WHERE id NOT IN (
        SELECT name FROM span UNION SELECT name FROM operation
        UNION SELECT root_name FROM trace WHERE root_name IS NOT NULL
        UNION SELECT stage FROM stage UNION SELECT pipeline FROM stage WHERE pipeline IS NOT NULL
        UNION SELECT pipeline FROM pipeline_run
        UNION SELECT operation FROM llm_call UNION SELECT provider FROM llm_call WHERE provider IS NOT NULL
        UNION SELECT model FROM llm_call WHERE model IS NOT NULL
        UNION SELECT feature FROM llm_call WHERE feature IS NOT NULL
        UNION SELECT tenant FROM llm_call WHERE tenant IS NOT NULL)"""


class _Cutoff(NamedTuple):
    """What is forgotten: minutes before, times, traces and log records up to."""

    minute: int
    time_ns: int
    trace: int
    log: int


class Retention:
    """Forgets what is too old or too much.

    Args:
        connection: The writer's.
        forget: Is told of the last trace that was deleted, or of all with None.
        most_bytes: Of the file.
        most_seconds: Age.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        forget: Callable[[int | None], None],
        *,
        most_bytes: int,
        most_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._forget = forget
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._now = now
        self._page = int(connection.execute("PRAGMA page_size").fetchone()[0])
        self._cutoff: _Cutoff | None = None
        self._shrinking = self._given_back = False
        self._checked = -1

    def step(self) -> bool:
        """Forget a piece; whether there is more."""
        if self._cutoff is None:
            self._cutoff = self._next_cutoff()
            if self._cutoff is None:
                return self._give_back()
        if not self._delete(self._cutoff):
            self._cutoff = None
        return True

    def used_bytes(self) -> int:
        """Bytes of the file that something is in."""
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._page

    def _pragma(self, name: str) -> int:
        return int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])

    def _next_cutoff(self) -> _Cutoff | None:
        oldest_kept = int((self._now() - self._most_seconds) // _MINUTE)
        used = self.used_bytes()
        self._shrinking = used > self._most_bytes * (_ENOUGH if self._shrinking else _FULL)
        if self._shrinking:
            return self._oldest_part(oldest_kept)
        if self._checked == oldest_kept:
            return None
        self._checked = oldest_kept
        row = self._connection.execute(
            "SELECT trace, log FROM arrival WHERE minute < ? ORDER BY minute DESC LIMIT 1", (oldest_kept,)
        ).fetchone()
        return _Cutoff(oldest_kept, oldest_kept * _MINUTE_NS - 1, *(row or (0, 0)))

    def _oldest_part(self, oldest_kept: int) -> _Cutoff | None:
        """A twentieth of each: which age brings which size, nobody knows before."""
        first_trace, last_trace, first_log, last_log, first_point, last_point = self._connection.execute(
            "SELECT (SELECT min(id) FROM trace), (SELECT max(id) FROM trace), (SELECT min(id) FROM log), "
            "(SELECT max(id) FROM log), min((SELECT min(time_ns) FROM point WHERE series = series.id)), "
            "max((SELECT max(time_ns) FROM point WHERE series = series.id)) FROM (SELECT 1) LEFT JOIN series ON true"
        ).fetchone()
        if first_trace is None and first_log is None and first_point is None:
            return None
        time_ns = oldest_kept * _MINUTE_NS - 1
        if first_point is not None:
            # A point from the future is the last to go, and takes none of the present with it.
            time_ns = max(
                time_ns, _part(first_point, max(first_point, min(last_point, int(self._now() * 1e9))))
            )
        return _Cutoff(oldest_kept, time_ns, _part(first_trace, last_trace), _part(first_log, last_log))

    def _delete(self, cutoff: _Cutoff) -> bool:
        """Delete a piece; whether there was a whole one."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            more = self._delete_spans(cutoff.trace)
            more = self._delete_records(cutoff.log) or more
            more = self._delete_points(cutoff.time_ns) or more
            if not more:
                self._delete_rest(cutoff)
            execute("COMMIT")
        except BaseException:
            self._forget(None)
            if self._connection.in_transaction:
                execute("ROLLBACK")
            raise
        return more

    def _delete_spans(self, upto: int) -> bool:
        execute = self._connection.execute
        traces: list[int] = []
        spans = 0
        for trace, count in execute(
            "SELECT id, spans FROM trace WHERE id <= ? ORDER BY id LIMIT ?", (upto, CHUNK)
        ):
            traces.append(trace)
            spans += count
            if spans >= CHUNK:
                break
        if not traces:
            return False
        self._forget(traces[-1])
        these = json.dumps(traces)
        rows = execute(
            "SELECT span.id FROM json_each(?) JOIN span ON span.trace = json_each.value LIMIT ?",
            (these, CHUNK * 2),
        ).fetchall()
        ids = json.dumps([row[0] for row in rows])
        for table in _OF_SPANS:
            execute(f"DELETE FROM {table} WHERE span IN (SELECT value FROM json_each(?))", (ids,))  # noqa: S608 - our own names
        execute("DELETE FROM span WHERE id IN (SELECT value FROM json_each(?))", (ids,))
        if len(rows) < CHUNK * 2:  # else a trace of very many is not at its end
            execute(
                "DELETE FROM trace_service WHERE service IN (SELECT id FROM service) "
                "AND trace IN (SELECT value FROM json_each(?))",
                (these,),
            )
            execute("DELETE FROM trace WHERE id IN (SELECT value FROM json_each(?))", (these,))
        return True

    def _delete_records(self, upto: int) -> bool:
        rows = self._connection.execute(
            "SELECT id FROM log WHERE id <= ? ORDER BY id LIMIT ?", (upto, CHUNK)
        ).fetchall()
        ids = json.dumps([row[0] for row in rows])
        self._connection.execute(
            "DELETE FROM occurrence WHERE log IN (SELECT value FROM json_each(?))", (ids,)
        )
        self._connection.execute("DELETE FROM log WHERE id IN (SELECT value FROM json_each(?))", (ids,))
        return bool(rows)

    def _delete_points(self, upto_ns: int) -> bool:
        rows = self._connection.execute(
            "SELECT point.series, point.time_ns FROM series CROSS JOIN point ON point.series = series.id "
            "AND point.time_ns <= ? LIMIT ?",
            (upto_ns, CHUNK),
        ).fetchall()
        self._connection.executemany("DELETE FROM point WHERE series = ? AND time_ns = ?", rows)
        return bool(rows)

    def _delete_rest(self, cutoff: _Cutoff) -> None:
        """What nothing is left of: indexes, problems, series, counts of minutes."""
        execute = self._connection.execute
        dropped = self._drop_indexes()
        upto = (cutoff.time_ns,)
        gone = execute(
            "DELETE FROM problem WHERE last_ns <= ? AND NOT EXISTS (SELECT 1 FROM occurrence WHERE problem = problem.id)",
            upto,
        ).rowcount
        execute("DELETE FROM problem_minute WHERE problem NOT IN (SELECT id FROM problem)")
        gone += execute(
            "DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM point WHERE series = series.id)"
        ).rowcount
        gone += execute("DELETE FROM metric WHERE id NOT IN (SELECT metric FROM series)").rowcount
        for table in ("call", "intake", "problem_minute"):
            execute(f"DELETE FROM {table} WHERE minute < ?", (cutoff.minute,))  # noqa: S608 - our own names
        execute(
            "DELETE FROM arrival WHERE minute < ? AND minute < (SELECT max(minute) FROM arrival)",
            (cutoff.minute,),
        )
        if dropped and execute("SELECT count(*) FROM str").fetchone()[0] > UNUSED_TEXTS:
            execute("DELETE FROM operation WHERE name NOT IN (SELECT name FROM span)")
            execute(_UNUSED)
            gone += 1
        if gone:
            self._forget(None)

    def _drop_indexes(self) -> bool:
        execute = self._connection.execute
        dropped = False
        signals: tuple[tuple[Indexed, str], ...] = (("traces", "span"), ("logs", "log"))
        for signal, table in signals:
            first = execute(f"SELECT min(id) FROM {table}").fetchone()[0]  # noqa: S608 - our own names
            if first is None:
                # Nothing is left of what the growing one has either.
                given = execute(f"SELECT ifnull(max({table}), 0) FROM arrival").fetchone()[0]  # noqa: S608 - the same
                first = given + 1
                ended = execute(
                    "UPDATE words SET last = ? WHERE signal = ? AND last IS NULL", (given, signal)
                )
                if ended.rowcount:
                    self._forget(None)
            while drop_before(self._connection, signal, first):
                dropped = True
        return dropped

    def _give_back(self) -> bool:
        """Give pages back to the disk that will not be needed soon; whether there are more."""
        free = self._pragma("freelist_count")
        if free <= max(PAGES, self._pragma("page_count") // 10):
            if self._given_back:
                self._given_back = False
                self._connection.execute(
                    "PRAGMA wal_checkpoint(PASSIVE)"
                ).fetchall()  # only with it the file shrinks
            return False
        self._given_back = True
        # `execute` steps a statement once, which gives back one page; a script steps it to its end.
        self._connection.executescript(f"PRAGMA incremental_vacuum({PAGES})")
        return True


def _part(first: int | None, last: int | None) -> int:
    return 0 if first is None or last is None else first + (last - first) // 20
