from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricReader, MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from otel_kpi import record
from otel_kpi.exposition.families import Distribution, Families
from otel_kpi.exposition.source import OnDemandReader, Source
from otel_kpi.model import Counter

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions


class Exporting(MetricReader):
    """Keeps what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.source: Source | None = None
        self.sent: list[Any] = []

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 0, **_: Any) -> None:  # noqa: ARG002 - as upstream calls it
        assert self.source is not None
        self.source.exporting(metrics_data)
        self.sent = [
            point
            for scope in metrics_data.resource_metrics[0].scope_metrics
            for metric in scope.metrics
            for point in metric.data.data_points
        ]

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        pass


def value(families: Families, name: str) -> Any:
    return families[name].series[""]


def test_what_is_read_between_two_exports_leaves_the_export_whole_with_its_exemplars() -> None:
    reader = Exporting()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    source = reader.source = Source(provider, reader, exported=True)
    meter, tracer = provider.get_meter("m"), TracerProvider(shutdown_on_exit=False).get_tracer("t")
    counter = meter.create_counter("c")
    histogram = meter.create_histogram("h", explicit_bucket_boundaries_advisory=[1.0, 2.0])
    traces: list[int] = []
    for amount in (1.5, 0.5, 1.6, 7.0):
        with tracer.start_as_current_span("s") as span:
            traces.append(span.get_span_context().trace_id)
            counter.add(1)
            histogram.record(amount)
        assert value(source.families(), "c_total") == len(traces)
    reader.collect()
    by_kind = {type(point).__name__: point for point in reader.sent}
    number, distribution = by_kind["NumberDataPoint"], by_kind["HistogramDataPoint"]
    assert number.value == 4
    assert [exemplar.trace_id for exemplar in number.exemplars] == [traces[3]]
    # The newest of each bucket, in the order of their values.
    assert [exemplar.value for exemplar in distribution.exemplars] == [0.5, 1.6, 7.0]
    assert [exemplar.trace_id for exemplar in distribution.exemplars] == [traces[1], traces[2], traces[3]]
    reader.collect()
    assert [exemplar for point in reader.sent for exemplar in point.exemplars] == []
    shown = source.shown()
    assert {bucket: sample.trace_id for bucket, sample in shown["h"].exemplars[""].items()} == {
        0: f"{traces[1]:032x}",
        1: f"{traces[2]:032x}",
        2: f"{traces[3]:032x}",
    }
    assert shown["c_total"].exemplars[""][0].value == 1


def test_exemplars_of_exponential_histograms_are_sent_too() -> None:
    reader = Exporting()
    view = View(instrument_name="*", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], shutdown_on_exit=False, views=[view])
    source = reader.source = Source(provider, reader, exported=True)
    with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s"):
        provider.get_meter("m").create_histogram("h").record(3)
    source.families()
    reader.collect()
    assert len(reader.sent[0].exemplars) == 1


def test_callbacks_are_asked_when_told_to_and_tallies_are_always_read() -> None:
    reader = OnDemandReader()
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), shutdown_on_exit=False)
    asked: list[int] = []

    def callback(_options: CallbackOptions) -> list[Observation]:
        asked.append(1)
        return [Observation(len(asked))]

    provider.get_meter("m").create_observable_gauge("o", [callback])
    record.use(provider=provider)
    try:
        tally = record.counter(Counter(name="Test.Rows", unit="{row}", brief="Rows."))
        source = Source(provider, reader, exported=False)
        tally.add(3)
        assert value(source.families(), "test_rows_total") == 3
        assert "o" not in source.families()
        source.ask()
        tally.add(2)
        for _ in range(3):
            assert value(source.families(), "test_rows_total") == 5
            assert value(source.families(), "o") == 1
        assert asked == [1]
        assert source.identity().labels == 'app="shop",environment="unknown",version="unknown"'
    finally:
        record.use(provider=None)


def test_a_callback_that_hangs_keeps_nobody_from_the_rest() -> None:
    reader = OnDemandReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    entered, leave = threading.Event(), threading.Event()

    def callback(_options: CallbackOptions) -> list[Observation]:
        entered.set()
        leave.wait(20)
        return []

    meter = provider.get_meter("m")
    meter.create_observable_gauge("o", [callback])
    counter = meter.create_counter("c")
    source = Source(provider, reader, exported=False)
    asking = threading.Thread(target=source.ask)
    asking.start()
    try:
        assert entered.wait(10)
        counter.add(1)
        assert value(source.families(), "c_total") == 1
    finally:
        leave.set()
        asking.join()


def test_other_readers_of_the_provider_see_what_they_saw() -> None:
    other, reader = InMemoryMetricReader(), OnDemandReader()
    provider = MeterProvider([other], shutdown_on_exit=False)
    histogram = provider.get_meter("m").create_histogram("h", explicit_bucket_boundaries_advisory=[1.0])
    histogram.record(0.5)
    provider.add_metric_reader(reader)
    histogram.record(3)
    source = Source(provider, reader, exported=False)
    assert value(source.families(), "h") == Distribution((1.0,), (0, 1), 3)
    data = other.get_metrics_data()
    assert data is not None
    point: Any = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0]
    assert point.bucket_counts == (1, 1)
    provider.force_flush()
    provider.shutdown()
