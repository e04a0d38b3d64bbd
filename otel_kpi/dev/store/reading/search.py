"""Which traces fit what is asked: from the index of words where it knows, rechecked on the rows, newest first.

A trace fits when one and the same span of it has all that is asked of a span; a duration without anything else is the
trace's. An attribute is one of the span, of an event of it, of its resource or of its scope; what Jaeger's users type
(`error=true`, `span.kind=server`) is understood as well. That makes alternatives: each pair holds by the span itself or by
where it came from, and each combination is looked up in its own right.

Traces are ordered by their row, which is given with their first span. The index is ordered by spans, and a trace may go on
for hours: a span that comes late belongs to an early trace. So reading ends as soon as the first span of the last trace
that would be shown has been passed: all that follows belongs to earlier traces.
"""

from __future__ import annotations

import sqlite3
import time
from bisect import insort
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Final, overload

import orjson

from otel_kpi.dev.literals import LARGEST
from otel_kpi.dev.store import terms
from otel_kpi.dev.store.reading.spans import attributes_of
from otel_kpi.dev.views import KINDS, STATUSES
from otel_kpi.dev.wire.values import json_of, value_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from otel_kpi.dev.store.reading.spans import Row
    from otel_kpi.dev.store.words import Indexed
    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import TraceQuery

_MOST_ALTERNATIVES: Final = 16
_OPCODES: Final = 5_000  # of SQLite between two looks at the clock: well below a millisecond


@dataclass(slots=True)
class Hits:
    """Rows of the traces that fit, newest first.

    Attributes:
        capped: The time was over before all was looked at.
    """

    traces: list[int]
    capped: bool = False


@dataclass(slots=True)
class _Sought:
    """One alternative: what the index is asked, what the rows must have, and what is rechecked."""

    match: list[str] = field(default_factory=list[str])
    where: list[str] = field(default_factory=list[str])
    values: list[Any] = field(default_factory=list[Any])
    pairs: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    words: list[str] = field(default_factory=list[str])

    def also(self, condition: str, *values: Any) -> None:
        self.where.append(condition)
        self.values += values


class _NothingError(Exception):
    """What is asked for was never sent, so nothing can fit."""


@contextmanager
def bounded(reader: sqlite3.Connection, seconds: float) -> Generator[None]:
    """Interrupt what the reader is asked within, when the time is over.

    Raises:
        TimeoutError: It was.
    """
    end = time.monotonic() + seconds
    reader.set_progress_handler(lambda: time.monotonic() > end, _OPCODES)
    try:
        yield
    except sqlite3.OperationalError as error:
        if "interrupt" in str(error):
            raise TimeoutError from error
        raise
    finally:
        reader.set_progress_handler(None, 0)


def search(reader: sqlite3.Connection, query: TraceQuery, most: int, seconds: float) -> Hits:
    """Rows of the newest traces that fit, at most so many, in at most so much time."""
    found: list[int] = []  # ascending
    query = _sayable(query)
    try:
        with bounded(reader, seconds):
            if _asks_of_traces(query):
                found += reversed(list(_traces(reader, query, most)))
            else:
                for sought in _alternatives(reader, query):
                    _spans(reader, query, sought, most, found)
    except _NothingError:
        return Hits([])
    except TimeoutError:
        return Hits(found[: -most - 1 : -1], capped=True)
    return Hits(found[: -most - 1 : -1])


def _sayable(query: TraceQuery) -> TraceQuery:
    """The same with texts that SQLite takes."""
    return replace(
        query,
        service=sayable(query.service),
        operation=sayable(query.operation),
        attributes=tuple((sayable(key), sayable(value)) for key, value in query.attributes),
        text=sayable(query.text),
    )


