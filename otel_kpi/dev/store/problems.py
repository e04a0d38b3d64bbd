"""Exceptions, from events of spans and from log records, in groups of those that are alike.

One exception is recorded where it is raised, again by each span that it passes on its way out, and again by a logger. It
is counted once: what a child of the span has told, or the span itself, is not told again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_kpi.dev.store.dictionary import clean
from otel_kpi.dev.store.fingerprints import fingerprint, innermost, without_ids
from otel_kpi.dev.store.traces import FOREVER

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from otel_kpi.dev.store.traces import Known
    from otel_kpi.dev.telemetry import Attributes, Event

EXCEPTION: Final = "exception"
TYPE: Final = "exception.type"
MESSAGE: Final = "exception.message"
STACK: Final = "exception.stacktrace"
LONGEST_MESSAGE: Final = 4_096
LONGEST_STACK: Final = 65_536
MOST_OCCURRENCES: Final = 200
"""Of a problem; the newest are kept, all are counted."""
MOST_MINUTES: Final = 20_160
"""Of a problem in which it is known how often it happened: two weeks."""
_MINUTE_NS: Final = 60_000_000_000
_MOST: Final = 10_000


class Problems:
    """Writes what went wrong.

    Args:
        connection: The writer's.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: dict[bytes, int] = {}
        self._crowded: dict[int, int] = {}

    def forget(self) -> None:
        """Look everything up anew."""
        self._ids.clear()
        self._crowded.clear()

    def of_span(  # noqa: PLR0913, PLR0917 - a span
        self,
        row: int,
        span_id: bytes,
        parent_id: bytes,
        events: Sequence[Event],
        known: Known,
        sender: tuple[str, int],
        end_ns: int,
    ) -> None:
        """Write the exceptions among the events of a span; one without a time was at its end."""
        told: set[int] = set()
        for event in events:
            if event.name != EXCEPTION:
                continue
            time_ns = min(event.time_ns or end_ns, FOREVER)
            problem, kind, message, stack = self._problem(event.attributes, time_ns, sender)
            if problem not in told:
                covered = _covered(known)
                by_log = covered.get((problem, span_id))
                covered[problem, parent_id] = False
                covered[problem, span_id] = False
                if by_log is not None:
                    self._connection.execute(
                        "UPDATE occurrence SET span = ? WHERE problem = ? AND span IS NULL AND log IN "
                        "(SELECT id FROM log WHERE trace_id = ? AND span_id = ?)",
                        (row, problem, known.trace_id, span_id),
                    )
                    continue
                told.add(problem)
            self._occurred(problem, time_ns, row, None, message or kind, stack)

    def of_record(  # noqa: PLR0913, PLR0917 - a record
        self,
        row: int,
        time_ns: int,
        span_id: bytes,
        attributes: Attributes,
        known: Known | None,
        sender: tuple[str, int],
    ) -> None:
        """Write the exception of a log record."""
        problem, kind, message, stack = self._problem(attributes, time_ns, sender)
        if known is not None and span_id:
            covered = _covered(known)
            if covered.get((problem, span_id)) is False:
                return
            covered[problem, span_id] = True
        self._occurred(problem, time_ns, None, row, message or kind, stack)

    def _problem(
        self, attributes: Attributes, time_ns: int, sender: tuple[str, int]
    ) -> tuple[int, str, str, str]:
        said = {each[0]: each[1] for each in attributes}
        kind, message, stack = (
            clean(str(said.get(key) or "")[:most])
            for key, most in ((TYPE, 500), (MESSAGE, LONGEST_MESSAGE), (STACK, LONGEST_STACK * 4))
        )
        if len(stack) > LONGEST_STACK:  # both ends say the most
            half = LONGEST_STACK // 2
            stack = f"{stack[:half]}\n…\n{stack[-half:]}"
        frame = innermost(stack)
        print_ = fingerprint(sender[0], kind, message, frame)
        number = self._ids.get(print_)
        if number is None:
            row = self._connection.execute(
                "INSERT INTO problem (fingerprint, type, message, frame, service, first_ns, last_ns, times) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (fingerprint) DO UPDATE SET fingerprint = fingerprint "
                "RETURNING id",
                (print_, kind, without_ids(message), frame, sender[1], time_ns, time_ns),
            ).fetchone()
            if len(self._ids) >= _MOST:
                self._ids.clear()
            number = self._ids[print_] = int(row[0])
        return number, kind, message, stack

    def _occurred(  # noqa: PLR0913, PLR0917 - a row
        self, problem: int, time_ns: int, span: int | None, log: int | None, message: str, stack: str
    ) -> None:
        execute = self._connection.execute
        execute(
            "INSERT INTO occurrence (problem, time_ns, span, log, message, stack) VALUES (?, ?, ?, ?, ?, ?)",
            (problem, time_ns, span, log, message, stack),
        )
        execute(
            "UPDATE problem SET times = times + 1, first_ns = min(first_ns, ?), last_ns = max(last_ns, ?) WHERE id = ?",
            (time_ns, time_ns, problem),
        )
        execute(
            "INSERT INTO problem_minute (problem, minute, times) VALUES (?, ?, 1) "
            "ON CONFLICT (problem, minute) DO UPDATE SET times = times + 1",
            (problem, time_ns // _MINUTE_NS),
        )
        if len(self._crowded) >= _MOST:
            self._crowded.clear()
        count = self._crowded.get(problem, MOST_OCCURRENCES // 2) + 1
        if count >= MOST_OCCURRENCES:
            execute(
                "DELETE FROM occurrence WHERE problem = ?1 AND id NOT IN "
                "(SELECT id FROM occurrence WHERE problem = ?1 ORDER BY id DESC LIMIT ?2)",
                (problem, MOST_OCCURRENCES),
            )
            execute(
                "DELETE FROM problem_minute WHERE problem = ?1 AND minute <= "
                "(SELECT minute FROM problem_minute WHERE problem = ?1 ORDER BY minute DESC LIMIT 1 OFFSET ?2)",
                (problem, MOST_MINUTES),
            )
            count = MOST_OCCURRENCES // 2
        self._crowded[problem] = count


def _covered(known: Known) -> dict[tuple[int, bytes], bool]:
    if known.covered is None or len(known.covered) > _MOST:
        known.covered = {}
    return known.covered
