"""What one transaction writes: the rows of requests, and what is kept up with them.

Whatever goes wrong takes all of it back, and everything that was remembered of it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi.dev.store import tally
from otel_kpi.dev.store.dictionary import Dictionary
from otel_kpi.dev.store.logs import Logs
from otel_kpi.dev.store.points import Points
from otel_kpi.dev.store.problems import Problems
from otel_kpi.dev.store.spans import Spans
from otel_kpi.dev.store.traces import Traces

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from otel_kpi.dev.telemetry import Group, LogRecord, Metric, Request, Span

_ARRIVED: Final = (
    "INSERT INTO arrival (minute, trace, span, log) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "trace = excluded.trace, span = excluded.span, log = excluded.log"
)


class Written:
    """What a transaction has written.

    Attributes:
        traces: Rows of the traces that are new or have changed.
    """

    __slots__ = ("logs", "points", "spans", "traces")

    def __init__(self) -> None:
        self.traces: list[int] = []
        self.spans = self.logs = self.points = 0


class Writer:
    """Writes requests by the one connection that writes.

    Args:
        connection: In autocommit mode; the transactions are begun here.
        now: Seconds since 1970.
    """

    def __init__(self, connection: sqlite3.Connection, now: Callable[[], float] = time.time) -> None:
        self._connection = connection
        self._now = now
        trace, span, log = self._last_ids()
        self._dictionary = Dictionary(connection)
        self._problems = Problems(connection)
        self._traces = Traces(connection, trace + 1)
        self._spans = Spans(connection, self._dictionary, self._traces, self._problems, span + 1)
        self._logs = Logs(connection, self._dictionary, self._traces, self._problems, log + 1)
        self._points = Points(connection, self._dictionary)
        self.tally = tally.Tally()

    def write(self, requests: Sequence[Request[Any]]) -> Written:
        """Write requests in one transaction."""
        now = self._now()
        now_ns = int(now * 1e9)
        written = Written()
        own = tally.Tally()
        own.now = now
        told = self.tally.take()
        nexts = self._traces.next, self._spans.next, self._logs.next
        execute = self._connection.execute
        try:
            execute("BEGIN IMMEDIATE")
            for request in requests:
                for group in request.groups:
                    if request.signal == "traces":
                        written.spans += self._spans.add(cast("Group[Span]", group), now_ns, own)
                    elif request.signal == "logs":
                        written.logs += self._logs.add(cast("Group[LogRecord]", group), now_ns, own)
                    else:
                        written.points += self._points.add(cast("Group[Metric]", group), now_ns, own)
                if request.rejected:
                    own.add(request.signal, "rejected", request.rejected, last=request.problem)
            written.traces = self._traces.write()
            tally.write(self._connection, told)
            tally.write(self._connection, own.take())
            execute(
                _ARRIVED,
                (int(now) // 60, self._traces.next - 1, self._spans.next - 1, self._logs.next - 1),
            )
            execute("COMMIT")
        except BaseException:
            self._traces.next, self._spans.next, self._logs.next = nexts
            self.tally.put_back(told)
            self._take_back()
            raise
        return written

    def forget(self, trace: int | None = None) -> None:
        """Read what was remembered from the file again, or only what is known of traces up to a row."""
        self._traces.forget(trace)
        if trace is None:
            for each in (self._dictionary, self._problems, self._spans, self._logs, self._points):
                each.forget()

    def _take_back(self) -> None:
        self.forget()
        if self._connection.in_transaction:  # SQLite ends it by itself where the disk is full
            self._connection.execute("ROLLBACK")

    def _last_ids(self) -> tuple[int, int, int]:
        """The highest ids that were ever given, also to what is deleted: stale rows of an index bear them."""
        select = self._connection.execute(
            "SELECT max(ifnull((SELECT max(trace) FROM arrival), 0), ifnull((SELECT max(id) FROM trace), 0)), "
            "max(ifnull((SELECT max(span) FROM arrival), 0), ifnull((SELECT max(id) FROM span), 0)), "
            "max(ifnull((SELECT max(log) FROM arrival), 0), ifnull((SELECT max(id) FROM log), 0))"
        )
        trace, span, log = select.fetchone()
        return trace, span, log
