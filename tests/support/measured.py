"""What the handles of `otel_kpi.record` recorded in a test: a real MeterProvider, read by Prometheus name."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_kpi import record
from otel_kpi.model import label_name, series_name

if TYPE_CHECKING:
    from collections.abc import Generator

_KINDS = {"Gauge": "gauge", "Histogram": "histogram"}


@dataclass
class Measured:
    """The series of a provider.

    Attributes:
        provider: The one that the handles record with.
        reader: Collects in memory.
    """

    provider: MeterProvider
    reader: InMemoryMetricReader

    def points(self, name: str) -> dict[tuple[tuple[str, str], ...], Any]:
        """The data points of a series, by its labels in order of their names."""
        data = self.reader.get_metrics_data()
        found: dict[tuple[tuple[str, str], ...], Any] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = _KINDS.get(type(metric.data).__name__)
                    if kind is None:
                        kind = "counter" if getattr(metric.data, "is_monotonic", False) else "updowncounter"
                    if series_name(metric.name, metric.unit or "", kind) == name:
                        for point in metric.data.data_points:
                            labels = sorted(
                                (label_name(key), str(each)) for key, each in (point.attributes or {}).items()
                            )
                            found[tuple(labels)] = point
        return found

    def value(self, name: str, **labels: str) -> Any:
        """The value of one series; of a histogram (count, sum). None when there is no such series."""
        point = self.points(name).get(tuple(sorted(labels.items())))
        if point is None:
            return None
        return point.value if hasattr(point, "value") else (point.count, point.sum)

    def labels(self, name: str) -> set[tuple[tuple[str, str], ...]]:
        """Label sets of a series."""
        return set(self.points(name))


@contextmanager
def measured(*, prefixes: dict[str, str] | None = None, compatibility: bool = True) -> Generator[Measured]:
    """Record into a provider of this test, with empty tallies before and after."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    record.use(provider=provider, prefixes=prefixes or {}, compatibility=compatibility)
    try:
        yield Measured(provider, reader)
    finally:
        record.use(provider=None, prefixes={}, compatibility=True)
        provider.shutdown()
