"""From rows to what is shown: spans, log records, and the texts and keys that the rows name by number.

What comes again and again is kept once, so each reading fetches the texts, shapes, resources and scopes of its own rows
together, and knows them no longer than that: retention may take them away meanwhile.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from otel_kpi.dev.views import KINDS, STATUSES, EventView, LinkView, LogView, SpanView
from otel_kpi.dev.wire.values import value_of as decoded

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Generator, Iterable, Mapping, Sequence

    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import SpanKind

SPAN_COLUMNS: Final = (
    "id, trace, span_id, parent_id, service, resource, scope, name, kind, status, status_message, start_ns, dur_ns, "
    "shape, attrs, events, links, extra"
)
"""What `span_views` is given of each row."""
LOG_COLUMNS: Final = "id, time_ns, service, resource, scope, severity, severity_text, body, shape, attrs, trace_id, span_id, event_name"
"""What `log_views` is given of each row."""
_VARIABLES: Final = 30_000  # SQLite's limit is 32,766 in one statement

Row = tuple[Any, ...]


class Source(NamedTuple):
    """A resource or a scope."""

    attributes: Mapping[str, Value]
    name: str = ""
    version: str = ""


@dataclass(slots=True)
class Names:
    """What rows name by number."""

    texts: Mapping[int, str]
    services: Mapping[int, str]
    shapes: Mapping[int, Sequence[str]]
    resources: Mapping[int, Source]
    scopes: Mapping[int, Source]


@contextmanager
def one_moment(reader: sqlite3.Connection) -> Generator[None]:
    """Several questions in one transaction: what comes or goes meanwhile is in all of the answers, or in none."""
    reader.execute("BEGIN")
    try:
        yield
    finally:
        reader.execute("ROLLBACK")


def kind_of(number: int) -> SpanKind:
    """A span's kind by OTLP's number; one that is not known yet is unspecified."""
    return KINDS[number] if 0 <= number < len(KINDS) else "unspecified"


def attributes_of(keys: Sequence[str], attrs: str) -> dict[str, Value]:
    """Attributes of a row, by the keys of its shape."""
    return {
        key: decoded(value) if isinstance(value, (dict, list)) else value
        for key, value in zip(keys, orjson.loads(attrs), strict=False)
    }


def rows_by_number(
    reader: sqlite3.Connection, select: str, numbers: Collection[int | None]
) -> dict[int, Row]:
    """Rows of a table by their number, which is the first column of `select`."""
    wanted = sorted({number for number in numbers if number is not None})
    found: dict[int, Row] = {}
    for first in range(0, len(wanted), _VARIABLES):
        part = wanted[first : first + _VARIABLES]
        marks = ",".join("?" * len(part))
        found.update((row[0], row[1:]) for row in reader.execute(f"{select} WHERE id IN ({marks})", part))
    return found


def texts(reader: sqlite3.Connection, numbers: Collection[int | None]) -> dict[int, str]:
    """Texts of the table `str`."""
    return {key: row[0] for key, row in rows_by_number(reader, "SELECT id, s FROM str", numbers).items()}


def services(reader: sqlite3.Connection, numbers: Collection[int | None]) -> dict[int, str]:
    """Names of services."""
    return {
        key: row[0] for key, row in rows_by_number(reader, "SELECT id, name FROM service", numbers).items()
    }


def names(  # noqa: PLR0913 - one for each table
    reader: sqlite3.Connection,
    *,
    words: Collection[int | None],
    service: Collection[int | None],
    shape: Collection[int | None],
    resource: Collection[int | None],
    scope: Collection[int | None],
) -> Names:
    """What the rows of a reading name, each table asked once."""
    resources = rows_by_number(reader, "SELECT id, shape, attrs FROM resource", resource)
    scopes = rows_by_number(reader, "SELECT id, shape, attrs, name, version FROM scope", scope)
    shapes = {*shape, *(row[0] for row in resources.values()), *(row[0] for row in scopes.values())}
    keys: dict[int, list[str]] = {
        number: orjson.loads(row[0])
        for number, row in rows_by_number(reader, "SELECT id, keys FROM shape", shapes).items()
    }
    return Names(
        texts=texts(reader, words),
        services=services(reader, service),
        shapes=keys,
        resources={
            number: Source(attributes_of(keys.get(row[0], ()), row[1])) for number, row in resources.items()
        },
        scopes={
            number: Source(attributes_of(keys.get(row[0], ()), row[1]), row[2], row[3])
            for number, row in scopes.items()
        },
    )


def _events(kept: str | None) -> Sequence[EventView]:
    if not kept:
        return ()
    return [
        EventView(name, time_ns, {key: decoded(value) for key, value in attributes.items()})
        for name, time_ns, attributes, *_ in orjson.loads(kept)
    ]


def _links(kept: str | None) -> Sequence[LinkView]:
    if not kept:
        return ()
    return [
        LinkView(trace_id, span_id, {key: decoded(value) for key, value in attributes.items()})
        for trace_id, span_id, attributes, *_ in orjson.loads(kept)
    ]


def _column(rows: Iterable[Row], *places: int) -> set[int | None]:
    return {row[place] for row in rows for place in places}


def span_views(
    reader: sqlite3.Connection, rows: Sequence[Row], trace_ids: Mapping[int, str]
) -> list[SpanView]:
    """Spans as they are shown.

    Args:
        reader: Where their texts are.
        rows: `SPAN_COLUMNS` of each.
        trace_ids: Of each row's trace.
    """
    known = names(
        reader,
        words=_column(rows, 7),
        service=_column(rows, 4),
        shape=_column(rows, 13),
        resource=_column(rows, 5),
        scope=_column(rows, 6),
    )
    unknown = Source({})
    views: list[SpanView] = []
    for (
        row, trace, span_id, parent_id, service, resource, scope, name, kind, status, message, start, duration,
        shape, attrs, events, links, extra,
    ) in rows:  # fmt: skip
        source = known.scopes.get(scope, unknown)
        views.append(
            SpanView(
                trace_id=trace_ids.get(trace, ""),
                span_id=span_id.hex(),
                parent_id=parent_id.hex() if parent_id else "",
                service=known.services.get(service, ""),
                name=known.texts.get(name, ""),
                kind=kind_of(kind),
                status=STATUSES[status] if 0 <= status < len(STATUSES) else "unset",
                status_message=message or "",
                start_ns=start,
                duration_ns=duration,
                attributes=attributes_of(known.shapes.get(shape, ()), attrs),
                events=_events(events),
                links=_links(links),
                scope=source.name,
                scope_version=source.version,
                resource=known.resources.get(resource, unknown).attributes,
                trace_state=(orjson.loads(extra).get("trace_state") or "") if extra else "",
                row=row,
            )
        )
    return views


def spans_of(reader: sqlite3.Connection, numbers: Sequence[int]) -> list[SpanView]:
    """Spans by their numbers, in this order; those that were forgotten are left out."""
    found = rows_by_number(reader, f"SELECT {SPAN_COLUMNS} FROM span", numbers)  # noqa: S608 - columns of ours
    rows = [(number, *found[number]) for number in numbers if number in found]
    traces = rows_by_number(reader, "SELECT id, trace_id FROM trace", {row[1] for row in rows})
    return span_views(reader, rows, {number: row[0].hex() for number, row in traces.items()})


def log_views(reader: sqlite3.Connection, rows: Sequence[Row]) -> list[LogView]:
    """Log records as they are shown; `LOG_COLUMNS` of each."""
    known = names(
        reader,
        words=(),
        service=_column(rows, 2),
        shape=_column(rows, 8),
        resource=(),
        scope=_column(rows, 4),
    )
    unknown = Source({})
    return [
        LogView(
            row=row,
            time_ns=time_ns,
            severity=severity,
            severity_text=severity_text or "",
            service=known.services.get(service, ""),
            body=body_text(body),
            attributes=attributes_of(known.shapes.get(shape, ()), attrs),
            trace_id=trace_id.hex() if trace_id else "",
            span_id=span_id.hex() if span_id else "",
            event_name=event_name or "",
            scope=known.scopes.get(scope, unknown).name,
        )
        for (
            row, time_ns, service, _, scope, severity, severity_text, body, shape, attrs, trace_id, span_id, event_name,
        ) in rows
    ]  # fmt: skip


def body_text(body: str) -> str:
    """The body of a log record as text; JSON of what is none."""
    # The store keeps the JSON of the body: a text is by far the most frequent, and is shown without its quotes.
    if body.startswith('"'):
        return str(orjson.loads(body))
    return "" if body == "null" else body
