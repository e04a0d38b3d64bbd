"""Requests in few words."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from otel_kpi.dev.telemetry import Event, Group, LogRecord, Request, Resource, Scope, Span
from support.dev.made import attribute, attributes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from sqlite3 import Connection

    from otel_kpi.dev.store import Store
    from otel_kpi.dev.telemetry import Item, Signal, Value

NOW = 1_795_248_000.0
"""Seconds; 2026-11-21T08:00:00Z."""
START = int(NOW) * 10**9
MS = 10**6
TRACE = b"t" * 16

_numbers = itertools.count(1)


def span(  # noqa: PLR0913 - a span
    span_id: str,
    parent: str = "",
    *,
    trace: bytes = TRACE,
    name: str = "work",
    start: int = START,
    ms: int = 10,
    values: Mapping[str, Value] | None = None,
    **more: Any,
) -> Span:
    """A span; ids are words of up to eight letters."""
    return Span(
        trace, span_id.encode().ljust(8, b"."), parent.encode().ljust(8, b".") if parent else b"", name,
        more.pop("kind", 1), start, start + ms * MS, attributes(values or {}), **more,
    )  # fmt: skip


def record(
    body: str, *, trace: bytes = b"", span_id: str = "", values: Mapping[str, Value] | None = None
) -> LogRecord:
    return LogRecord(
        START, START, 9, "INFO", attribute("", body), attributes(values or {}), trace,
        span_id.encode().ljust(8, b".") if span_id else b"",
    )  # fmt: skip


def exception(
    kind: str = "ValueError", message: str = "no such order 4711", stack: str = "", time_ns: int = START
) -> Event:
    return Event("exception", time_ns, attributes(failure(kind, message, stack)))


def failure(
    kind: str = "ValueError", message: str = "no such order 4711", stack: str = ""
) -> dict[str, Value]:
    return {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}


def of(service: str, *items: Item, signal: Signal = "traces") -> Request[Item]:
    """A request of a service."""
    sender = Resource(attributes({"service.name": service}), service=service)
    return Request(signal, [Group(sender, Scope("sample", "1"), list(items))])


def rows(store: Store, statement: str, *values: object) -> list[tuple[Any, ...]]:
    reader: Connection = store.reader()
    return reader.execute(statement, values).fetchall()


def calls(store: Store) -> list[tuple[str, str, int, int]]:
    return rows(
        store,
        "SELECT p.name, c.name, sum(calls), sum(errors) FROM call JOIN service p ON p.id = parent "
        "JOIN service c ON c.id = child GROUP BY 1, 2 ORDER BY 1, 2",
    )


def found(store: Store, term: str, signal: str = "traces") -> list[int]:
    """Rows that the indexes of words find."""
    hits: list[int] = []
    for (number,) in rows(store, "SELECT id FROM words WHERE signal = ? ORDER BY id", signal):
        hits += [
            row[0] for row in rows(store, f"SELECT rowid FROM fts_{number} WHERE fts_{number} MATCH ?", term)
        ]
    return hits
