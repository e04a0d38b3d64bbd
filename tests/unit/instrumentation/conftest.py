"""One pipeline in memory per test process: the global providers can be set only once."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from opentelemetry.sdk.trace import ReadableSpan

# Upstream reads it once per process, before the first instrumentor.
os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http,database"


@dataclass
class Captured:
    """What left the application in this test."""

    span_exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    log_exporter: InMemoryLogRecordExporter = field(default_factory=InMemoryLogRecordExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def spans(self, kind: trace.SpanKind | None = None) -> list[ReadableSpan]:
        return [span for span in self.span_exporter.get_finished_spans() if kind is None or span.kind is kind]

    def span(self, kind: trace.SpanKind) -> ReadableSpan:
        [span] = self.spans(kind)
        return span

    def logs(self) -> list[Any]:
        return [data.log_record for data in self.log_exporter.get_finished_logs()]

    def scopes(self) -> list[str]:
        return [data.instrumentation_scope.name for data in self.log_exporter.get_finished_logs()]

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


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Give a test that asks for `root` the root logger without the handlers that pytest adds for the call."""
    if "root" not in pyfuncitem.fixturenames:
        return (yield)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()
    root.setLevel(logging.WARNING)
    try:
        return (yield)
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.fixture(scope="session")
def _pipeline() -> Captured:
    captured = Captured()
    resource = Resource.create({"service.name": "shop"})
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(SimpleSpanProcessor(captured.span_exporter))
    trace.set_tracer_provider(tracers)
    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(captured.log_exporter))
    _logs.set_logger_provider(loggers)
    metrics.set_meter_provider(MeterProvider(metric_readers=[captured.reader], resource=resource))
    return captured


@pytest.fixture
def captured(_pipeline: Captured) -> Iterator[Captured]:
    """The pipeline, empty, with every instrumentor of the table armed."""
    instrumentation.install()
    _pipeline.span_exporter.clear()
    _pipeline.log_exporter.clear()
    try:
        yield _pipeline
    finally:
        instrumentation.uninstall()
