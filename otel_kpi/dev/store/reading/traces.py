"""The traces of the store, as the trace pages and Jaeger's API read them."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.store import terms
from otel_kpi.dev.store.reading import dependencies, search
from otel_kpi.dev.store.reading.spans import (
    LOG_COLUMNS,
    SPAN_COLUMNS,
    kind_of,
    log_views,
    one_moment,
    rows_by_number,
    services,
    span_views,
    spans_of,
    texts,
)
from otel_kpi.dev.views import Found, ServiceCount, TraceSummary, TraceView

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from otel_kpi.dev.store import Store
    from otel_kpi.dev.store.reading.spans import Row
    from otel_kpi.dev.views import Dependency, SpanKind, SpanView, TraceQuery

MOST_SPANS: Final = 100_000
"""Of a trace that is read whole."""
MOST_LINKING: Final = 100
"""Of the spans that link to another, which may be the many of a batch."""
_MOST_LOGS: Final = 10_000
_MOST_LISTED: Final = 1_000
_TRACE_ID_BYTES: Final = 16


class StoredTraces:
    """Traces of a store.

    Args:
        store: Read by a connection of the thread that asks.
        seconds: How long a search may take; what it has found by then is answered.
    """

    def __init__(self, store: Store, *, seconds: float = 0.5) -> None:
        self._store = store
        self._seconds = seconds

    def services(self) -> Sequence[str]:
        """Names of the services that sent spans, sorted."""
        rows = self._store.reader().execute(
            "SELECT name FROM service WHERE EXISTS (SELECT 1 FROM operation o WHERE o.service = service.id) ORDER BY name"
        )
        return [row[0] for row in rows]

    def operations(self, service: str, kind: SpanKind | None = None) -> Sequence[tuple[str, SpanKind]]:
        """Names and kinds of the spans of a service, sorted."""
        rows = self._store.reader().execute(
            "SELECT t.s, o.kind FROM service v JOIN operation o ON o.service = v.id JOIN str t ON t.id = o.name "
            "WHERE v.name = ? ORDER BY t.s, o.kind",
            (service,),
        )
        listed: list[tuple[str, SpanKind]] = [(name, kind_of(number)) for name, number in rows]
        return [each for each in listed if kind is None or each[1] == kind]

    def search(self, query: TraceQuery) -> Found:
        """The newest traces that fit, by the row of their arrival; see `search.py` for what fits."""
        reader = self._store.reader()
        limit = max(1, min(query.limit, _MOST_LISTED))
        hits = search.search(reader, query, limit + 1, self._seconds)
        return Found(
            summaries(reader, hits.traces[:limit]), more=len(hits.traces) > limit, capped=hits.capped
        )

    def trace(self, trace_id: str) -> TraceView | None:
        """A trace with its log records; None of one that is not here."""
        identity = trace_id_bytes(trace_id)
        if identity is None:
            return None
        reader = self._store.reader()
        with one_moment(reader):
            return _trace(reader, identity)

    def dependencies(self, start_ns: int, end_ns: int) -> Sequence[Dependency]:
        """Who calls whom."""
        return dependencies.dependencies(self._store.reader(), start_ns, end_ns)


def trace_id_bytes(text: str) -> bytes | None:
    """A trace id from hexadecimal text, which may lack leading zeros; None of what is none."""
    with suppress(ValueError):
        identity = bytes.fromhex(text.rjust(2 * _TRACE_ID_BYTES, "0"))
        return identity if len(identity) == _TRACE_ID_BYTES else None
    return None


def _trace(reader: sqlite3.Connection, identity: bytes) -> TraceView | None:
    found = reader.execute("SELECT id FROM trace WHERE trace_id = ?", (identity,)).fetchone()
    logs = reader.execute(
        f"SELECT {LOG_COLUMNS} FROM log WHERE trace_id = ? ORDER BY time_ns, id LIMIT ?",  # noqa: S608 - a constant
        (identity, _MOST_LOGS + 1),
    ).fetchall()
    if found is None and not logs:
        return None
    rows: list[Row] = []
    if found is not None:
        rows = reader.execute(
            f"SELECT {SPAN_COLUMNS} FROM span WHERE trace = ? ORDER BY id LIMIT ?",  # noqa: S608 - a constant
            (found[0], MOST_SPANS + 1),
        ).fetchall()
    spans = span_views(reader, rows[:MOST_SPANS], {found[0]: identity.hex()} if found else {})
    spans.sort(key=lambda span: (span.start_ns, -span.duration_ns, span.row))
    return TraceView(
        identity.hex(),
        spans,
        log_views(reader, logs[:_MOST_LOGS]),
        truncated=len(rows) > MOST_SPANS or len(logs) > _MOST_LOGS,
    )


def summaries(reader: sqlite3.Connection, traces: Sequence[int]) -> list[TraceSummary]:
    """Rows of the list of traces, in the order of `traces`; one that was forgotten meanwhile is left out."""
    rows = rows_by_number(
        reader,
        "SELECT id, trace_id, start_ns, end_ns, root_name, root_service, spans, errors, llm_calls, statements FROM trace",
        traces,
    )
    orphaned = {number: _earliest(reader, number) for number, row in rows.items() if row[3] is None}
    roots = {number: orphaned.get(number) or (row[3], row[4]) for number, row in rows.items()}
    names = texts(reader, {name for name, _ in roots.values()})
    owners = services(reader, {service for _, service in roots.values()})
    counts = _services(reader, list(rows))
    costs = _costs(reader, [number for number, row in rows.items() if row[7]])
    listed: list[TraceSummary] = []
    for number in traces:
        if (row := rows.get(number)) is None:
            continue
        trace_id, start_ns, end_ns, _, _, spans, errors, llm_calls, statements = row
        name, service = roots[number]
        listed.append(
            TraceSummary(
                row=number,
                trace_id=trace_id.hex(),
                root_name=names.get(name, ""),
                root_service=owners.get(service, ""),
                start_ns=start_ns,
                duration_ns=end_ns - start_ns,
                spans=spans,
                errors=errors,
                services=counts.get(number, ()),
                root_missing=number in orphaned,
                llm_calls=llm_calls,
                cost=costs.get(number, {}),
                statements=statements,
            )
        )
    return listed


def _earliest(reader: sqlite3.Connection, trace: int) -> tuple[int, int] | None:
    return reader.execute(
        "SELECT name, service FROM span WHERE trace = ? ORDER BY start_ns, id LIMIT 1", (trace,)
    ).fetchone()


def _services(reader: sqlite3.Connection, traces: Sequence[int]) -> dict[int, list[ServiceCount]]:
    """Services of each trace, those with most spans first."""
    counts: dict[int, list[ServiceCount]] = {}
    # The table is ordered by service and then by trace: each service is asked for each trace, and never read through.
    marks = ",".join("?" * len(traces))
    select = f"SELECT trace, spans, errors FROM trace_service WHERE service = ? AND trace IN ({marks})"  # noqa: S608 - marks alone
    for number, name in reader.execute("SELECT id, name FROM service").fetchall():
        for trace, spans, errors in reader.execute(select, (number, *traces)):
            counts.setdefault(trace, []).append(ServiceCount(name, spans, errors))
    for each in counts.values():
        each.sort(key=lambda count: (-count.spans, count.service))
    return counts


def _costs(reader: sqlite3.Connection, traces: Sequence[int]) -> dict[int, Mapping[str, Decimal]]:
    """What the calls of language models of each trace cost, by currency."""
    costs: dict[int, dict[str, Decimal]] = {}
    for trace in traces:
        for cost, currency in reader.execute(
            "SELECT c.cost, c.currency FROM span s CROSS JOIN llm_call c ON c.span = s.id "
            "WHERE s.trace = ? AND c.cost IS NOT NULL",
            (trace,),
        ):
            with suppress(InvalidOperation):
                of_trace = costs.setdefault(trace, {})
                of_trace[currency or ""] = of_trace.get(currency or "", Decimal()) + Decimal(cost)
    return dict(costs)


def linking(reader: sqlite3.Connection, span: SpanView) -> list[SpanView]:
    """Spans that link to a span, the newest first; at most `MOST_LINKING`."""
    found: list[int] = []
    for index in search.indexes(reader, "traces"):
        rows = reader.execute(
            f"SELECT s.id FROM {index} CROSS JOIN span s ON s.id = {index}.rowid WHERE {index} MATCH ? "  # noqa: S608 - a name of ours
            "AND instr(s.links, ?) ORDER BY s.id DESC LIMIT ?",
            (
                terms.link_term(bytes.fromhex(span.span_id)),
                f'"{span.trace_id}","{span.span_id}"',
                MOST_LINKING - len(found),
            ),
        )
        found += [row[0] for row in rows]
        if len(found) == MOST_LINKING:
            break
    return spans_of(reader, found)


def orphans(reader: sqlite3.Connection, traces: Sequence[int]) -> dict[int, int]:
    """How many spans of each trace name a parent that has not come."""
    counted: dict[int, int] = {}
    for trace in traces:
        rows = reader.execute("SELECT span_id, parent_id FROM span WHERE trace = ?", (trace,)).fetchall()
        here = {span_id for span_id, _ in rows}
        counted[trace] = sum(1 for _, parent in rows if parent and parent not in here)
    return counted
