"""A point's time lies after the start of its series."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_kpi.sdk.series_times import put_right

BEGUN = 1_700_000_000_000_000_000
CUMULATIVE = AggregationTemporality.CUMULATIVE


def _collected(*data: Any) -> MetricsData:
    metrics = [Metric(str(number), "", "", each) for number, each in enumerate(data)]
    scope = ScopeMetrics(InstrumentationScope("s"), metrics, "")
    return MetricsData([ResourceMetrics(Resource({}), [scope], "")])


def _number(start: int, time: int) -> NumberDataPoint:
    return NumberDataPoint({}, start, time, 1)


def test_a_series_that_began_during_the_collection_has_a_zero_before_its_first_value() -> None:
    points = [_number(BEGUN, BEGUN - 500), _number(BEGUN, BEGUN + 300), _number(BEGUN, BEGUN + 2_000_000)]
    distribution = HistogramDataPoint({}, BEGUN, BEGUN - 1, 1, 1.0, [1], [], 1.0, 1.0)
    data = _collected(
        Sum(points, CUMULATIVE, is_monotonic=True),
        Histogram([distribution], CUMULATIVE),
        Gauge([_number(BEGUN, 5)]),
    )
    put_right(data)
    sums, histograms, gauges = data.resource_metrics[0].scope_metrics[0].metrics
    assert [point.time_unix_nano - BEGUN for point in sums.data.data_points] == [
        1_000_000,
        1_000_000,
        2_000_000,
    ]
    assert histograms.data.data_points[0].time_unix_nano == BEGUN + 1_000_000
    assert gauges.data.data_points[0].time_unix_nano == 5
    assert all(point.start_time_unix_nano == BEGUN for point in sums.data.data_points)
