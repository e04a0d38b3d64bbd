"""Metrics as OTLP: every field as the official decoder reads it, and as upstream's encoder writes it."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as upstream_encode_metrics
from opentelemetry.sdk.metrics import Exemplar, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    InMemoryMetricReader,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from unit.sdk import otlp_messages as otlp

from otel_kpi.sdk.otlp import Encoding, encode_metrics

NUMBERS = otlp.int64s | otlp.floats
EXEMPLARS = st.lists(
    st.builds(Exemplar, otlp.attributes, NUMBERS, otlp.times)
    | st.builds(Exemplar, otlp.attributes, NUMBERS, otlp.times, otlp.span_ids, otlp.trace_ids),
    max_size=2,
)
TEMPORALITIES = st.sampled_from([AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE])
NUMBER_POINTS = st.lists(
    st.builds(NumberDataPoint, otlp.attributes, otlp.times, otlp.times, NUMBERS, EXEMPLARS),
    min_size=1,
    max_size=3,
)


@st.composite
def histogram_points(draw: st.DrawFn) -> HistogramDataPoint:
    bounds = draw(st.lists(st.floats(allow_nan=False), max_size=5))
    low, high = sorted(draw(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))))
    return HistogramDataPoint(
        attributes=draw(otlp.attributes),
        start_time_unix_nano=draw(otlp.times),
        time_unix_nano=draw(otlp.times),
        count=draw(otlp.counts),
        sum=draw(NUMBERS),
        bucket_counts=draw(st.lists(otlp.counts, min_size=len(bounds) + 1, max_size=len(bounds) + 1)),
        explicit_bounds=bounds,
        min=low,
        max=high,
        exemplars=draw(EXEMPLARS),
    )


@st.composite
def exponential_points(draw: st.DrawFn) -> ExponentialHistogramDataPoint:
    from opentelemetry.sdk.metrics._internal.point import Buckets

    buckets = st.builds(Buckets, st.integers(-(1 << 31), (1 << 31) - 1), st.lists(otlp.counts, max_size=5))
    low, high = sorted(draw(st.tuples(st.floats(allow_nan=False), st.floats(allow_nan=False))))
    return ExponentialHistogramDataPoint(
        attributes=draw(otlp.attributes),
        start_time_unix_nano=draw(otlp.times),
        time_unix_nano=draw(otlp.times),
        count=draw(otlp.counts),
        sum=draw(NUMBERS),
        scale=draw(st.integers(-10, 20)),
        zero_count=draw(otlp.counts),
        positive=draw(buckets),
        negative=draw(buckets),
        flags=draw(st.integers(0, 1)),
        min=low,
        max=high,
        exemplars=draw(EXEMPLARS),
    )


DATA = (
    st.builds(Sum, NUMBER_POINTS, TEMPORALITIES, st.booleans())
    | st.builds(Gauge, NUMBER_POINTS)
    | st.builds(Histogram, st.lists(histogram_points(), min_size=1, max_size=2), TEMPORALITIES)
    | st.builds(ExponentialHistogram, st.lists(exponential_points(), min_size=1, max_size=2), TEMPORALITIES)
)
METRICS = st.builds(Metric, otlp.texts, st.none() | otlp.texts, st.none() | otlp.texts, DATA)


@st.composite
def requests(draw: st.DrawFn) -> MetricsData:
    return MetricsData(
        [
            ResourceMetrics(
                resource,
                [
                    ScopeMetrics(
                        scope, draw(st.lists(METRICS, min_size=1, max_size=2)), scope.schema_url or ""
                    )
                    for scope in draw(st.lists(otlp.scopes, min_size=1, max_size=2, unique=True))
                ],
                resource.schema_url,
            )
            for resource in draw(st.lists(st.builds(Resource, otlp.attributes), max_size=2, unique=True))
        ]
    )


def data_points(data: MetricsData) -> list[Any]:
    return [
        point
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for point in metric.data.data_points
    ]


def assert_metric(message: Any, metric: Metric) -> None:
    assert message.name == metric.name
    assert message.description == (metric.description or "")
    assert message.unit == (metric.unit or "")
    fields = {
        Sum: "sum",
        Gauge: "gauge",
        Histogram: "histogram",
        ExponentialHistogram: "exponential_histogram",
    }
    assert message.WhichOneof("data") == fields[type(metric.data)]
    found: Any = getattr(message, fields[type(metric.data)])
    if isinstance(metric.data, Sum):
        assert found.is_monotonic == metric.data.is_monotonic
    if not isinstance(metric.data, Gauge):
        assert found.aggregation_temporality == int(metric.data.aggregation_temporality)
    for point_message, point in zip(found.data_points, metric.data.data_points, strict=True):
        assert_point(point_message, point, gauge=isinstance(metric.data, Gauge))


def assert_point(message: Any, point: Any, *, gauge: bool) -> None:
    assert otlp.exact(otlp.python_attributes(message.attributes)) == otlp.exact(point.attributes)
    assert message.start_time_unix_nano == (0 if gauge else point.start_time_unix_nano)
    assert message.time_unix_nano == point.time_unix_nano
    for found, exemplar in zip(message.exemplars, point.exemplars, strict=True):
        assert found.time_unix_nano == exemplar.time_unix_nano
        assert_number(found, exemplar.value)
        assert found.trace_id == (exemplar.trace_id.to_bytes(16, "big") if exemplar.trace_id else b"")
        assert found.span_id == (exemplar.span_id.to_bytes(8, "big") if exemplar.span_id else b"")
        filtered = otlp.python_attributes(found.filtered_attributes)
        assert otlp.exact(filtered) == otlp.exact(exemplar.filtered_attributes)
    if isinstance(point, NumberDataPoint):
        assert_number(message, point.value)
        return
    assert message.count == point.count
    assert message.min == point.min
    assert message.max == point.max
    assert otlp.exact(message.sum) == otlp.exact(float(point.sum))
    if isinstance(point, HistogramDataPoint):
        assert list(message.bucket_counts) == list(point.bucket_counts)
        assert list(message.explicit_bounds) == list(point.explicit_bounds)
        return
    assert (message.scale, message.zero_count, message.flags) == (point.scale, point.zero_count, point.flags)
    for found, buckets in ((message.positive, point.positive), (message.negative, point.negative)):
        assert list(found.bucket_counts) == list(buckets.bucket_counts)
        assert found.offset == (buckets.offset if buckets.bucket_counts else 0)


def assert_number(message: Any, value: float) -> None:
    kind = "as_int" if isinstance(value, int) else "as_double"
    assert message.WhichOneof("value") == kind
    assert otlp.exact(getattr(message, kind)) == otlp.exact(value)


@otlp.quickly
@given(requests())
def test_every_field_of_every_metric_is_what_the_official_decoder_reads(data: MetricsData) -> None:
    encoded = encode_metrics(data, Encoding.PROTOBUF)
    assert (encoded.items, encoded.skipped) == (len(data_points(data)), 0)
    request = otlp.from_protobuf("metrics", encoded)
    for resource, expected in zip(request.resource_metrics, data.resource_metrics, strict=True):
        otlp.assert_resource(resource, expected.resource)
        for scope, wanted in zip(resource.scope_metrics, expected.scope_metrics, strict=True):
            otlp.assert_scope(scope, wanted.scope)
            for message, metric in zip(scope.metrics, wanted.metrics, strict=True):
                assert_metric(message, metric)


@otlp.quickly
@given(requests())
def test_json_and_protobuf_say_the_same_of_metrics(data: MetricsData) -> None:
    protobuf = encode_metrics(data, Encoding.PROTOBUF)
    json = encode_metrics(data, Encoding.JSON)
    assert (json.items, json.skipped) == (protobuf.items, protobuf.skipped)
    assert otlp.same(otlp.from_json("metrics", json), otlp.from_protobuf("metrics", protobuf))


@otlp.quickly
@given(requests())
def test_metrics_are_what_upstream_writes(data: MetricsData) -> None:
    """Without a difference, but for what upstream cannot write at all (see the tests of bad input)."""
    ours = otlp.from_protobuf("metrics", encode_metrics(data, Encoding.PROTOBUF))
    assert otlp.same(ours, upstream_encode_metrics(data))


def test_metrics_of_a_real_meter_arrive_in_full() -> None:
    reader = InMemoryMetricReader()
    exponential = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), views=[exponential])
    meter = provider.get_meter("tests", "1")
    meter.create_counter("counter", "By", "counts").add(3, {"a": "b"})
    meter.create_up_down_counter("updown").add(-2.5)
    meter.create_gauge("gauge").set(7)
    for value in (0.1, 3.0, 7000.0, 0.0):
        meter.create_histogram("histogram", "s").record(value, {"a": 1})
        meter.create_histogram("exponential").record(value)
    data = reader.get_metrics_data()
    assert data is not None
    request = otlp.from_protobuf("metrics", encode_metrics(data, Encoding.PROTOBUF))
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    assert {metric.name for metric in metrics} == {"counter", "updown", "gauge", "histogram", "exponential"}
    for message, metric in zip(request.resource_metrics[0].scope_metrics[0].metrics, metrics, strict=True):
        assert_metric(message, metric)
    provider.shutdown()


def one_metric(*points: Any, kind: Any = Gauge) -> MetricsData:
    data = kind(list(points))
    scope = ScopeMetrics(InstrumentationScope("tests"), [Metric("m", None, None, data)], "")
    return MetricsData([ResourceMetrics(Resource.get_empty(), [scope], "")])


def histogram(**changes: Any) -> HistogramDataPoint:
    facts: dict[str, Any] = {"count": 0, "sum": 0, "bucket_counts": [0], "explicit_bounds": []}
    facts |= {"min": math.inf, "max": -math.inf, **changes}
    return HistogramDataPoint(attributes={}, start_time_unix_nano=1, time_unix_nano=2, **facts)


def test_a_histogram_that_recorded_no_extremes_has_none() -> None:
    """Upstream writes the SDK's infinities, which a receiver takes for measured values."""
    data = one_metric(
        histogram(), kind=partial(Histogram, aggregation_temporality=AggregationTemporality.DELTA)
    )
    for encoding, read in ((Encoding.PROTOBUF, otlp.from_protobuf), (Encoding.JSON, otlp.from_json)):
        request = read("metrics", encode_metrics(data, encoding))
        point = request.resource_metrics[0].scope_metrics[0].metrics[0].histogram.data_points[0]
        assert not point.HasField("min")
        assert not point.HasField("max")


