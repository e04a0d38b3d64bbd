"""Log records that fit what is asked, the newest first; from the index of words where that knows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.literals import LARGEST
from otel_kpi.dev.store import terms
from otel_kpi.dev.store.reading.search import bounded, holders, indexes, sayable, says
from otel_kpi.dev.store.reading.spans import LOG_COLUMNS, log_views
from otel_kpi.dev.wire.values import json_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator, Mapping

    from otel_kpi.dev.views import LogView

_BLOCK: Final = 50_000
"""Rows between two looks at the clock, where no index says which fit."""
_BATCH: Final = 200
_SECONDS: Final = 1.0
_RARE: Final = 13
"""Warnings and above: the index finds them sooner than looking at all would."""
_SEVEREST: Final = 24
_COLUMNS: Final = ", ".join(f"log.{name.strip()}" for name in LOG_COLUMNS.split(","))
_RESOURCE: Final = LOG_COLUMNS.split(", ").index("resource")


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What is asked of a search; None and empty ask for nothing.

    Attributes:
        text: Words, each of which must be in the body, in an attribute or in what its sender says of itself.
        severity: The least one, by OTLP's number.
        attributes: All of them, as text; its sender's count as its own.
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


class _NothingError(Exception):
    """Nothing can fit."""


class _Senders:
    """Which resources say what is asked, as far as they are asked: their records need not say it again."""

    def __init__(self, reader: sqlite3.Connection, query: LogQuery, words: Mapping[str, str]) -> None:
        self.with_attribute = {
            pair: frozenset(holders(reader, "resource", *pair)) for pair in query.attributes
        }
        said = _said_by_resources(reader) if words else {}
        self.with_word = {
            word: frozenset(
                number for number, text in said.items() if _begins(text, word, whole=not term.endswith("*"))
            )
            for word, term in words.items()
        }


def _said_by_resources(reader: sqlite3.Connection) -> dict[int, str]:
    """What each resource says, as the index would have it."""
    rows = reader.execute("SELECT id, attrs FROM resource")
    return {number: " ".join(["", *terms.wanted(attrs), ""]) for number, attrs in rows}


def _begins(text: str, word: str, *, whole: bool) -> bool:
    return f" {word} " in text if whole else f" {word}" in text


@dataclass(slots=True)
class _Asked:
    """What is asked of rows and of the index, and what is compared with what was found."""

    where: list[str]
    values: list[Any]
    match: list[str]
    words: Mapping[str, str]
    senders: _Senders


def search(reader: sqlite3.Connection, query: LogQuery, *, seconds: float = _SECONDS) -> LogsFound:
    """The newest log records that fit.

    Args:
        reader: To the store.
        query: What is asked.
        seconds: At most; then what was found until then is given.
    """
    found = LogsFound()
    attributes = tuple((sayable(key), sayable(value)) for key, value in query.attributes)
    query = replace(query, service=sayable(query.service), attributes=attributes, text=sayable(query.text))
    try:
        with bounded(reader, seconds):
            asked = _asked(reader, query)
            rows = _rows(reader, query, asked, time.monotonic() + seconds, found)
            while len(found.logs) <= query.limit and (batch := list(islice(rows, _BATCH))):
                found.before = batch[-1][0]
                views = zip(log_views(reader, batch), batch, strict=True)
                found.logs += [view for view, row in views if _fits(view, row[_RESOURCE], asked)]
    except _NothingError:
        return found
    except TimeoutError:
        found.capped = True
    found.more = len(found.logs) > query.limit
    if found.more:
        del found.logs[query.limit :]
        found.before = found.logs[-1].row
    elif not found.capped:
        found.before = None
    return found


def _asked(reader: sqlite3.Connection, query: LogQuery) -> _Asked:
    """What the rows must have.

    Raises:
        _NothingError: Nothing can fit.
    """
    words = terms.wanted(query.text)
    if query.text.strip() and not words:  # those that have none in them, a dash alone, are nowhere
        raise _NothingError
    asked = _Asked(
        ["log.id < ?", "log.id > ?"],
        [LARGEST if query.before is None else query.before, query.after or 0],
        [],
        words,
        _Senders(reader, query, words),
    )
    service: int | None = None
    if query.service:
        row = reader.execute("SELECT id FROM service WHERE name = ?", (query.service,)).fetchone()
        if row is None:
            raise _NothingError
        service = row[0]
    trace: bytes | None = None
    if query.trace_id:
        try:
            trace = bytes.fromhex(query.trace_id)
        except ValueError:
            raise _NothingError from None
    for condition, value in (
        ("log.service = ?", service),
        ("log.severity >= ?", query.severity or None),
        ("log.time_ns >= ?", query.start_ns),
        ("log.time_ns <= ?", query.end_ns),
        ("log.trace_id = ?", trace),
    ):
        if value is not None:
            asked.where.append(condition)
            asked.values.append(value)
    if trace is None:
        asked.match = _match(query, asked, service)
    return asked


def _match(query: LogQuery, asked: _Asked, service: int | None) -> list[str]:
    """What the index is asked."""
    senders = asked.senders
    match = [_either(terms.attribute_term(*pair), senders.with_attribute[pair]) for pair in query.attributes]
    match += [_either(term, senders.with_word[word]) for word, term in asked.words.items() if term]
    if service is not None:
        match.append(terms.service_term(service))
    if query.severity >= _RARE:
        severities = (terms.severity_term(number) for number in range(query.severity, _SEVEREST + 1))
        match.append(f"({' OR '.join(severities)})")
    return match


def _either(term: str, resources: Collection[int]) -> str:
    """A term, or one of the resources that say the same."""
    return f"({' OR '.join([term, *map(terms.resource_term, sorted(resources))])})"


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
        for index in indexes(reader, "logs", low, high):
            select = (
                f"SELECT {_COLUMNS} FROM {index} CROSS JOIN log ON log.id = {index}.rowid "  # noqa: S608 - the same
                f"WHERE {index} MATCH ? AND {where} ORDER BY {index}.rowid DESC"
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


def _fits(view: LogView, resource: int, asked: _Asked) -> bool:
    """Whether a record, or who sent it, has what the index says: hashes can be alike, words may be the index's own."""
    senders = asked.senders
    if asked.words:
        said = terms.folded(f"{view.body} {json_of(dict(view.attributes))} {view.event_name}")
        if not all(word in said or resource in senders.with_word[word] for word in asked.words):
            return False
    return all(
        resource in holding or (key in view.attributes and says(view.attributes[key], value))
        for (key, value), holding in senders.with_attribute.items()
    )
