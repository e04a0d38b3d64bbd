"""What a metric counted since the test began."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otel_kpi.testing.patterns import has

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.metrics.export import MetricsData

Key = tuple[str, str, tuple[tuple[str, Any], ...]]


@dataclass(frozen=True, slots=True)
class Series:
    """A series of a metric.

    Attributes:
        value: Of a counter what was added since the test began, of a gauge what it says now, of a histogram the sum.
        count: Of a histogram, how many values; None of others.
        gauge: What it says is no sum, and is added to nothing.
    """

    attributes: Mapping[str, Any]
    value: float
    count: int | None = None
    gauge: bool = False


class Measured:
    """A metric with those of its series that were asked for.

    Args:
        name: Of the metric.
        series: What it counted; empty where nothing was.
        others: Names of the metrics that the test did record, for messages.
    """

    def __init__(self, name: str, series: list[Series], others: list[str]) -> None:
        self.name = name
        self.series = series
        self._others = others

    def __repr__(self) -> str:
        return f"<metric {self.name}: {self.series}>"

    @property
    def value(self) -> float:
        """What was added, of all series together; of a gauge, of its only one.

        Raises:
            AssertionError: Nothing was recorded: that is not zero. Or a gauge has several series.
        """
        series = self._recorded()
        if len(series) > 1 and series[0].gauge:
            raise AssertionError(
                f"{self.name} is a gauge of {len(series)} series, which are no sum: {series}"
            )
        return sum(each.value for each in series)

    @property
    def sum(self) -> float:
        """The same, as one says of a histogram."""
        return self.value

    @property
    def count(self) -> int:
        """How many values a histogram has.

        Raises:
            AssertionError: Nothing was recorded, or it is no histogram.
        """
        counts = [series.count for series in self._recorded() if series.count is not None]
        if not counts:
            raise AssertionError(f"{self.name} is no histogram: it has a value and no count")
        return sum(counts)

    def __bool__(self) -> bool:
        return bool(self.series)

    def _recorded(self) -> list[Series]:
        if not self.series:
            raise AssertionError(
                f"nothing was recorded of {self.name}; recorded: {', '.join(self._others) or 'nothing at all'}"
            )
        return self.series


def points(data: MetricsData | None) -> Iterator[tuple[Key, str, Any, Any]]:
    """Each point with its key, the name of its metric, the metric's data and itself."""
    for resource in data.resource_metrics if data else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    attributes = tuple(
                        sorted(
                            (str(key), _hashable(value)) for key, value in (point.attributes or {}).items()
                        )
                    )
                    yield (scope.scope.name, metric.name, attributes), metric.name, metric.data, point


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, tuple)) else value


def totals(data: MetricsData | None) -> dict[Key, tuple[float, int]]:
    """What sums and histograms have, to be taken away from what they have later."""
    return {
        key: (point.sum, point.count) if hasattr(point, "count") else (point.value, 0)
        for key, _, kind, point in points(data)
        if hasattr(kind, "aggregation_temporality")
    }


def measured(
    data: MetricsData | None, before: Mapping[Key, tuple[float, int]], name: str, wanted: Mapping[str, Any]
) -> Measured:
    """What a metric counted since `before`.

    Args:
        data: What the reader has now.
        before: `totals` of what it had when the test began.
        name: Of the metric, as OpenTelemetry has it.
        wanted: Attributes, as in `Spans.where`.
    """
    series: list[Series] = []
    names: set[str] = set()
    for key, of, kind, point in points(data):
        had, had_count = before.get(key, (0, 0)) if hasattr(kind, "aggregation_temporality") else (0, 0)
        count = point.count - had_count if hasattr(point, "count") else None
        value = (point.sum if hasattr(point, "count") else point.value) - had
        unchanged = key in before and not value and not count
        if unchanged:
            continue
        names.add(of)
        if of == name and has(point.attributes or {}, _named(point.attributes or {}, wanted)):
            gauge = not hasattr(kind, "aggregation_temporality")
            series.append(Series(dict(point.attributes or {}), value, count, gauge))
    return Measured(name, series, sorted(names))


def _named(attributes: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What is wanted by the keys that there are: a keyword of Python has no dot in it."""
    return {key if key in attributes else key.replace("_", "."): value for key, value in wanted.items()}
