"""Captures what is recorded in a test, and answers what it asks."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.trace import SpanKind, StatusCode

from otel_kpi.dev.views import EventView, LinkView, LogView, SpanView
from otel_kpi.testing import listening
from otel_kpi.testing.logs import Logs
from otel_kpi.testing.measurements import Measured, measured, totals
from otel_kpi.testing.spans import Spans, Statements

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan

    from otel_kpi.dev import views
    from otel_kpi.testing.patterns import Pattern

_KINDS: Final[dict[SpanKind, views.SpanKind]] = {
    SpanKind.INTERNAL: "internal",
    SpanKind.SERVER: "server",
    SpanKind.CLIENT: "client",
    SpanKind.PRODUCER: "producer",
    SpanKind.CONSUMER: "consumer",
}
_STATUSES: Final[dict[StatusCode, views.Status]] = {
    StatusCode.UNSET: "unset",
    StatusCode.OK: "ok",
    StatusCode.ERROR: "error",
}


class Capture:
    """What was recorded since it began. Spans and log records are as they would leave: without what is redacted.

    Ask after the work is done: a span counts once it has ended.
    """

    def __init__(self) -> None:
        self._heard = listening.Heard()
        self._reader: InMemoryMetricReader | None = None
        self._meters: Any = None
        self._before: dict[Any, tuple[float, int]] = {}
        self._views: list[SpanView] = []

    def begin(self) -> None:
        """Listen from now on.

        Raises:
            RuntimeError: There is nothing to listen to.
        """
        self._meters = listening.attend()
        if hasattr(self._meters, "add_metric_reader"):
            self._reader = InMemoryMetricReader()
            self._meters.add_metric_reader(self._reader)
            self._before = totals(self._reader.get_metrics_data())
        self.listen()

    def listen(self) -> None:
        """Hear spans and log records from now on, and no metrics: these cost a reader each."""
        listening.listeners.append(self._heard)

    def end(self) -> None:
        """Listen no more; what was heard can still be asked, but for metrics."""
        if self._heard in listening.listeners:
            listening.listeners.remove(self._heard)
        if self._reader is not None:
            self._meters.remove_metric_reader(self._reader)
            self._reader = None

    def clear(self) -> None:
        """Forget what was heard, as at the end of preparing something."""
        self._heard.spans.clear()
        self._heard.logs.clear()
        self._views.clear()
        if self._reader is not None:
            self._before = totals(self._reader.get_metrics_data())

    def spans(  # noqa: PLR0913 - whatever one asks of a span
        self,
        name: Pattern | None = None,
        *,
        status: views.Status | None = None,
        kind: views.SpanKind | None = None,
        service: Pattern | None = None,
        scope: Pattern | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Spans:
        """The spans that fit all that is given; `Spans.where` says how.

        Args:
            name: Whole, with `*` or `…` for anything, or a compiled expression.
            status: `"unset"`, `"ok"` or `"error"`.
            kind: `"server"`, `"client"`, `"internal"`, `"producer"` or `"consumer"`.
            service: `service.name`.
            scope: Name of the instrumentation.
            attributes: Values, patterns, `...` for any value, None where the key must be absent.
        """
        everything = self._all()
        return Spans(everything, everything).where(
            name, status=status, kind=kind, service=service, scope=scope, attributes=attributes
        )

    def span(self, name: Pattern | None = None, **asked: Any) -> SpanView:
        """The only span that fits.

        Raises:
            AssertionError: There are none or several.
        """
        return self.spans(name, **asked).one()

    @property
    def statements(self) -> Statements:
        """Statements of databases; connecting and the bounds of transactions are none."""
        everything = self._all()
        return Spans(everything, everything, "capture").statements

    def metric(self, name: str, **attributes: Any) -> Measured:
        """What a metric counted since the test began.

        Args:
            name: As OpenTelemetry has it, for example `"http.server.request.duration"`.
            **attributes: Of the series that are asked for; `_` stands for `.` where there is no such key. `attributes={…}`
                takes any key.
        """
        wanted = dict(attributes.pop("attributes", {}))
        wanted.update(attributes)
        if self._reader is None:
            raise RuntimeError(
                "metrics can be asked while the capture lasts, and where the meter provider is opentelemetry-sdk's"
            )
        return measured(self._reader.get_metrics_data(), self._before, name, wanted)

    def logs(
        self,
        body: Pattern | None = None,
        *,
        level: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> Logs:
        """The log records that fit all that is given.

        Args:
            body: The text, with `*` or `…` for anything; or the name of an event.
            level: This or a more severe one.
            attributes: As in `spans`.
        """
        return Logs(_log_view(record) for record in list(self._heard.logs)).where(
            body, level=level, attributes=attributes
        )

    def __str__(self) -> str:
        everything = self._all()
        left = self._heard.unfinished
        said = str(Spans((), everything))
        if left:
            said += f"\n  {left} spans have not ended, or are not sampled"
        if self._heard.logs:
            said += f"\nlog records\n{self.logs()}"
        return said

    def raw(self) -> tuple[list[ReadableSpan], list[ReadWriteLogRecord]]:
        """What was heard, as opentelemetry-sdk has it and without what is redacted."""
        return [_redacted_span(span) for span in self._heard.spans], [
            _redacted_log(record) for record in self._heard.logs
        ]

    def _all(self) -> list[SpanView]:
        heard = list(self._heard.spans)
        self._views += [_span_view(_redacted_span(span)) for span in heard[len(self._views) :]]
        return list(self._views)


@contextmanager
def capture() -> Generator[Capture]:
    """Capture what the block records.

    Raises:
        RuntimeError: There is nothing to listen to: telemetry is switched off.
    """
    captured = Capture()
    captured.begin()
    try:
        yield captured
    finally:
        captured.end()


def _redacted_span(span: ReadableSpan) -> ReadableSpan:
    from otel_kpi.sdk.redacted import redacted_span

    return redacted_span(span)


def _redacted_log(record: ReadWriteLogRecord) -> ReadWriteLogRecord:
    from otel_kpi.sdk.redacted import redacted_log

    # It replaces in place, and the application's own processors are not done with this one.
    mine = copy.copy(record)
    mine.log_record = copy.copy(record.log_record)
    return redacted_log(mine)


def _span_view(span: ReadableSpan) -> SpanView:
    context, parent, scope = span.context, span.parent, span.instrumentation_scope
    assert context is not None  # noqa: S101 - a span that has ended has one; said for the types
    start, end = span.start_time or 0, span.end_time or 0
    resource: Any = dict(span.resource.attributes)
    attributes: Any = dict(span.attributes or {})
    return SpanView(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_id=f"{parent.span_id:016x}" if parent is not None else "",
        service=str(resource.get("service.name", "unknown_service")),
        name=span.name,
        kind=_KINDS[span.kind],
        status=_STATUSES[span.status.status_code],
        status_message=span.status.description or "",
        start_ns=start,
        duration_ns=max(0, end - start),
        attributes=attributes,
        events=[EventView(event.name, event.timestamp, _plain(event.attributes)) for event in span.events],
        links=[
            LinkView(f"{link.context.trace_id:032x}", f"{link.context.span_id:016x}", _plain(link.attributes))
            for link in span.links
        ],
        scope=scope.name if scope is not None else "",
        scope_version=(scope.version or "") if scope is not None else "",
        resource=resource,
    )


def _plain(attributes: Any) -> Any:
    return dict(attributes or {})


def _log_view(record: ReadWriteLogRecord) -> LogView:
    clean = _redacted_log(record)
    log, resource, scope = clean.log_record, clean.resource, clean.instrumentation_scope
    return LogView(
        row=0,
        time_ns=log.timestamp or log.observed_timestamp or 0,
        severity=log.severity_number.value if log.severity_number is not None else 0,
        severity_text=log.severity_text or "",
        service=str(resource.attributes.get("service.name", "unknown_service"))
        if resource is not None
        else "",
        body=log.body if isinstance(log.body, str) else "" if log.body is None else str(log.body),
        attributes=_plain(log.attributes),
        trace_id=f"{log.trace_id:032x}" if log.trace_id else "",
        span_id=f"{log.span_id:016x}" if log.span_id else "",
        event_name=log.event_name or "",
        scope=scope.name if scope is not None else "",
    )
