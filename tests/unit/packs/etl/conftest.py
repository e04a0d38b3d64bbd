"""A pipeline in memory for each test; the providers of a process can be set only once, so the pack's own are turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs, context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.measured import Measured, measured

from otel_kpi.packs import faults
from otel_kpi.packs.etl import scope, underway

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Tracer


@dataclass
class Telemetry:
    """What a pipeline said in this test."""

    exporter: InMemorySpanExporter
    logs: InMemoryLogRecordExporter
    series: Measured
    tracer: Tracer

    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]

    def span(self, name: str) -> ReadableSpan:
        found = [span for span in self.exporter.get_finished_spans() if span.name == name]
        assert len(found) == 1, f"{name}: {self.names()}"
        return found[0]

    def attributes(self, name: str) -> dict[str, Any]:
        return dict(self.span(name).attributes or {})

    def result(self, name: str) -> Any:
        return self.attributes(name)["kpi.etl.result"]

    def events(self, name: str) -> list[dict[str, Any]]:
        records = [data.log_record for data in self.logs.get_finished_logs()]
        return [dict(record.attributes or {}) for record in records if record.event_name == name]

    def value(self, name: str, **labels: str) -> Any:
        return self.series.value(name, **labels)

    def records(self, type_: str, status: str, model: str = "marketing") -> Any:
        return self.series.value(
            "kpi_etl_records_processed_total",
            model_name=model,
            kpi_etl_stage_type=type_,
            kpi_etl_record_status=status,
        )


def context_id(span: ReadableSpan) -> tuple[int, int]:
    found = span.get_span_context()
    assert found is not None
    return found.trace_id, found.span_id


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Telemetry]:
    exporter, logs = InMemorySpanExporter(), InMemoryLogRecordExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(exporter))
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    tracer = tracers.get_tracer("otel_kpi.etl")
    monkeypatch.setattr(scope, "_tracer", tracer)
    monkeypatch.setattr(_logs, "get_logger", loggers.get_logger)
    for variable in ("TRACEPARENT", "TRACESTATE"):
        monkeypatch.delenv(variable, raising=False)
    before = context.get_current()
    faults.counted.clear()
    with measured() as series:
        yield Telemetry(exporter, logs, series, tracer)
    assert context.get_current() is before, "a context is left behind"
    assert underway.all_open() == [], "something was not ended"
    assert not faults.counted, faults.counted
