"""Our way out as exporters by entry point, for a pipeline that is not ours.

A file may name `otel_kpi` as an exporter. Where our configurator reads the file, that is our own path with its queues.
Where another SDK set-up reads it, upstream's or another distribution's, these are what it gets: the same redaction,
the same encoder, one attempt for each batch; what is kept and repeated is then that set-up's affair.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otel_kpi.resolution import resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from otel_kpi.sdk.channel import Signal

_logger = logging.getLogger("otel_kpi.export")


class _Way:
    """Sends batches of one signal, one attempt each.

    Args:
        signal: What is sent.
        given: Settings by keyword, as `otel_kpi.configure` takes them; the environment has the others.
    """

    def __init__(self, signal: Signal, given: dict[str, Any]) -> None:
        from otel_kpi.pipeline import otlp_exporter
        from otel_kpi.sdk.transport import Transport

        resolved = resolve(os.environ, given)
        for problem in resolved.problems:
            _logger.warning("%s", problem)
        self._transport = Transport()
        self._exporter = otlp_exporter(signal, resolved.settings, self._transport)
        self.settings = resolved.settings
        self._timeout = resolved.settings.timeout.of(signal) / 1000.0

    def send(self, items: Sequence[Any]) -> bool:
        """Send; says whether the receiver took all of it. Never raises."""
        try:
            batch = self._exporter.encode(items)
            if not batch.items:
                return batch.skipped == 0
            delivery = self._exporter.send(batch, time.monotonic() + self._timeout)
        except Exception as error:
            _logger.warning("telemetry was not sent: %s", error)
            return False
        if delivery.kind != "accepted":
            _logger.warning("%s does not take telemetry (%s)", self._exporter.destination, delivery.reason)
        return delivery.kind == "accepted" and not delivery.refused

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()


class OtelKpiSpanExporter(SpanExporter):
    """Entry point `opentelemetry_traces_exporter = otel_kpi`; takes settings by their keyword."""

    def __init__(self, **settings: Any) -> None:
        self._way = _Way("traces", settings)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Take the secrets out and send."""
        from otel_kpi.sdk.redacted import redacted_span

        sent = self._way.send([redacted_span(span) for span in spans])
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection."""
        self._way.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - as upstream calls it
        """Nothing waits here."""
        return True


class OtelKpiMetricExporter(MetricExporter):
    """Entry point `opentelemetry_metrics_exporter = otel_kpi`; takes settings by their keyword."""

    def __init__(self, **settings: Any) -> None:
        from otel_kpi.components import preferred_aggregation, preferred_temporality

        self._way = _Way("metrics", settings)
        super().__init__(
            preferred_temporality=preferred_temporality(self._way.settings.temporality),
            preferred_aggregation=preferred_aggregation(self._way.settings.histogram_aggregation),
        )

    def export(
        self,
        metrics_data: MetricsData,
        timeout_millis: float = 10_000,  # noqa: ARG002 - as upstream calls it
        **_: Any,
    ) -> MetricExportResult:
        """Send."""
        sent = self._way.send([metrics_data])
        return MetricExportResult.SUCCESS if sent else MetricExportResult.FAILURE

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ARG002 - the same
        """Close the connection."""
        self._way.close()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:  # noqa: ARG002 - the same
        """Nothing waits here."""
        return True


class OtelKpiLogExporter(LogRecordExporter):
    """Entry point `opentelemetry_logs_exporter = otel_kpi`; takes settings by their keyword."""

    def __init__(self, **settings: Any) -> None:
        self._way = _Way("logs", settings)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Take the secrets out and send."""
        from otel_kpi.sdk.redacted import redacted_log

        sent = self._way.send([redacted_log(cast("Any", record)) for record in batch])
        return LogRecordExportResult.SUCCESS if sent else LogRecordExportResult.FAILURE

    def shutdown(self) -> None:
        """Close the connection."""
        self._way.close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the same
        """Nothing waits here."""
        return True
