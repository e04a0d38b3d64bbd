"""What an application plugs into OpenTelemetry and raises costs telemetry, never the call that is recorded."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import pytest
from opentelemetry import trace
from opentelemetry._logs import LogRecord
from opentelemetry.metrics import Observation
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler

from otel_kpi import _compat
from otel_kpi.sdk import self_metrics
from otel_kpi.sdk.faults import FAULTS, Faults
from otel_kpi.sdk.tracers import RememberingTracerProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = __name__


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    FAULTS.forget()
    yield
    FAULTS.forget()


class Broken:
    """A processor of spans and log records that raises wherever it is called."""

    def _raise(self, *_arguments: Any, **_options: Any) -> Any:
        raise ValueError("broken")

    on_start = _on_ending = on_end = on_emit = enabled = shutdown = force_flush = _raise


class BrokenSampler(Sampler):
    def should_sample(self, *_arguments: Any, **_options: Any) -> Any:
        raise ValueError("should_sample")

    def get_description(self) -> str:
        return "broken"


class BrokenIds(RandomIdGenerator):
    def generate_span_id(self) -> int:
        raise ValueError("generate_span_id")


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "otel_kpi.sdk"]


def test_processor_that_raises_costs_neither_the_call_nor_the_span(caplog: pytest.LogCaptureFixture) -> None:
    exporter = InMemorySpanExporter()
    provider = RememberingTracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(cast("Any", Broken()))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    for _ in range(20):
        with provider.get_tracer("application").start_as_current_span("order"):
            pass
    assert [span.name for span in exporter.get_finished_spans()] == ["order"] * 20
    assert provider.force_flush() is False
    provider.shutdown()
    assert FAULTS.counts == {f"{HERE}.Broken": 62}
    (line,) = warnings_of(caplog)
    assert f"{HERE}.Broken" in line
    assert "ValueError: broken (" in line


@pytest.mark.parametrize("options", [{"sampler": BrokenSampler()}, {"id_generator": BrokenIds()}])
def test_span_that_cannot_begin_records_nothing_and_its_call_goes_on(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    exporter = InMemorySpanExporter()
    provider = RememberingTracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("application")
    around = trace.SpanContext(1, 2, is_remote=True, trace_flags=trace.TraceFlags(1))
    with (
        trace.use_span(trace.NonRecordingSpan(around)),
        tracer.start_as_current_span("order") as span,
    ):
        span.set_attribute("key", "value")
        assert not span.is_recording()
        assert span.get_span_context() is around  # what it calls stays in the caller's trace
    with pytest.raises(ZeroDivisionError), tracer.start_as_current_span("order"):
        raise ZeroDivisionError
    assert exporter.get_finished_spans() == ()
    assert FAULTS.counts == {"the start of a span": 2}
    assert len(warnings_of(caplog)) == 1


def test_log_processor_that_raises_costs_neither_the_call_nor_the_record(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(
        shutdown_on_exit=False, multi_log_record_processor=_compat.guarded_log_processors(FAULTS.failed)
    )
    provider.add_log_record_processor(cast("Any", Broken()))
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    for _ in range(3):
        provider.get_logger("application").emit(LogRecord(body="sold out"))
    assert len(exporter.get_finished_logs()) == 3
    assert provider.force_flush() is False
    provider.shutdown()
    assert FAULTS.counts == {f"{HERE}.Broken": 5}
    assert len(warnings_of(caplog)) == 1


def meters(*views: View) -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=views, shutdown_on_exit=False)
    _compat.guard_measurements(provider, lambda _instrument, attributes: attributes, FAULTS.failed)
    return provider, reader


def values(reader: InMemoryMetricReader) -> dict[str, list[float]]:
    data: Any = reader.get_metrics_data()
    return {
        metric.name: [point.value for point in metric.data.data_points]
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def test_callback_that_raises_costs_itself_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    provider, reader = meters()
    meter = provider.get_meter("application")

    def raises(_options: Any) -> Any:
        yield Observation(1)
        raise ValueError("callback")

    def gives_nonsense(_options: Any) -> Any:
        return [Observation("many")]  # type: ignore[arg-type] # as an application without types does

    def gives_nothing(_options: Any) -> Any:
        return None

    meter.create_observable_gauge("broken", [raises, gives_nonsense, gives_nothing])
    meter.create_observable_gauge("whole", [lambda _options: [Observation(7)]])
    for _ in range(3):
        assert values(reader) == {"broken": [1], "whole": [7]}
    assert set(FAULTS.counts.values()) == {3}
    assert len(FAULTS.counts) == 3
    assert len(warnings_of(caplog)) == 3
    # opentelemetry-sdk would have said each, with its traceback, at each collection
    assert [record for record in caplog.records if record.name.startswith("opentelemetry.sdk.metrics")] == []


def test_measurement_that_a_view_cannot_take_costs_itself(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_aggregation: Any) -> Any:
        raise ValueError("reservoir")

    provider, _ = meters(View(instrument_name="orders", exemplar_reservoir_factory=broken))
    counter = provider.get_meter("application").create_counter("orders")
    counter.add(1)
    counter.add(1)
    assert FAULTS.counts == {"metric orders": 2}
    assert len(warnings_of(caplog)) == 1


def test_errors_are_a_metric() -> None:
    provider, reader = meters()
    self_metrics.observe(provider, [])
    assert reader.get_metrics_data() is None
    FAULTS.failed("the start of a span", ValueError())
    FAULTS.failed("the start of a span", ValueError())
    assert values(reader)["otel_kpi.sdk.errors"] == [2]


def test_parts_without_bound_are_not_all_told_apart(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "otel_kpi.sdk")
    faults = Faults()
    for number in range(300):
        faults.failed(f"callback {number}", ValueError())
    assert len(faults.counts) == 101
    assert sum(faults.counts.values()) == 300


def test_error_whose_message_cannot_be_made_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    class Hostile(Exception):  # noqa: N818 - as an application may call it
        def __str__(self) -> str:
            raise RuntimeError

    FAULTS.failed(Broken(), Hostile())
    assert FAULTS.counts == {f"{HERE}.Broken": 1}
    assert "its message cannot be shown" in warnings_of(caplog)[0]


def test_what_the_message_quotes_is_redacted(caplog: pytest.LogCaptureFixture) -> None:
    FAULTS.failed("sampler", ValueError("postgresql://user:hunter2@host/db"))
    assert "hunter2" not in caplog.text
