"""What an application in this process sent: spans, log records and metrics in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanKind


@dataclass
class Captured:
    """What left the application in this test."""

    span_exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    log_exporter: InMemoryLogRecordExporter = field(default_factory=InMemoryLogRecordExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def spans(self, kind: SpanKind | None = None) -> list[ReadableSpan]:
        return [span for span in self.span_exporter.get_finished_spans() if kind is None or span.kind is kind]

    def span(self, kind: SpanKind) -> ReadableSpan:
        [span] = self.spans(kind)
        return span

    def logs(self) -> list[Any]:
        return [data.log_record for data in self.log_exporter.get_finished_logs()]

    def scopes(self) -> list[str]:
        scopes = (data.instrumentation_scope for data in self.log_exporter.get_finished_logs())
        return [scope.name for scope in scopes if scope is not None]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