@overload
def sayable(text: str) -> str: ...
@overload
def sayable(text: str | None) -> str | None: ...
def sayable(text: str | None) -> str | None:
    """A text that SQLite takes: half a character, which an address can have, is none that was kept."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _asks_of_traces(query: TraceQuery) -> bool:
    """What is asked can be answered from the tables of traces alone."""
    if query.operation or query.kind or query.attributes or query.text.strip():
        return False
    if query.service:
        return not query.min_duration_ns and query.max_duration_ns is None and query.status in {None, "error"}
    return query.status in {None, "error"}


def _traces(reader: sqlite3.Connection, query: TraceQuery, most: int) -> Iterator[int]:
    where, values = ["t.id < ?"], [LARGEST if query.before is None else query.before]
    source, service = "trace t", ""
    if query.service:
        number = _number(reader, "SELECT id FROM service WHERE name = ?", query.service)
        source = "trace_service x CROSS JOIN trace t ON t.id = x.trace"
        where.insert(0, "x.service = ? AND x.trace < ?")
        values = [number, *values, *values]
        service = f"s.service = {number} AND "
    if query.status == "error":
        where.append("x.errors > 0" if query.service else "t.errors > 0")
    if query.min_duration_ns:
        where.append("t.end_ns - t.start_ns >= ?")
        values.append(query.min_duration_ns)
    if query.max_duration_ns is not None:
        where.append("t.end_ns - t.start_ns <= ?")
        values.append(query.max_duration_ns)
    if query.start_ns is not None or query.end_ns is not None:
        start, end = query.start_ns or 0, LARGEST if query.end_ns is None else query.end_ns
        begun = f"SELECT 1 FROM span s WHERE {service}s.trace = t.id AND s.start_ns BETWEEN ? AND ?"  # noqa: S608 - a number at most
        where.append(
            f"t.start_ns <= ? AND t.end_ns >= ? AND (t.start_ns >= ? AND t.end_ns <= ? OR EXISTS ({begun}))"
        )
        values += [end, start, start, end, start, end]
    order = "x.trace" if query.service else "t.id"
    select = f"SELECT t.id FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} DESC LIMIT ?"  # noqa: S608 - our own words and marks
    for row in reader.execute(select, [*values, most]):
        yield row[0]


def _number(reader: sqlite3.Connection, select: str, text: str) -> int:
    row = reader.execute(select, (text,)).fetchone()
    if row is None:
        raise _NothingError
    return int(row[0])


def _alternatives(reader: sqlite3.Connection, query: TraceQuery) -> Iterator[_Sought]:
    """Each combination of ways in which a span can have what is asked."""
    ways = [_ways(reader, key, value) for key, value in query.attributes]
    for combination in islice(product(*ways), _MOST_ALTERNATIVES):
        sought = _of_span(reader, query)
        for way in combination:
            sought.match += way.match
            sought.where += way.where
            sought.values += way.values
            sought.pairs += way.pairs
        yield sought


def _of_span(reader: sqlite3.Connection, query: TraceQuery) -> _Sought:
    sought = _Sought()
    if query.service:
        number = _number(reader, "SELECT id FROM service WHERE name = ?", query.service)
        sought.match.append(terms.service_term(number))
        sought.also("s.service = ?", number)
    if query.operation:
        number = _number(reader, "SELECT id FROM str WHERE s = ?", query.operation)
        sought.match.append(terms.name_term(number))
        sought.also("s.name = ?", number)
    if query.status:
        _status(sought, STATUSES.index(query.status))
    if query.kind:
        _kind(sought, KINDS.index(query.kind))
    low, high = query.min_duration_ns or 0, query.max_duration_ns
    if low or high is not None:
        sought.match.append(terms.duration_terms(low, high))
        sought.also("s.dur_ns BETWEEN ? AND ?", low, LARGEST if high is None else high)
    if query.start_ns is not None or query.end_ns is not None:
        sought.also(
            "s.start_ns BETWEEN ? AND ?",
            query.start_ns or 0,
            LARGEST if query.end_ns is None else query.end_ns,
        )
    if query.text.strip():
        wanted = terms.wanted(query.text)
        if not wanted:
            raise _NothingError
        sought.words = [*wanted]
        sought.match.append(terms.query_of(query.text))
    return sought


def _status(sought: _Sought, status: int) -> None:
    sought.match.append(terms.status_term(status))
    sought.also("s.status = ?", status)


def _kind(sought: _Sought, kind: int) -> None:
    sought.match.append(terms.kind_term(kind))
    sought.also("s.kind = ?", kind)


def _ways(reader: sqlite3.Connection, key: str, value: str) -> list[_Sought]:
    """How a span can have an attribute: by itself or an event, or by what it came from."""
    own = _Sought(match=[terms.attribute_term(key, value)], pairs=[(key, value)])
    ways = [own]
    for table in ("resource", "scope"):
        if numbers := holders(reader, table, key, value):
            way = _Sought()
            if table == "resource":
                way.match.append(f"({' OR '.join(map(terms.resource_term, numbers))})")
            # As one value: there may be more than SQLite takes.
            way.also(f"s.{table} IN (SELECT value FROM json_each(?))", orjson.dumps(numbers).decode())  # noqa: S608 - one of two
            ways.append(way)
    meant = _Sought()
    match key:
        case "error" if value == "true":
            _status(meant, 2)
        case "otel.status_code" if value.lower() in STATUSES:
            _status(meant, STATUSES.index(value.lower()))
        case "span.kind" if value in KINDS:
            _kind(meant, KINDS.index(value))
        case "otel.status_description":
            meant.also("s.status_message = ?", value)
        case _:
            return ways
    return [*ways, meant]


def holders(reader: sqlite3.Connection, table: str, key: str, value: str) -> list[int]:
    """Resources or scopes that have an attribute; there are few, so they are looked through."""
    if table == "scope" and key in {"otel.scope.name", "otel.scope.version"}:
        column = key.rpartition(".")[2]
        return [row[0] for row in reader.execute(f"SELECT id FROM scope WHERE {column} = ?", (value,))]  # noqa: S608 - one of two
    rows = reader.execute(
        f"SELECT o.id, o.attrs, h.keys FROM shape h CROSS JOIN {table} o ON o.shape = h.id WHERE instr(h.keys, ?)",  # noqa: S608 - one of two
        (orjson.dumps(key).decode(),),
    )
    return [
        number
        for number, attrs, keys in rows
        if key in (attributes := attributes_of(orjson.loads(keys), attrs)) and says(attributes[key], value)
    ]


def _spans(
    reader: sqlite3.Connection, query: TraceQuery, sought: _Sought, most: int, found: list[int]
) -> None:
    """Add the traces of spans that fit to what was found, until none can be among the newest any more."""
    checked = bool(sought.pairs or sought.words)
    columns = "s.id, s.trace"
    if checked:
        columns += ", s.name, s.shape, s.attrs, s.events, s.status_message"
    before = LARGEST if query.before is None else query.before
    sought.also("s.trace < ?", before)
    check = _Recheck(reader, sought)
    known = set(found)
    for low, high in _ranges(reader, query.before):
        floor = _floor(reader, found, most)
        for row in _rows(reader, sought, columns, low, high):
            number, trace = row[0], row[1]
            if number < floor:
                break
            if trace in known or (len(found) >= most and trace < found[-most]):
                continue
            if checked and not check(row):
                continue
            known.add(trace)
            insort(found, trace)
            floor = _floor(reader, found, most)


def _floor(reader: sqlite3.Connection, found: Sequence[int], most: int) -> int:
    """The first span of the last trace that would be shown: earlier ones are of earlier traces."""
    if len(found) < most:
        return 0
    row = reader.execute("SELECT min(id) FROM span WHERE trace = ?", (found[-most],)).fetchone()
    return int(row[0] or 0)


def _ranges(reader: sqlite3.Connection, before: int | None) -> list[tuple[int, int]]:
    """Ranges of spans to read, those first in which the traces before a row began; what came late of them follows."""
    if before is None:
        return [(0, LARGEST)]
    row = reader.execute(
        "SELECT min(id) FROM span WHERE trace = (SELECT min(id) FROM trace WHERE id >= ?)", (before,)
    ).fetchone()
    if row is None or row[0] is None:
        return [(0, LARGEST)]
    return [(0, row[0]), (row[0], LARGEST)]


def _rows(reader: sqlite3.Connection, sought: _Sought, columns: str, low: int, high: int) -> Iterator[Row]:
    """Rows that fit by the index and by their columns, newest first."""
    where = " AND ".join(sought.where)
    if not sought.match:
        select = f"SELECT {columns} FROM span s WHERE s.id >= ? AND s.id < ? AND {where} ORDER BY s.id DESC"  # noqa: S608 - our own words and marks
        yield from reader.execute(select, [low, high, *sought.values])
        return
    match = " AND ".join(sought.match)
    for index in indexes(reader, "traces", low, high):
        # The table itself is what is matched: a column of an index without positions cannot be.
        select = (
            f"SELECT {columns} FROM {index} CROSS JOIN span s ON s.id = {index}.rowid WHERE {index} MATCH ? "  # noqa: S608 - the same
            f"AND {index}.rowid >= ? AND {index}.rowid < ? AND {where} ORDER BY {index}.rowid DESC"
        )
        yield from reader.execute(select, [match, low, high, *sought.values])


def indexes(reader: sqlite3.Connection, signal: Indexed, low: int = 0, high: int = LARGEST) -> list[str]:
    """Tables of the indexes of words that have ids from `low` on and below `high`, those of the newest first."""
    rows = reader.execute(
        "SELECT id FROM words WHERE signal = ? AND first < ? AND (last IS NULL OR last >= ?) ORDER BY first DESC",
        (signal, high, low),
    )
    return [f"fts_{number}" for (number,) in rows.fetchall()]


class _Recheck:
    """Whether a row has what the index says: hashes can be alike, and words may be of other columns."""

    def __init__(self, reader: sqlite3.Connection, sought: _Sought) -> None:
        self._reader = reader
        self._pairs = sought.pairs
        self._words = sought.words
        self._shapes: dict[int, Sequence[str]] = {}

    def __call__(self, row: Row) -> bool:
        _, _, name, shape, attrs, events, message = row
        own = attributes_of(self._keys(shape), attrs)
        of_events: list[dict[str, Value]] = (
            [{key: value_of(value) for key, value in each[2].items()} for each in orjson.loads(events)]
            if events
            else []
        )
        for key, value in self._pairs:
            if not any(key in each and says(each[key], value) for each in (own, *of_events)):
                return False
        if self._words:
            named = self._reader.execute("SELECT s FROM str WHERE id = ?", (name,)).fetchone()
            happened = json_of(value_of(orjson.loads(events))) if events else ""
            said = terms.folded(f"{named[0] if named else ''} {attrs} {happened} {message or ''}")
            return all(word in said for word in self._words)
        return True

    def _keys(self, shape: int) -> Sequence[str]:
        keys = self._shapes.get(shape)
        if keys is None:
            row = self._reader.execute("SELECT keys FROM shape WHERE id = ?", (shape,)).fetchone()
            keys = self._shapes[shape] = orjson.loads(row[0]) if row else ()
        return keys


def says(value: Value, text: str) -> bool:
    """A value is what a text says: itself, its JSON, or one of what it lists."""
    return text in terms.texts_of(value, json_of(value))
