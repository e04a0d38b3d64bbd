"""Rows of spans: the loop that each span passes, so it looks nothing up twice and calls little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_kpi.dev.statements import is_statement
from otel_kpi.dev.store import facts
from otel_kpi.dev.store.dictionary import Dictionary, mapping, quoted
from otel_kpi.dev.store.terms import link_term, words_of
from otel_kpi.dev.store.traces import FOREVER, MINUTE_NS, NOWHERE, SERVICE_BITS, SERVICE_MASK, Traces
from otel_kpi.dev.store.words import Words

if TYPE_CHECKING:
    import sqlite3

    from otel_kpi.dev.store.problems import Problems
    from otel_kpi.dev.store.tally import Tally
    from otel_kpi.dev.telemetry import Event, Group, Link, Span

_SQL: Final = (
    "INSERT INTO span (id, trace, span_id, parent_id, service, resource, scope, name, kind, status, status_message, "
    "start_ns, dur_ns, shape, attrs, events, links, extra) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_COUNT_SQL: Final = (
    "INSERT INTO trace_service (service, trace, spans, errors) VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET spans = spans + excluded.spans, errors = errors + excluded.errors"
)
ERROR: Final = 2
_MOST: Final = 50_000
"""Shapes and operations that are remembered."""
LATE_NS: Final = 60_000_000_000
"""What ended longer ago when it came is late: SDKs send after five seconds."""
FUTURE_NS: Final = 5_000_000_000
"""What begins later than this after it came has been timed by another clock."""
_USUAL_FLAGS: Final = 0x101
"""Sampled, and known to have a local parent: what nearly every span says, and is not written."""


def events(items: list[Event]) -> str:
    """Events as they are kept."""
    return f"[{','.join([f'[{quoted(each.name)},{each.time_ns},{mapping(each.attributes)}]' for each in items])}]"


def links(items: list[Link]) -> str:
    """Links as they are kept."""
    return (
        "["
        + ",".join([
            f'["{each.trace_id.hex()}","{each.span_id.hex()}",{mapping(each.attributes)},{quoted(each.trace_state)}]'
            for each in items
        ])
        + "]"
    )  # fmt: skip


def extra(span: Span) -> str | None:
    """What few spans say."""
    said: list[str] = []
    if span.trace_state:
        said.append(f'"trace_state":{quoted(span.trace_state)}')
    if span.flags & ~_USUAL_FLAGS:
        said.append(f'"flags":{span.flags}')
    if any(span.dropped):
        said.append(f'"dropped":[{",".join(map(str, span.dropped))}]')
    if span.end_ns < span.start_ns:
        said.append(f'"end_ns":{span.end_ns}')
    return "{" + ",".join(said) + "}" if said else None


class Spans:
    """Writes spans.

    Args:
        connection: The writer's.
        dictionary: Ids of texts.
        traces: What is known of them.
        problems: Takes exceptions.
        first: The id of the next span.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        dictionary: Dictionary,
        traces: Traces,
        problems: Problems,
        first: int,
    ) -> None:
        self._connection = connection
        self._dictionary = dictionary
        self._traces = traces
        self._problems = problems
        self._words = Words(connection, "traces")
        self._shapes: dict[tuple[str, ...], tuple[int, int]] = {}
        self._operations: set[tuple[int, int, int]] = set()
        self.next = first

    def forget(self) -> None:
        """Look everything up anew."""
        self._shapes.clear()
        self._operations.clear()
        self._words.forget()

    def add(self, group: Group[Span], now_ns: int, tally: Tally) -> int:  # noqa: C901, PLR0912, PLR0915 - one loop; calls in it are what costs
        """Write the spans of a group.

        Returns:
            How many are new.
        """
        dictionary, traces = self._dictionary, self._traces
        name_of, trace_of, seen, add_call = dictionary.name, traces.of, traces.seen, traces.calls.add
        shapes, operations = self._shapes, self._operations
        service, resource = dictionary.sender(group.resource, now_ns)
        scope = dictionary.scope(group.scope)
        head = f"zs{service} zr{resource} "
        late_before, early_after = now_ns - LATE_NS, now_ns + FUTURE_NS
        rows: list[tuple[object, ...]] = []
        texts: list[tuple[int, str]] = []
        calls: list[tuple[object, ...]] = []
        runs: list[tuple[object, ...]] = []
        stages: list[tuple[object, ...]] = []
        pipelines: set[int] = set()
        counts: dict[int, list[int]] = {}
        late = future = twice = dropped = 0
        row = self.next
        for span in group.items:
            span_id, parent_id, start_ns, end_ns = span.span_id, span.parent_id, span.start_ns, span.end_ns
            status, kind = span.status, span.kind
            if end_ns > FOREVER or start_ns > FOREVER:  # SQLite's numbers have a sign
                start_ns, end_ns = min(start_ns, FOREVER), min(end_ns, FOREVER)
            duration_ns = end_ns - start_ns if end_ns > start_ns else 0
            known = trace_of(span.trace_id)
            identity = (start_ns ^ duration_ns) << SERVICE_BITS | service
            if known.spans_by_id.get(span_id) == identity:
                twice += 1
                continue
            seen(known, span_id, identity)

            attributes = span.attributes
            keys = tuple([each[0] for each in attributes])
            name, words = name_of(span.name)
            failed = status == ERROR
            known.spans += 1
            count = counts.get(known.row)
            if count is None:
                count = counts[known.row] = [0, 0]
            count[0] += 1
            if failed:
                known.errors += 1
                count[1] += 1
            if start_ns < known.start_ns:  # noqa: PLR1730 - min() takes four times as long
                known.start_ns = start_ns
            if start_ns + duration_ns > known.end_ns:  # noqa: PLR1730 - the same
                known.end_ns = start_ns + duration_ns
            if not parent_id or parent_id == NOWHERE:
                parent_id = None
                if start_ns < known.root_start:
                    known.root_start, known.root_name, known.root_service = start_ns, name, service
            else:
                parent = known.spans_by_id.get(parent_id)
                if parent is not None:
                    if parent & SERVICE_MASK != service:
                        add_call(parent & SERVICE_MASK, service, start_ns // MINUTE_NS, failed)
                else:
                    if known.waiting is None:
                        known.waiting = {}
                    known.waiting.setdefault(parent_id, []).append((service, start_ns // MINUTE_NS, failed))
            if end_ns < late_before:
                late += 1
            elif start_ns > early_after:
                future += 1

            remembered = shapes.get(keys)
            if remembered is None:
                if len(shapes) >= _MOST:
                    shapes.clear()
                remembered = shapes[keys] = (dictionary.shape(keys), facts.facts_of(keys))
            shape, found = remembered
            if found:
                if found & facts.STATEMENT:
                    known.statements += is_statement(
                        span.name, {each[0]: each[1] for each in span.attributes}
                    )
                if found & facts.LLM:
                    call = facts.llm_call(row, span, start_ns, duration_ns, dictionary)
                    if call is not None:
                        known.llm_calls += 1
                        calls.append(call)
                if found & facts.RUN:
                    known.runs = True
                    pipelines.add(known.row)
                    runs.append(facts.pipeline_run(row, span, start_ns, duration_ns, dictionary))
                elif found & facts.STAGE:
                    stages.append(facts.stage(row, span, start_ns, duration_ns, dictionary))
                    if known.runs:
                        pipelines.add(known.row)

            operation = (service, name, kind)
            if operation not in operations:
                if len(operations) >= _MOST:
                    operations.clear()
                operations.add(operation)
                self._connection.execute("INSERT OR IGNORE INTO operation VALUES (?, ?, ?)", operation)

            text = f"{head}zd{duration_ns.bit_length()} zx{status} zk{kind} {words} {' '.join([each[3] for each in attributes])}"
            if (
                span.status_message
                or span.events
                or span.links
                or span.trace_state
                or span.flags & ~_USUAL_FLAGS
                or end_ns < start_ns
                or span.dropped != (0, 0, 0)
            ):
                text += self._more_words(span)
                if span.events:
                    self._problems.of_span(
                        row, span_id, parent_id or b"", span.events, known, (group.resource.service, service),
                        start_ns + duration_ns,
                    )  # fmt: skip
                dropped += sum(span.dropped)
                rows.append((
                    row, known.row, span_id, parent_id, service, resource, scope, name, kind, status,
                    span.status_message or None, start_ns, duration_ns, shape,
                    f"[{','.join([each[2] for each in attributes])}]",
                    events(span.events) if span.events else None, links(span.links) if span.links else None, extra(span),
                ))  # fmt: skip
            else:
                rows.append((
                    row, known.row, span_id, parent_id, service, resource, scope, name, kind, status, None, start_ns,
                    duration_ns, shape, f"[{','.join([each[2] for each in attributes])}]", None, None, None,
                ))  # fmt: skip
            texts.append((row, text))
            row += 1
        self.next = row

        executemany = self._connection.executemany
        executemany(_SQL, rows)
        executemany(_COUNT_SQL, [(service, trace, *count) for trace, count in counts.items()])
        self._words.add(texts)
        if calls:
            executemany(facts.CALL_SQL, calls)
        if runs:
            executemany(facts.RUN_SQL, runs)
        if stages:
            executemany(facts.STAGE_SQL, stages)
        for trace in pipelines:
            self._connection.execute(facts.RUN_OF_STAGES, (trace,))
        tally.add("traces", "accepted", len(rows), service=service)
        tally.add("traces", "duplicate", twice, service=service)
        tally.add("traces", "late", late, service=service)
        tally.add("traces", "future", future, service=service)
        tally.add("traces", "dropped", dropped, service=service)
        return len(rows)

    @staticmethod
    def _more_words(span: Span) -> str:
        """Words of the status and the events, and what the span links to."""
        said = [words_of(span.status_message)] if span.status_message else []
        said += [link_term(link.span_id) for link in span.links]
        for event in span.events[:128]:
            said.append(words_of(event.name))
            said += [each[3] for each in event.attributes]
        return f" {' '.join(said)}" if said else ""
