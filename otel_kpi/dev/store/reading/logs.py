"""Log records that fit what is asked, the newest first; from the index of words where that knows."""

from __future__ import annotations

import base64
import re
import time
import unicodedata
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from otel_kpi.dev.store import terms
from otel_kpi.dev.store.reading.search import bounded
from otel_kpi.dev.store.reading.spans import LOG_COLUMNS, log_views

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from otel_kpi.dev.views import LogView

_BLOCK: Final = 50_000
"""Rows between two looks at the clock, where no index says which fit."""
_BATCH: Final = 200
_SECONDS: Final = 1.0
_RARE: Final = 13
"""Warnings and above: the index finds them sooner than looking at all would."""
_SEVEREST: Final = 24
_WORD: Final = re.compile('"([^"]*)"')
_EVER: Final = 2**63 - 1
_COLUMNS: Final = ", ".join(f"log.{name.strip()}" for name in LOG_COLUMNS.split(","))


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What is asked of a search; None and empty ask for nothing.

    Attributes:
        text: Words that must be in the body or the attributes.
        severity: The least one, by OTLP's number.
        attributes: All of them, as text.
        before: Only what stands before this row.
        after: Only what stands after this row.
    """

    text: str = ""
    service: str | None = None
    severity: int = 0
    trace_id: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    start_ns: int | None = None
    end_ns: int | None = None
    before: int | None = None
    after: int | None = None
    limit: int = 50


@dataclass(slots=True)
class LogsFound:
    """What a search found.

    Attributes:
        more: There are older ones.
        capped: Searching was ended after a bounded time.
        before: Where to go on: before this row.
    """

    logs: list[LogView] = field(default_factory=list["LogView"])
    more: bool = False
    capped: bool = False
    before: int | None = None


@dataclass(slots=True)
class _Asked:
    where: list[str]
    values: list[Any]
    match: list[str]


def search(reader: sqlite3.Connection, query: LogQuery, *, seconds: float = _SECONDS) -> LogsFound:
    """The newest log records that fit.

    Args:
        reader: To the store.
        query: What is asked.
        seconds: At most; then what was found until then is given.
    """
    asked = _asked(reader, query)
    found = LogsFound()
    if asked is None:
        return found
    words = [folded(word) for word in _WORD.findall(terms.query_of(query.text))]
    try:
        with bounded(reader, seconds):
            rows = _rows(reader, query, asked, time.monotonic() + seconds, found)
            while len(found.logs) <= query.limit and (batch := list(islice(rows, _BATCH))):
                found.before = batch[-1][0]
                found.logs += [view for view in log_views(reader, batch) if _fits(view, query, words)]
    except TimeoutError:
        found.capped = True
    found.more = len(found.logs) > query.limit
    if found.more:
        del found.logs[query.limit :]
        found.before = found.logs[-1].row
    elif not found.capped:
        found.before = None
    return found


def _asked(reader: sqlite3.Connection, query: LogQuery) -> _Asked | None:
    """What the rows must have; None where nothing can fit."""
    asked = _Asked(
        ["log.id < ?", "log.id > ?"], [_EVER if query.before is None else query.before, query.after or 0], []
    )
    if query.service:
        name = query.service.encode("utf-8", "replace").decode()  # half a surrogate is no text to SQLite
        row = reader.execute("SELECT id FROM service WHERE name = ?", (name,)).fetchone()
        if row is None:
            return None
        asked.where.append("log.service = ?")
        asked.values.append(row[0])
    for condition, value in (
        ("log.severity >= ?", query.severity or None),
        ("log.time_ns >= ?", query.start_ns),
        ("log.time_ns <= ?", query.end_ns),
    ):
        if value is not None:
            asked.where.append(condition)
            asked.values.append(value)
    if query.trace_id:
        try:
            trace = bytes.fromhex(query.trace_id)
        except ValueError:
            return None
        asked.where.append("log.trace_id = ?")
        asked.values.append(trace)
        return asked
    asked.match = _match(query, asked.values[2] if query.service else None)
    # Words that have none in them (a dash alone) are nowhere.
    return None if query.text.strip() and not terms.query_of(query.text) else asked


def _match(query: LogQuery, service: int | None) -> list[str]:
    """What the index is asked."""
    match = [terms.attribute_term(key, value) for key, value in query.attributes]
    if words := terms.query_of(query.text):
        match.append(words)
    if service is not None:
        match.append(terms.service_term(service))
    if query.severity >= _RARE:
        severities = (terms.severity_term(number) for number in range(query.severity, _SEVEREST + 1))
        match.append(f"({' OR '.join(severities)})")
    return match


def _rows(
    reader: sqlite3.Connection, query: LogQuery, asked: _Asked, end: float, found: LogsFound
) -> Iterator[tuple[Any, ...]]:
    where = " AND ".join(asked.where)
    if query.trace_id:
        select = f"SELECT {_COLUMNS} FROM log WHERE {where} ORDER BY log.id DESC"  # noqa: S608 - our own words and marks
        yield from reader.execute(select, asked.values)
        return
    high, low = asked.values[:2]
    if asked.match:
        segments = reader.execute(
            "SELECT id FROM words WHERE signal = 'logs' AND first < ? AND (last IS NULL OR last >= ?) ORDER BY first DESC",
            (high, low),
        ).fetchall()
        for (segment,) in segments:
            select = (
                f"SELECT {_COLUMNS} FROM fts_{segment} f CROSS JOIN log ON log.id = f.rowid "  # noqa: S608 - the same
                f"WHERE f.fts_{segment} MATCH ? AND {where} ORDER BY f.rowid DESC"
            )
            yield from reader.execute(select, [" AND ".join(asked.match), *asked.values])
        return
    newest = reader.execute("SELECT max(id) FROM log").fetchone()[0] or 0
    high = min(high, newest + 1)
    select = f"SELECT {_COLUMNS} FROM log WHERE {where} ORDER BY log.id DESC"  # noqa: S608 - the same
    while high > low + 1:
        first = max(low, high - _BLOCK - 1)
        yield from reader.execute(select, [high, first, *asked.values[2:]])
        high = first + 1
        if time.monotonic() > end:
            found.capped, found.before = high > low + 1, high
            return


def _fits(view: LogView, query: LogQuery, words: Sequence[str]) -> bool:
    """Whether a record has what the index says: hashes can be alike, and a word may be one of the index's own."""
    if words:
        said = folded(f"{view.body} {json(view.attributes)} {view.event_name}")
        if not all(word in said for word in words):
            return False
    return all(
        key in view.attributes and value in terms.texts_of(view.attributes[key], json(view.attributes[key]))
        for key, value in query.attributes
    )


def folded(text: str) -> str:
    """As the index has it: without case and accents."""
    if text.isascii():
        return text.lower()
    plain = unicodedata.normalize("NFD", text)
    return "".join(each for each in plain if not unicodedata.combining(each)).casefold()


def json(value: object) -> str:
    """A value as the store writes it."""
    return orjson.dumps(value, default=_other).decode()


def _other(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
