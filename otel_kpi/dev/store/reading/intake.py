"""What became of what was sent, and how large the store is: the telemetry itself."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from otel_kpi.dev.store.reading.spans import attributes_of, services
from otel_kpi.dev.telemetry import DELTA

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from otel_kpi.dev.telemetry import Value

MINUTE_NS: Final = 60_000_000_000
_LOOKED_AT: Final = 10_000
"""Of the newest spans, for what their senders cut off and what their clocks say."""


@dataclass(frozen=True, slots=True)
class Minute:
    """What became of what one service sent in one minute.

    Attributes:
        minute: Since 1970.
        service: Empty where nobody knows whose it was: what is malformed says no service.
        outcome: `accepted`, or why not.
        last: What was said of the last of them.
    """

    minute: int
    signal: str
    outcome: str
    service: str
    items: int
    last: str


@dataclass(frozen=True, slots=True)
class Sender:
    """When a service sent something last.

    Attributes:
        minute: Since 1970; of what was accepted.
        items: Accepted in the minutes that are known.
    """

    service: str
    signal: str
    minute: int
    items: int


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store has.

    Attributes:
        size: Bytes of the file, or of memory.
        free: Bytes of it that are not used, and will be before it grows.
        spans: And the other counts: rows.
        oldest_ns: Start of the oldest trace; None where there is none.
    """

    size: int
    free: int
    traces: int
    spans: int
    logs: int
    points: int
    series: int
    oldest_ns: int | None


@dataclass(frozen=True, slots=True)
class Loss:
    """What a sender says that it lost.

    Attributes:
        what: The instrument that says so.
        attributes: Of its series: where to, and why.
    """

    service: str
    what: str
    description: str
    attributes: Mapping[str, Value]
    count: float
    time_ns: int


@dataclass(frozen=True, slots=True)
class Cut:
    """What senders left out of the newest spans, for their limits.

    Attributes:
        looked_at: How many spans.
    """

    looked_at: int
    attributes: int
    events: int
    links: int


@dataclass(frozen=True, slots=True)
class Clocks:
    """Two services whose clocks differ: spans of one began before the spans of the other that caused them.

    Attributes:
        parent: Service of the cause.
        child: Service of what began before it; pages move its spans to where they can be.
        spans: How many of the newest.
        most_ns: By how much at the most.
    """

    parent: str
    child: str
    spans: int
    most_ns: int


def minutes(reader: sqlite3.Connection, *, since: int) -> list[Minute]:
    """By minute, signal, outcome and service, the newest first; from minute `since` on."""
    rows = reader.execute(
        """
        SELECT intake.minute, intake.signal, intake.outcome, coalesce(service.name, ''), intake.items, intake.last
        FROM intake LEFT JOIN service ON service.id = intake.service
        WHERE intake.minute >= ?
        ORDER BY intake.minute DESC, intake.signal, intake.outcome, service.name
        """,
        (since,),
    )
    return [Minute(*row) for row in rows]


def first_minute(reader: sqlite3.Connection) -> int | None:
    """The oldest minute of which something is known; None where nothing ever came."""
    return reader.execute("SELECT min(minute) FROM intake").fetchone()[0]


def senders(reader: sqlite3.Connection) -> list[Sender]:
    """Who sent what, and when last."""
    rows = reader.execute(
        """
        SELECT coalesce(service.name, ''), intake.signal, max(intake.minute), sum(intake.items)
        FROM intake LEFT JOIN service ON service.id = intake.service
        WHERE intake.outcome = 'accepted' GROUP BY 1, 2 ORDER BY 1, 2
        """
    )
    return [Sender(*row) for row in rows]


def kept(reader: sqlite3.Connection) -> Kept:
    """What the store has, and how large it is."""

    def one(statement: str) -> int:
        return int(reader.execute(statement).fetchone()[0] or 0)

    page = one("PRAGMA page_size")
    oldest = reader.execute("SELECT start_ns FROM trace ORDER BY id LIMIT 1").fetchone()
    return Kept(
        size=page * one("PRAGMA page_count"),
        free=page * one("PRAGMA freelist_count"),
        traces=one("SELECT count(*) FROM trace"),
        spans=one("SELECT sum(spans) FROM trace"),
        logs=one("SELECT count(*) FROM log"),
        points=one("SELECT count(*) FROM point"),
        series=one("SELECT count(*) FROM series"),
        oldest_ns=oldest[0] if oldest else None,
    )


