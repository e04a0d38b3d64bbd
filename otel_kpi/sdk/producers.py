"""Metrics that are kept elsewhere and go out with ours: OpenTelemetry's `MetricProducer`, which the SDK has not.

https://opentelemetry.io/docs/specs/otel/metrics/sdk/#metricproducer
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Protocol
from weakref import WeakKeyDictionary

from opentelemetry.sdk.metrics.export import (
    ExponentialHistogram,
    Gauge,
    Histogram,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_kpi import _compat
from otel_kpi.model import series_name
from otel_kpi.sdk.deltas import Deltas

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.resources import Resource

_logger = logging.getLogger("otel_kpi.metrics")


class Producer(Protocol):
    """Who keeps metrics elsewhere."""

    def produce(self) -> list[Metric]:
        """All of them now, with cumulative sums; never raises."""
        ...


_producers: Final[WeakKeyDictionary[MeterProvider, list[tuple[str, Producer]]]] = WeakKeyDictionary()
_said: Final[set[str]] = set()
_MOST_SAID: Final = 1_000


def add(provider: MeterProvider, scope: str, producer: Producer) -> None:
    """Have what a producer keeps go out with what a provider collects.

    Args:
        provider: Whose resource it gets.
        scope: Name of the instrumentation scope under which it goes out.
        producer: Is asked at each collection.
    """
    _producers.setdefault(provider, []).append((scope, producer))


def completed(provider: MeterProvider, data: MetricsData, deltas: Deltas | None = None) -> MetricsData:
    """What was collected of a provider, and what its producers keep.

    A produced metric with the name of one that the SDK collected is left out, and named once.

    Args:
        provider: The provider.
        data: What was collected; may be empty.
        deltas: Makes deltas of cumulative sums, for who wants those; None is cumulative.

    Returns:
        `data` itself where the producers have nothing.
    """
    producers = _producers.get(provider)
    if not producers:
        return data
    resource = _compat.resource_of_metrics(provider)
    taken = {_shown(each) for each in _metrics(data)}
    scopes: list[ScopeMetrics] = []
    for scope, producer in producers:
        metrics: list[Metric] = []
        for metric in producer.produce():
            name = _shown(metric)
            if name in taken:
                _say_taken(name, scope)
            else:
                taken.add(name)
                metrics.append(metric)
        if deltas is not None:
            metrics = deltas.of(metrics)
        if metrics:
            scopes.append(ScopeMetrics(InstrumentationScope(scope), metrics, ""))
    return _with(data, resource, scopes)


def completing(provider: MeterProvider, *, deltas: bool) -> Callable[[MetricsData], MetricsData]:
    """`completed` for one reader."""
    own = Deltas() if deltas else None
    return lambda data: completed(provider, data, own)


def _with(data: MetricsData, resource: Resource, scopes: list[ScopeMetrics]) -> MetricsData:
    if not scopes:
        return data
    if not data.resource_metrics:
        return MetricsData([ResourceMetrics(resource, scopes, resource.schema_url)])
    first, *others = data.resource_metrics
    joined = ResourceMetrics(first.resource, [*first.scope_metrics, *scopes], first.schema_url)
    return MetricsData([joined, *others])


def _metrics(data: MetricsData) -> Iterator[Metric]:
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            yield from scope.metrics


def _shown(metric: Metric) -> str:
    """What Prometheus calls a metric."""
    kind: str
    match metric.data:
        case Sum(is_monotonic=monotonic):
            kind = "counter" if monotonic else "updowncounter"
        case Gauge():
            kind = "gauge"
        case Histogram() | ExponentialHistogram():
            kind = "histogram"
    return _series_name(metric.name, metric.unit or "", kind)


@lru_cache(maxsize=4096)
def _series_name(name: str, unit: str, kind: str) -> str:
    return series_name(name, unit, kind)


def _say_taken(name: Any, scope: str) -> None:
    if name not in _said and len(_said) < _MOST_SAID:
        _said.add(name)
        _logger.warning(
            "%s: %s is left out: OpenTelemetry measures something of that name already", scope, name
        )
