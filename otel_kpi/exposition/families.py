"""From metrics of the SDK to the families of Prometheus, with the names and labels that OTLP gives them there."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from opentelemetry.sdk.metrics.export import ExponentialHistogram, Gauge, Histogram, Sum

from otel_kpi.exposition.exponential import Exponential
from otel_kpi.model.prometheus import series_name, unit_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk.metrics.export import Metric, MetricsData

    from otel_kpi.exposition.labels import Labels

_logger = logging.getLogger("otel_kpi.exposition")

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]
Number = int | float
_LARGEST: Final = 2**1000


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one series of a histogram says.

    Attributes:
        bounds: Upper bounds of the buckets, without infinity.
        counts: In each bucket alone, one more than there are bounds.
        total: Sum of the values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: Number

    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Sample:
    """An exemplar: one value, and the trace in which it was measured.

    Attributes:
        value: In the unit of the metric.
        time: Seconds since 1970.
        trace_id: 32 hexadecimal digits.
        span_id: 16 hexadecimal digits.
    """

    value: Number
    time: float
    trace_id: str
    span_id: str


Value = Number | Distribution | Exponential


@dataclass(slots=True)
class Family:
    """All series of one name.

    Attributes:
        name: In Prometheus; of a counter with `_total`, of a histogram without `_bucket`, `_sum`, `_count`.
        kind: What it is.
        brief: The description.
        unit: In Prometheus's words, `seconds`; may be empty.
        series: Values by label text.
        exemplars: By label text and number of the bucket, 0 for a counter.
    """

    name: str
    kind: Kind
    brief: str = ""
    unit: str = ""
    series: dict[str, Value] = field(default_factory=dict[str, Value])
    exemplars: dict[str, dict[int, Sample]] = field(
        default_factory=dict[str, dict[int, Sample]], compare=False
    )


Families = dict[str, Family]


def translate(data: MetricsData | None, labels: Labels) -> Families:
    """Give the families of what was collected.

    What has the same name and labels in two scopes is one series in Prometheus, too: it is added up, or the last one
    of a gauge. Of two families with one name and two kinds the first is kept.

    Args:
        data: What was collected, cumulative; None when there was nothing.
        labels: Remembers label texts.
    """
    families: Families = {}
    for resource in data.resource_metrics if data is not None else ():
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                _take(families, metric, labels)
    return families


def _take(families: Families, metric: Metric, labels: Labels) -> None:
    kind = kind_of(metric)
    name = _series_name(metric.name, metric.unit or "", kind)
    if not name:
        said_once(f"{metric.name!r} is left out: nothing of it can be a name in Prometheus")
        return
    family = families.get(name)
    if family is None:
        unit = unit_name(metric.unit or "")
        family = families[name] = Family(name, kind, metric.description or "", unit)
    elif family.kind != kind:
        said_once(f"{name} is a {family.kind} and a {kind}; the {kind} is left out")
        return
    series = family.series
    for point in cast("Iterable[Any]", metric.data.data_points):
        try:
            text = labels.text(point.attributes)
        except Exception as error:  # an attribute that cannot be written
            said_once(f"a series of {name} is left out: {error!r:.100}")
            continue
        if _is_beyond(point.value if kind != "histogram" else point.sum):
            said_once(f"a series of {name} is left out: it has more digits than a number may have")
            continue
        if kind != "histogram":
            value: Value = point.value
        elif isinstance(metric.data, ExponentialHistogram):
            value = Exponential.of(point)
        else:
            value = Distribution(tuple(point.explicit_bounds), tuple(point.bucket_counts), point.sum)
        if text in series and kind != "gauge":
            value = added(series[text], value)
        series[text] = value


def _is_beyond(value: Number) -> bool:
    """Whether a whole number is larger than any of floating point: it can neither be added to one nor written."""
    return isinstance(value, int) and not -_LARGEST < value < _LARGEST


def family_name(metric: Metric) -> str:
    """The name of a metric in Prometheus."""
    return _series_name(metric.name, metric.unit or "", kind_of(metric))


def kind_of(metric: Metric) -> Kind:
    """What a metric is, in the words of its instrument."""
    match metric.data:
        case Sum(is_monotonic=monotonic):
            return "counter" if monotonic else "updowncounter"
        case Gauge():
            return "gauge"
        case Histogram() | ExponentialHistogram():
            return "histogram"


def added(one: Value, other: Value) -> Value:
    """The sum of two values of one series.

    Distributions over different bounds keep the bounds that both have: there the counts are exact.
    """
    if isinstance(one, Distribution) and isinstance(other, Distribution):
        if one.bounds != other.bounds:
            shared = tuple(bound for bound in one.bounds if bound in other.bounds)
            one, other = _over(one, shared), _over(other, shared)
        counts = tuple(map(int.__add__, one.counts, other.counts))
        return Distribution(one.bounds, counts, one.total + other.total)
    if isinstance(one, Exponential) and isinstance(other, Exponential):
        return one.plus(other)
    if isinstance(one, Exponential | Distribution) or isinstance(other, Exponential | Distribution):
        # A deployment changed the aggregation: the two cannot be compared, and the new one is what is measured now.
        return other
    return one + other


def _over(distribution: Distribution, bounds: tuple[float, ...]) -> Distribution:
    counts = [0] * (len(bounds) + 1)
    position = 0
    for bound, count in zip((*distribution.bounds, math.inf), distribution.counts, strict=True):
        while position < len(bounds) and bound > bounds[position]:
            position += 1
        counts[position] += count
    return Distribution(bounds, tuple(counts), distribution.total)


@lru_cache(maxsize=4096)
def _series_name(name: str, unit: str, kind: Kind) -> str:
    return series_name(name, unit, kind)


_said: set[str] = set()


def said_once(line: str) -> None:
    """Say something that will not change, once."""
    if line not in _said and len(_said) < 1000:  # noqa: PLR2004 - a bound, for names that come from outside
        _said.add(line)
        _logger.warning("%s", line)