def losses(reader: sqlite3.Connection) -> list[Loss]:
    """What the senders say that they lost: the SDK's own series with a reason, and this distribution's, the most first."""
    rows = reader.execute(
        """
        SELECT service.name, metric.name, metric.description, metric.temporality, series.id, shape.keys, series.attrs
        FROM metric JOIN series ON series.metric = metric.id JOIN service ON service.id = series.service
        JOIN shape ON shape.id = series.shape
        WHERE metric.name IN ('otel_kpi.dropped_values', 'otel_kpi.overflowed_values', 'otel_kpi.sdk.errors',
            'otel_kpi.instrumentation.errors', 'otel_kpi.content.lost')
            OR metric.name GLOB 'otel.sdk.exporter.*.exported' OR metric.name GLOB 'otel.sdk.processor.*.processed'
        """
    ).fetchall()
    found: list[Loss] = []
    for service, name, description, temporality, series, keys, attrs in rows:
        told = attributes_of(orjson.loads(keys), attrs)
        if name.startswith("otel.sdk.") and not told.get("error.type"):
            continue  # these were sent
        count, last = _counted(reader, series, temporality)
        if count:
            found.append(Loss(service, name, description, told, count, last))
    return sorted(found, key=lambda loss: (-loss.count, loss.service, loss.what))


def _counted(reader: sqlite3.Connection, series: int, temporality: int) -> tuple[float, int]:
    if temporality == DELTA:
        row = reader.execute(
            "SELECT sum(value), max(time_ns) FROM point WHERE series = ?", (series,)
        ).fetchone()
    else:
        row = reader.execute(
            "SELECT value, time_ns FROM point WHERE series = ? ORDER BY time_ns DESC LIMIT 1", (series,)
        ).fetchone()
    return (row[0] or 0, row[1] or 0) if row else (0, 0)


def cut(reader: sqlite3.Connection) -> Cut:
    """What senders left out of the newest spans."""
    newest = reader.execute("SELECT max(id) FROM span").fetchone()[0] or 0
    row: Any = reader.execute(
        """
        SELECT count(*), sum(json_extract(extra, '$.dropped[0]')), sum(json_extract(extra, '$.dropped[1]')),
            sum(json_extract(extra, '$.dropped[2]')) FROM span WHERE id > ?
        """,
        (newest - _LOOKED_AT,),
    ).fetchone()
    return Cut(*(int(each or 0) for each in row))


def clocks(reader: sqlite3.Connection) -> list[Clocks]:
    """Services whose clocks differ, as far as the newest spans show, those that differ most first."""
    newest = reader.execute("SELECT max(id) FROM span").fetchone()[0] or 0
    rows = reader.execute(
        "SELECT trace, span_id, parent_id, service, start_ns FROM span WHERE id > ?", (newest - _LOOKED_AT,)
    ).fetchall()
    began = {(trace, span_id): (service, start_ns) for trace, span_id, _, service, start_ns in rows}
    found: dict[tuple[int, int], tuple[int, int]] = {}
    for trace, _, parent_id, service, start_ns in rows:
        parent, parent_start_ns = began.get((trace, parent_id), (service, 0))
        if parent != service and start_ns < parent_start_ns:
            spans, most_ns = found.get((parent, service), (0, 0))
            found[parent, service] = spans + 1, max(most_ns, parent_start_ns - start_ns)
    names = services(reader, {number for pair in found for number in pair})
    listed = [
        Clocks(names.get(parent, ""), names.get(child, ""), *counted)
        for (parent, child), counted in found.items()
    ]
    return sorted(listed, key=lambda each: (-each.most_ns, each.parent, each.child))


def this_minute() -> int:
    """Minutes since 1970."""
    return int(time.time() // 60)
