"""Exceptions that are alike, as one problem each: since when, how often, where, and the traces behind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.store.reading.spans import LOG_COLUMNS, log_views

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from otel_kpi.dev.views import LogView

MOST_LOGS: Final = 50
_MINUTE_NS: Final = 60_000_000_000
_COLUMNS: Final = "p.id, p.type, p.message, p.frame, v.name, p.first_ns, p.last_ns, p.times"
_FROM: Final = "problem p LEFT JOIN service v ON v.id = p.service"


@dataclass(slots=True)
class Problem:
    """Exceptions that are alike.

    Attributes:
        message: Of one of them, without what differs.
        frame: The innermost place in the application's own code.
        times: How often it was seen; older occurrences may be forgotten.
    """

    id: int
    type: str
    message: str
    frame: str
    service: str
    first_ns: int
    last_ns: int
    times: int


@dataclass(slots=True)
class Occurrence:
    """One time that it happened.

    Attributes:
        trace_id: Empty where it was logged outside of a trace, or the trace is forgotten.
        span_name: Empty where its span is not here.
        stack: As it was sent.
    """

    id: int
    problem: int
    time_ns: int
    message: str
    stack: str
    trace_id: str = ""
    span_id: str = ""
    span_name: str = ""


@dataclass(frozen=True, slots=True)
class Question:
    """Which problems.

    Attributes:
        text: In the type, the message or the frame.
        trace_id: Behind which this trace is, hexadecimal.
        before: `last_ns` and `id` of the last that was shown.
    """

    service: str = ""
    text: str = ""
    trace_id: str = ""
    before: tuple[int, int] | None = None
    limit: int = 50


def problems(reader: sqlite3.Connection, question: Question) -> tuple[list[Problem], bool]:
    """The problems that were seen last, and whether there are more."""
    parts, values = ["1"], list[object]()
    if question.service:
        parts.append("v.name = ?")
        values.append(question.service)
    if question.text:
        like = "%" + question.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        parts.append(
            "(p.type LIKE ? ESCAPE '\\' OR p.message LIKE ? ESCAPE '\\' OR p.frame LIKE ? ESCAPE '\\')"
        )
        values += [like] * 3
    if question.trace_id:
        # As one value: there may be more than SQLite takes.
        parts.append("p.id IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(sorted(of_trace(reader, question.trace_id))))
    if question.before is not None:
        parts.append("(p.last_ns, p.id) < (?, ?)")
        values += question.before
    rows = reader.execute(
        f"SELECT {_COLUMNS} FROM {_FROM} WHERE {' AND '.join(parts)} ORDER BY p.last_ns DESC, p.id DESC LIMIT ?",  # noqa: S608 - columns of ours and marks
        (*values, question.limit + 1),
    ).fetchall()
    return [_problem(row) for row in rows[: question.limit]], len(rows) > question.limit


def problem(reader: sqlite3.Connection, number: int) -> Problem | None:
    """One of them; None where there is none of this number."""
    row = reader.execute(f"SELECT {_COLUMNS} FROM {_FROM} WHERE p.id = ?", (number,)).fetchone()  # noqa: S608 - columns of ours
    return None if row is None else _problem(row)


def _problem(row: tuple[int, str, str, str, str | None, int, int, int]) -> Problem:
    number, kind, message, frame, service, first, last, times = row
    return Problem(number, kind, message, frame, service or "", first, last, times)


def of_trace(reader: sqlite3.Connection, trace_id: str) -> set[int]:
    """Problems that occurred in a trace."""
    try:
        wanted = bytes.fromhex(trace_id)
    except ValueError:
        return set()
    rows = reader.execute(
        "SELECT o.problem FROM trace t JOIN span s ON s.trace = t.id JOIN occurrence o ON o.span = s.id"
        " WHERE t.trace_id = ?"
        " UNION SELECT o.problem FROM log l JOIN occurrence o ON o.log = l.id WHERE l.trace_id = ?",
        (wanted, wanted),
    )
    return {row[0] for row in rows}


def services(reader: sqlite3.Connection) -> list[str]:
    """Those in which something went wrong."""
    rows = reader.execute(
        "SELECT DISTINCT v.name FROM problem p JOIN service v ON v.id = p.service ORDER BY 1"
    )
    return [row[0] for row in rows]


def extent(reader: sqlite3.Connection) -> tuple[int, int] | None:
    """When something went wrong first, and when last; None where nothing did."""
    first, last = reader.execute("SELECT min(first_ns), max(last_ns) FROM problem").fetchone()
    return None if first is None else (first, last)


def over_time(
    reader: sqlite3.Connection, shown: Sequence[Problem], start_ns: int, end_ns: int, steps: int
) -> dict[int, list[int | None]]:
    """How often each occurred in each of equal steps of a time; None is not known any more.

    Where occurrences are forgotten their minutes are known, so that there are no more steps than minutes then.
    """
    marks = ",".join("?" * len(shown))
    numbers = [each.id for each in shown]
    kept = dict(
        reader.execute(
            f"SELECT problem, count(*) FROM occurrence WHERE problem IN ({marks}) GROUP BY 1",  # noqa: S608 - marks alone
            numbers,
        ).fetchall()
    )
    exact = [each.id for each in shown if kept.get(each.id, 0) == each.times]
    found = _stepped(reader, "occurrence", "time_ns", "count(*)", exact, (start_ns, end_ns), steps)
    minutes = start_ns // _MINUTE_NS, end_ns // _MINUTE_NS
    steps = min(steps, minutes[1] - minutes[0] + 1)
    forgotten = sorted(set(numbers).difference(exact))
    found |= _stepped(reader, "problem_minute", "minute", "sum(times)", forgotten, minutes, steps)
    return {each.id: _known(found[each.id], each.times) for each in shown}


def _stepped(  # noqa: PLR0913, PLR0917 - a table and its columns, and what is asked
    reader: sqlite3.Connection,
    table: str,
    when: str,
    times: str,
    numbers: Sequence[int],
    extent: tuple[int, int],
    steps: int,
) -> dict[int, list[int]]:
    """Counts in steps of what both ends are within, in the unit of the column."""
    first, last = extent
    width = -(-(last - first + 1) // steps)
    found = {number: [0] * -(-(last - first + 1) // width) for number in numbers}
    rows = reader.execute(
        f"SELECT problem, ({when} - ?) / ?, {times} FROM {table}"  # noqa: S608 - words of ours and marks
        f" WHERE problem IN ({','.join('?' * len(numbers))}) AND {when} BETWEEN ? AND ? GROUP BY 1, 2",
        (first, width, *numbers, first, last),
    )
    for number, step, count in rows:
        found[number][step] += count
    return found


def _known(values: list[int], times: int) -> list[int | None]:
    """Where minutes are forgotten, too, nothing is known before the oldest of them that is not, and that is no zero."""
    if sum(values) >= times:
        return [*values]
    first = next((at for at, value in enumerate(values) if value), len(values))
    # Of a step at whose beginning some were forgotten the number would be too low.
    begun = first + 1 if any(values[first + 1 :]) else first
    return [None] * begun + values[begun:]


_OCCURRENCE: Final = (
    "SELECT o.id, o.problem, o.time_ns, o.message, o.stack, coalesce(t.trace_id, l.trace_id),"
    " coalesce(s.span_id, l.span_id), n.s FROM occurrence o"
    " LEFT JOIN log l ON l.id = o.log LEFT JOIN span s ON s.id = o.span LEFT JOIN trace t ON t.id = s.trace"
    " LEFT JOIN str n ON n.id = s.name"
)


def occurrences(reader: sqlite3.Connection, number: int, limit: int = 20) -> list[Occurrence]:
    """The latest of a problem, the newest first."""
    rows = reader.execute(
        f"{_OCCURRENCE} WHERE o.problem = ? ORDER BY o.time_ns DESC, o.id DESC LIMIT ?", (number, limit)
    )
    return [_occurrence(row) for row in rows]


def occurrence(reader: sqlite3.Connection, number: int, of: int | None = None) -> Occurrence | None:
    """One that is asked for, else the latest; None where all are forgotten."""
    where, values = (
        ("o.id = ? AND o.problem = ?", (of, number)) if of is not None else ("o.problem = ?", (number,))
    )
    row = reader.execute(
        f"{_OCCURRENCE} WHERE {where} ORDER BY o.time_ns DESC, o.id DESC LIMIT 1", values
    ).fetchone()
    return None if row is None else _occurrence(row)


def beside(reader: sqlite3.Connection, shown: Occurrence) -> tuple[int | None, int | None]:
    """The occurrence before one that is shown, and the one after it."""
    at = (shown.problem, shown.time_ns, shown.id)
    before = reader.execute(
        "SELECT id FROM occurrence WHERE problem = ? AND (time_ns, id) < (?, ?) ORDER BY time_ns DESC, id DESC LIMIT 1",
        at,
    ).fetchone()
    after = reader.execute(
        "SELECT id FROM occurrence WHERE problem = ? AND (time_ns, id) > (?, ?) ORDER BY time_ns, id LIMIT 1",
        at,
    ).fetchone()
    return before and before[0], after and after[0]


def place_of(reader: sqlite3.Connection, shown: Occurrence) -> tuple[int, int]:
    """Which of those that are kept it is, counted from the oldest, and how many these are."""
    earlier, kept = reader.execute(
        "SELECT count(*) FILTER (WHERE (time_ns, id) <= (?, ?)), count(*) FROM occurrence WHERE problem = ?",
        (shown.time_ns, shown.id, shown.problem),
    ).fetchone()
    return earlier, kept


def logs(reader: sqlite3.Connection, trace_id: str) -> list[LogView]:
    """What was logged in a trace, by time; the first `MOST_LOGS`."""
    if not trace_id:
        return []
    rows = reader.execute(
        f"SELECT {LOG_COLUMNS} FROM log WHERE trace_id = ? ORDER BY time_ns LIMIT ?",  # noqa: S608 - columns of ours
        (bytes.fromhex(trace_id), MOST_LOGS),
    ).fetchall()
    return log_views(reader, rows)


def _occurrence(row: tuple[int, int, int, str, str, bytes | None, bytes | None, str | None]) -> Occurrence:
    number, of, time_ns, message, stack, trace_id, span_id, name = row
    return Occurrence(
        number, of, time_ns, message, stack, (trace_id or b"").hex(), (span_id or b"").hex(), name or ""
    )
