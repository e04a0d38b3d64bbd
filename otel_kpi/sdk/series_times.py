"""The time of a data point lies after the start of its series.

opentelemetry-sdk takes the time of a collection first, and meets series that begin meanwhile: these say a start after
their time. Prometheus puts a zero at the start and counts in milliseconds. With `out_of_order_time_window` the zero
then stands behind the first value, which looks like a reset: the value is counted twice. In the same millisecond there
is no place for the zero, and the first value is no increase.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import Gauge

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricsData

_SHORTEST: Final = 1_000_000
"""Nanoseconds from the start of a series to a point of it."""


def put_right(data: MetricsData) -> None:
    """Move the times of points that lie before the end of the first millisecond of their series."""
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                points: Any = metric.data.data_points
                if isinstance(metric.data, Gauge) or not isinstance(points, list):
                    continue  # a gauge says what is now, and has no start
                for index, point in enumerate(points):
                    earliest = (point.start_time_unix_nano or 0) + _SHORTEST
                    if point.time_unix_nano < earliest:
                        points[index] = replace(point, time_unix_nano=earliest)
