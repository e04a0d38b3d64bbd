"""Rows of log records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_kpi.dev.store import problems as exceptions
from otel_kpi.dev.store.dictionary import Dictionary, clean, quoted, values
from otel_kpi.dev.store.traces import FOREVER, Traces
from otel_kpi.dev.store.words import Words

if TYPE_CHECKING:
    import sqlite3

    from otel_kpi.dev.store.problems import Problems
    from otel_kpi.dev.store.tally import Tally
    from otel_kpi.dev.telemetry import Group, LogRecord

_SQL: Final = (
    "INSERT INTO log (id, time_ns, service, resource, scope, severity, severity_text, body, shape, attrs, trace_id, "
    "span_id, event_name, extra) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def extra(record: LogRecord) -> str | None:
    """What a record says beside its row."""
    said: list[str] = []
    if record.time_ns and record.observed_ns and record.observed_ns != record.time_ns:
        said.append(f'"observed_ns":{record.observed_ns}')
    if record.flags & ~1:
        said.append(f'"flags":{record.flags}')
    if record.dropped:
        said.append(f'"dropped":{record.dropped}')
    return "{" + ",".join(said) + "}" if said else None


class Logs:
    """Writes log records.

    Args:
        connection: The writer's.
        dictionary: Ids of texts.
        traces: In which errors may be known already.
        problems: Takes exceptions.
        first: The id of the next record.
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
        self._words = Words(connection, "logs")
        self.next = first

    def forget(self) -> None:
        """Look everything up anew."""
        self._words.forget()

    def add(self, group: Group[LogRecord], now_ns: int, tally: Tally) -> int:
        """Write the records of a group, and say how many."""
        service, resource = self._dictionary.sender(group.resource, now_ns)
        scope = self._dictionary.scope(group.scope)
        head = f"zs{service} zr{resource} zv"
        rows: list[tuple[object, ...]] = []
        texts: list[tuple[int, str]] = []
        dropped = 0
        row = self.next
        for record in group.items:
            keys = tuple([each[0] for each in record.attributes])
            time_ns = min(record.time_ns or record.observed_ns or now_ns, FOREVER)
            rows.append((
                row, time_ns, service, resource, scope, record.severity_number,
                clean(record.severity_text) or None, record.body.json, self._dictionary.shape(keys),
                values(record.attributes), record.trace_id or None, record.span_id or None,
                clean(record.event_name) or None, extra(record),
            ))  # fmt: skip
            name = f" {quoted(record.event_name)}" if record.event_name else ""
            terms = " ".join([each[3] for each in record.attributes])
            texts.append((row, f"{head}{record.severity_number}{name} {record.body.terms} {terms}"))
            if exceptions.TYPE in keys or exceptions.STACK in keys:
                self._problems.of_record(
                    row, time_ns, record.span_id, record.attributes,
                    self._traces.failed_before(record.trace_id) if record.trace_id else None,
                    (group.resource.service, service),
                )  # fmt: skip
            dropped += record.dropped
            row += 1
        self.next = row
        self._connection.executemany(_SQL, rows)
        self._words.add(texts)
        tally.add("logs", "accepted", len(rows), service=service)
        tally.add("logs", "dropped", dropped, service=service)
        return len(rows)
