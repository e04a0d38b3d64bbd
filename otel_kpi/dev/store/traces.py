"""What is known of a trace while spans of it come: its row, which spans it has, and who has called whom in it.

Spans come late, twice and in any order, over many commits and restarts. The traces that were written to last are in
memory with the ids of their spans; another is read from the file when a span of it comes.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.telemetry import ERROR

if TYPE_CHECKING:
    import sqlite3

MOST_TRACES: Final = 20_000
MOST_SPANS: Final = 200_000
"""Ids of spans in memory, of all traces together; some 130 bytes each."""
MOST_SPANS_OF_ONE: Final = 50_000
"""Of a trace that grows further the earlier ones are forgotten: what is sent twice then counts twice."""
MINUTE_NS: Final = 60_000_000_000
SERVICE_BITS: Final = 20
SERVICE_MASK: Final = (1 << SERVICE_BITS) - 1
FOREVER: Final = (1 << 63) - 1
NOWHERE: Final = b"\0" * 8


def identity(start_ns: int, duration_ns: int, service: int) -> int:
    """What tells a span that was sent again from another with the same id, and has its service in the low bits."""
    return (start_ns ^ duration_ns) << SERVICE_BITS | service


class Known:
    """A trace in memory.

    Attributes:
        spans_by_id: What `identity` says of each of its spans.
        waiting: Spans whose parent has not come, by the parent's id: service, minute, whether it failed.
        covered: Spans of which an error is known already, with whether a log record told of it.
        runs: Pipelines of which a run has come.
    """

    __slots__ = (
        "covered", "end_ns", "errors", "is_new", "llm_calls", "root_name", "root_service", "root_start", "row", "runs",
        "spans", "spans_by_id", "start_ns", "statements", "trace_id", "waiting",
    )  # fmt: skip

    def __init__(self, row: int, trace_id: bytes) -> None:
        self.row = row
        self.trace_id = trace_id
        self.is_new = True
        self.start_ns = self.root_start = FOREVER
        self.end_ns = -1
        self.root_name: int | None = None
        self.root_service: int | None = None
        self.spans = self.errors = self.llm_calls = self.statements = 0
        self.spans_by_id: dict[bytes, int] = {}
        self.waiting: dict[bytes, list[tuple[int, int, int]]] | None = None
        self.covered: dict[tuple[int, bytes], bool] | None = None
        self.runs = False


class Calls:
    """Who has called whom since the last commit, by minute."""

    def __init__(self) -> None:
        self.counted: dict[tuple[int, int, int], list[int]] = {}

    def add(self, parent: int, child: int, minute: int, failed: int) -> None:
        """Count a call, unless it stays within a service."""
        if parent != child:
            counted = self.counted.setdefault((minute, parent, child), [0, 0])
            counted[0] += 1
            counted[1] += failed

    def write(self, connection: sqlite3.Connection) -> None:
        """Add what was counted to the table, and begin anew."""
        if self.counted:
            connection.executemany(
                "INSERT INTO call (minute, parent, child, calls, errors) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, errors = errors + excluded.errors",
                [(*key, *counts) for key, counts in self.counted.items()],
            )
            self.counted = {}


class Traces:
    """The traces that were written to last.

    Args:
        connection: The writer's.
        first: The id that the next new trace gets.
    """

    def __init__(self, connection: sqlite3.Connection, first: int) -> None:
        self._connection = connection
        self._known: OrderedDict[bytes, Known] = OrderedDict()
        self._changed: dict[bytes, Known] = {}
        self._ids = 0
        self.next = first
        self.calls = Calls()

    def forget(self, upto: int | None = None) -> None:
        """Read from the file again, all or those up to a row: they have been deleted, or a transaction was taken back."""
        if upto is None:
            self._known.clear()
            self._changed, self.calls.counted, self._ids = {}, {}, 0
            return
        for trace_id in [trace_id for trace_id, known in self._known.items() if known.row <= upto]:
            self._ids -= len(self._known.pop(trace_id).spans_by_id)

    def of(self, trace_id: bytes) -> Known:
        """A trace, to be written to."""
        known = self._changed.get(trace_id)
        if known is None:
            known = self._known.get(trace_id)
            if known is None:
                known = self._known[trace_id] = self._read(trace_id) or self._new(trace_id)
            else:
                self._known.move_to_end(trace_id)
            self._changed[trace_id] = known
        return known

    def failed_before(self, trace_id: bytes) -> Known | None:
        """A trace for whom a log record may tell of an error; None where no span of it has come lately."""
        return self._changed.get(trace_id) or self._known.get(trace_id)

    def seen(self, known: Known, span_id: bytes, identity: int) -> None:
        """Remember a span that has come, and those that waited for it as their parent."""
        if len(known.spans_by_id) >= MOST_SPANS_OF_ONE:
            self._ids -= len(known.spans_by_id)
            known.spans_by_id = {}
            known.waiting = None
        if (
            span_id not in known.spans_by_id
        ):  # where client and server share an id, each comes with its own identity
            self._ids += 1
        known.spans_by_id[span_id] = identity
        if known.waiting:
            service = identity & SERVICE_MASK
            for child, minute, failed in known.waiting.pop(span_id, ()):
                self.calls.add(service, child, minute, failed)

    def write(self) -> list[int]:
        """Write the traces that have changed, and say which."""
        changed = self._changed
        if not changed:
            return []
        self._changed = {}
        new = [known for known in changed.values() if known.is_new]
        old = [known for known in changed.values() if not known.is_new]
        self._connection.executemany(
            "INSERT INTO trace (trace_id, start_ns, end_ns, root_name, root_service, spans, errors, llm_calls, "
            "statements, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [(each.trace_id, *_row(each)) for each in new],
        )
        self._connection.executemany(
            "UPDATE trace SET start_ns = ?, end_ns = ?, root_name = ?, root_service = ?, spans = ?, errors = ?, "
            "llm_calls = ?, statements = ? WHERE id = ?",
            [_row(each) for each in old],
        )
        for each in new:
            each.is_new = False
        self.calls.write(self._connection)
        known = self._known
        while len(known) > MOST_TRACES or (self._ids > MOST_SPANS and len(known) > 1):
            self._ids -= len(known.popitem(last=False)[1].spans_by_id)
        return [each.row for each in changed.values()]

    def _new(self, trace_id: bytes) -> Known:
        known = Known(self.next, trace_id)
        self.next += 1
        return known

    def _read(self, trace_id: bytes) -> Known | None:
        row = self._connection.execute(
            "SELECT id, start_ns, end_ns, root_name, root_service, spans, errors, llm_calls, statements FROM trace "
            "WHERE trace_id = ?",
            (trace_id,),
        ).fetchone()
        if row is None:
            return None
        known = Known(row[0], trace_id)
        known.is_new = False
        (_, known.start_ns, known.end_ns, known.root_name, known.root_service, known.spans, known.errors,
         known.llm_calls, known.statements) = row  # fmt: skip
        self._read_spans(known)
        return known

    def _read_spans(self, known: Known) -> None:
        absent: list[tuple[bytes, tuple[int, int, int]]] = []
        rows = self._connection.execute(
            "SELECT span_id, parent_id, service, start_ns, dur_ns, status FROM span WHERE trace = ? "
            "ORDER BY id DESC LIMIT ?",
            (known.row, MOST_SPANS_OF_ONE // 2),
        )
        for span_id, parent_id, service, start_ns, duration_ns, status in rows:
            known.spans_by_id[span_id] = identity(start_ns, duration_ns, service)
            if parent_id is not None:
                absent.append((parent_id, (service, start_ns // MINUTE_NS, status == ERROR)))
            elif start_ns < known.root_start:
                known.root_start = start_ns
        self._ids += len(known.spans_by_id)
        if known.spans > len(known.spans_by_id):
            return  # who waits for one that is not in memory cannot be told
        known.runs = True
        for parent_id, waits in absent:
            if parent_id not in known.spans_by_id:
                known.waiting = known.waiting or {}
                known.waiting.setdefault(parent_id, []).append(waits)


def _row(known: Known) -> tuple[int | None, ...]:
    return (
        known.start_ns, known.end_ns, known.root_name, known.root_service, known.spans, known.errors, known.llm_calls,
        known.statements, known.row,
    )  # fmt: skip
