"""From cumulative sums to what was added since the last time, for a receiver that wants deltas."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    NumberDataPoint,
    Sum,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import Metric

_MOST: Final = 100_000
"""Series that are remembered."""


class Deltas:
    """Remembers what each series said the last time; for one reader."""

    def __init__(self) -> None:
        self._last: dict[Any, Any] = {}

    def of(self, metrics: Sequence[Metric]) -> list[Metric]:
        """The same metrics with deltas; a series to which nothing came is left out, and so is a metric without any."""
        found: list[Metric] = []
        for metric in metrics:
            data: Any = metric.data
            if isinstance(data, Gauge) or (isinstance(data, Sum) and not data.is_monotonic):
                found.append(metric)
                continue
            points = [
                point for each in data.data_points if (point := self._since(metric.name, each)) is not None
            ]
            if points and isinstance(data, Sum | Histogram):
                changed = replace(
                    data, data_points=points, aggregation_temporality=AggregationTemporality.DELTA
                )
                found.append(replace(metric, data=changed))
        return found

    def forget(self) -> None:
        """Begin anew."""
        self._last = {}

    def _since(
        self, name: str, point: NumberDataPoint | HistogramDataPoint
    ) -> NumberDataPoint | HistogramDataPoint | None:
        key = (name, frozenset((point.attributes or {}).items()))
        last = self._last.get(key)
        if last is None and len(self._last) >= _MOST:
            return None
        self._last[key] = point
        if isinstance(point, NumberDataPoint):
            return _number(point, last)
        return _distribution(point, last)


def _number(point: NumberDataPoint, last: Any) -> NumberDataPoint | None:
    if not isinstance(last, NumberDataPoint) or point.value < last.value:
        return point if point.value else None
    if point.value == last.value:
        return None
    return replace(point, value=point.value - last.value, start_time_unix_nano=last.time_unix_nano)


def _distribution(point: HistogramDataPoint, last: Any) -> HistogramDataPoint | None:
    if (
        not isinstance(last, HistogramDataPoint)
        or tuple(point.explicit_bounds) != tuple(last.explicit_bounds)
        or point.count < last.count
    ):
        return point if point.count else None
    counts = [one - two for one, two in zip(point.bucket_counts, last.bucket_counts, strict=True)]
    if point.count == last.count or min(counts) < 0:
        return None
    return replace(
        point,
        count=point.count - last.count,
        sum=point.sum - last.sum,
        bucket_counts=counts,
        start_time_unix_nano=last.time_unix_nano,
    )
