"""What a store has, as requests again: whoever reads them has what was sent, but for what the store does not keep.

That is the schema URLs, whether a number of a metric was an integer, and flags that nearly every span has.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from otel_kpi.dev.store.reading.spans import LOG_COLUMNS, SPAN_COLUMNS, names, one_moment
from otel_kpi.dev.telemetry import (
    Attribute,
    Attributes,
    Buckets,
    Event,
    Exemplar,
    Group,
    Link,
    LogRecord,
    Metric,
    Point,
    Request,
    Resource,
    Scope,
    Span,
)
from otel_kpi.dev.wire.values import value_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from otel_kpi.dev.store.reading.spans import Names, Row
    from otel_kpi.dev.telemetry import Kind

_MANY: Final = 512
"""Rows of a request."""
_SPANS: Final = f"SELECT {SPAN_COLUMNS}, (SELECT trace_id FROM trace t WHERE t.id = span.trace) FROM span"  # noqa: S608 - a constant
_LOGS: Final = f"SELECT {LOG_COLUMNS}, extra FROM log"  # noqa: S608 - the same
_POINTS: Final = (
    "SELECT e.id, e.metric, e.resource, e.shape, e.attrs, m.scope, m.name, m.kind, m.unit, m.description, "
    "m.temporality, m.monotonic, p.time_ns, p.start_ns, p.value, p.data, p.exemplars "
    "FROM series e JOIN metric m ON m.id = e.metric JOIN point p ON p.series = e.id ORDER BY e.id, p.time_ns"
)


def requests(reader: sqlite3.Connection, *, trace_id: bytes | None = None) -> Iterator[Request[Any]]:
    """Everything, in the order in which it came; or the spans and log records of one trace.

    What comes meanwhile is left out: it is read in one transaction.
    """
    with one_moment(reader):
        if trace_id is None:
            yield from _spans(reader, _SPANS + " ORDER BY id")
            yield from _logs(reader, _LOGS + " ORDER BY id")
            yield from _metrics(reader)
        else:
            of_trace = " WHERE trace = (SELECT id FROM trace WHERE trace_id = ?) ORDER BY id"
            yield from _spans(reader, _SPANS + of_trace, trace_id)
            yield from _logs(reader, _LOGS + " WHERE trace_id = ? ORDER BY id", trace_id)


def _many(reader: sqlite3.Connection, select: str, *values: object) -> Iterator[list[Row]]:
    cursor = reader.execute(select, values)
    while rows := cursor.fetchmany(_MANY):
        yield rows


def _attributes(keys: Sequence[str], attrs: str) -> Attributes:
    return _of(dict(zip(keys, orjson.loads(attrs), strict=False)))


def _of(document: Mapping[str, Any]) -> Attributes:
    return tuple(Attribute(key, value_of(value), "", "") for key, value in document.items())


def _resource(known: Names, number: int) -> Resource:
    found = known.resources.get(number)
    given = tuple(Attribute(key, value, "", "") for key, value in (found.attributes if found else {}).items())
    return Resource(given)


def _scope(known: Names, number: int) -> Scope:
    found = known.scopes.get(number)
    if found is None:
        return Scope()
    given = tuple(Attribute(key, value, "", "") for key, value in found.attributes.items())
    return Scope(found.name, found.version, given)


def _spans(reader: sqlite3.Connection, select: str, *values: object) -> Iterator[Request[Any]]:
    for rows in _many(reader, select, *values):
        known = names(
            reader,
            words={row[7] for row in rows},
            service=(),
            shape={row[13] for row in rows},
            resource={row[5] for row in rows},
            scope={row[6] for row in rows},
        )
        groups = [
            Group(_resource(known, resource), _scope(known, scope), [_span(row, known) for row in sent])
            for (resource, scope), sent in groupby(rows, key=lambda row: (row[5], row[6]))
        ]
        yield Request("traces", groups)


def _span(row: Row, known: Names) -> Span:
    (
        _, _, span_id, parent_id, _, _, _, name, kind, status, message, start_ns, duration_ns, shape, attrs, events,
        links, extra, trace_id,
    ) = row  # fmt: skip
    more: dict[str, Any] = orjson.loads(extra) if extra else {}
    dropped = cast("list[int]", more.get("dropped", [0, 0, 0]))
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id or b"",
        name=known.texts.get(name, ""),
        kind=kind,
        start_ns=start_ns,
        end_ns=more.get("end_ns", start_ns + duration_ns),
        attributes=_attributes(known.shapes.get(shape, ()), attrs),
        events=[Event(of, time_ns, _of(given)) for of, time_ns, given, *_ in orjson.loads(events or "[]")],
        links=[
            Link(bytes.fromhex(of), bytes.fromhex(to), _of(given), *state[:1])
            for of, to, given, *state in orjson.loads(links or "[]")
        ],
        status=status,
        status_message=message or "",
        trace_state=more.get("trace_state", ""),
        flags=more.get("flags", 0),
        dropped=(dropped[0], dropped[1], dropped[2]),
    )


def _logs(reader: sqlite3.Connection, select: str, *values: object) -> Iterator[Request[Any]]:
    for rows in _many(reader, select, *values):
        known = names(
            reader,
            words=(),
            service=(),
            shape={row[8] for row in rows},
            resource={row[3] for row in rows},
            scope={row[4] for row in rows},
        )
        groups = [
            Group(_resource(known, resource), _scope(known, scope), [_record(row, known) for row in sent])
            for (resource, scope), sent in groupby(rows, key=lambda row: (row[3], row[4]))
        ]
        yield Request("logs", groups)


def _record(row: Row, known: Names) -> LogRecord:
    _, time_ns, _, _, _, severity, severity_text, body, shape, attrs, trace_id, span_id, event_name, extra = (
        row
    )
    more: dict[str, Any] = orjson.loads(extra) if extra else {}
    return LogRecord(
        time_ns=time_ns,
        observed_ns=more.get("observed_ns", time_ns),
        severity_number=severity,
        severity_text=severity_text or "",
        body=Attribute("", value_of(orjson.loads(body)), "", ""),
        attributes=_attributes(known.shapes.get(shape, ()), attrs),
        trace_id=trace_id or b"",
        span_id=span_id or b"",
        event_name=event_name or "",
        flags=more.get("flags", 0),
        dropped=more.get("dropped", 0),
    )


def _metrics(reader: sqlite3.Connection) -> Iterator[Request[Any]]:
    for rows in _many(reader, _POINTS):
        known = names(
            reader,
            words=(),
            service=(),
            shape={row[3] for row in rows},
            resource={row[2] for row in rows},
            scope={row[5] for row in rows},
        )
        groups: list[Group[Metric]] = []
        for (resource, scope), sent in groupby(rows, key=lambda row: (row[2], row[5])):
            metrics = [_metric(list(points), known) for _, points in groupby(sent, key=lambda row: row[1])]
            groups.append(Group(_resource(known, resource), _scope(known, scope), metrics))
        yield Request("metrics", groups)


def _metric(rows: list[Row], known: Names) -> Metric:
    _, _, _, _, _, _, name, kind, unit, description, temporality, monotonic, *_ = rows[0]
    points = [_point(row, kind, known) for row in rows]
    return Metric(name, description, unit, kind, points, temporality, bool(monotonic))


def _point(row: Row, kind: Kind, known: Names) -> Point:
    shape, attrs = row[3], row[4]
    time_ns, start_ns, value, data, exemplars = row[12:17]
    said: dict[str, Any] = orjson.loads(data) if data else {}
    single = kind in {"gauge", "sum"}
    return Point(
        attributes=_attributes(known.shapes.get(shape, ()), attrs),
        start_ns=start_ns,
        time_ns=time_ns,
        value=_number(said.get("value", value)) if single else None,
        count=None if single or value is None else int(value),
        sum=_number(said.get("sum")),
        min=_number(said.get("min")),
        max=_number(said.get("max")),
        bounds=tuple(cast("float", _number(bound)) for bound in said.get("bounds", ())),
        counts=tuple(said.get("counts", ())),
        scale=said.get("scale", 0),
        zero_count=said.get("zero_count", 0),
        zero_threshold=_number(said.get("zero_threshold")) or 0.0,
        positive=_buckets(said.get("positive")),
        negative=_buckets(said.get("negative")),
        quantiles=tuple(
            (cast("float", _number(quantile)), cast("float", _number(of)))
            for quantile, of in said.get("quantiles", ())
        ),
        exemplars=[
            Exemplar(cast("float", _number(of)), at, bytes.fromhex(trace), bytes.fromhex(span), _of(given))
            for of, at, trace, span, given in orjson.loads(exemplars or "[]")
        ],
        no_value=said.get("no_value", False),
    )


def _number(kept: Any) -> float | None:
    """A number as it is kept; what JSON has none for is in a document."""
    return cast("float | None", value_of(kept))


def _buckets(kept: Any) -> Buckets:
    return Buckets(kept[0], tuple(kept[1])) if kept else Buckets(0, ())