@pytest.mark.parametrize("encoding", Encoding)
def test_a_broken_data_point_does_not_take_the_others_with_it(encoding: Encoding) -> None:
    good = NumberDataPoint({}, 1, 2, 3)
    bad = [
        NumberDataPoint({}, 1, 2, cast("Any", "three")),
        NumberDataPoint({}, 1, cast("Any", None), 3),
        NumberDataPoint({}, 1, -2, 3),
        NumberDataPoint({}, 1, 1 << 64, 3),
        NumberDataPoint({}, 1, 2, 3, [Exemplar({}, 1, 2, 1 << 64, 1)]),
        cast("Any", object()),
    ]
    encoded = encode_metrics(one_metric(bad[0], good, *bad[1:]), encoding)
    assert (encoded.items, encoded.skipped) == (1, len(bad))
    read = otlp.from_protobuf if encoding is Encoding.PROTOBUF else otlp.from_json
    request = read("metrics", encoded)
    (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
    assert point.as_int == 3


@pytest.mark.parametrize("encoding", Encoding)
def test_a_broken_metric_is_counted_by_its_data_points(encoding: Encoding) -> None:
    scope = InstrumentationScope("tests")
    broken: Any = [
        Metric("unknown", None, None, cast("Any", type("Summary", (), {"data_points": [1, 2]})())),
        Metric("none", None, None, cast("Any", None)),
        Metric("good", None, None, Gauge([NumberDataPoint({}, 1, 2, 3)])),
    ]
    data = MetricsData([ResourceMetrics(Resource.get_empty(), [ScopeMetrics(scope, broken, "")], "")])
    encoded = encode_metrics(data, encoding)
    assert (encoded.items, encoded.skipped) == (1, 3)


@pytest.mark.parametrize(("value", "double"), [(1 << 63, 2.0**63), (True, None), (-(1 << 63), None)])
def test_an_integer_beyond_64_bits_becomes_a_double(value: int, double: float | None) -> None:
    for encoding, read in ((Encoding.PROTOBUF, otlp.from_protobuf), (Encoding.JSON, otlp.from_json)):
        request = read("metrics", encode_metrics(one_metric(NumberDataPoint({}, 1, 2, value)), encoding))
        (point,) = request.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points
        assert (point.as_int if double is None else point.as_double) == (value if double is None else double)
