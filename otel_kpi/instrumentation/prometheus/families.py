"""From the metrics of prometheus_client to series that OpenTelemetry can carry, with the names that they had.

Pure functions. What OTLP makes of each, so that Prometheus shows the same names again:

| prometheus_client | OTLP |
|---|---|
| counter `x_total` | monotonic sum `x`; Prometheus adds `_total` |
| gauge, unknown, gauge histogram | a gauge for each name of a sample |
| histogram | histogram with its own bounds |
| summary | histogram without bounds: `x_count` and `x_sum`, and `x_bucket{le="+Inf"}` besides |
| info, enum | gauge `x_info`, gauge `x` with the states as a label |

Quantiles that a collector of the application's own reports are left out: they cannot be added up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

from otel_kpi.model import series_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Kind = Literal["counter", "gauge", "histogram"]
Labels = tuple[tuple[str, str], ...]
"""In order of their names."""

_UNITS: Final = {"seconds": "s", "bytes": "By"}
_OTHERS: Final = {"job": "exported_job", "instance": "exported_instance"}
"""Labels that Prometheus gives to every series; what it calls those of the application when it scrapes them."""
_LATEST: Final = 2.0**33
"""Seconds since 1970, in the year 2242: OTLP has room for no moment much later."""
_TARGET: Final = "target_info"
"""Prometheus makes it out of the resource."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """What one series of a histogram says.

    Attributes:
        bounds: Upper bounds, without infinity.
        counts: In each bucket alone, one more than there are bounds.
        total: Sum of the values; NaN where nobody kept it.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A value and the labels that lead to where it was measured.

    Attributes:
        labels: `trace_id` and `span_id` among them, if anybody gave them.
        value: In the unit of the metric.
        time: Seconds since 1970; 0 where nobody knows.
    """

    labels: Mapping[str, str]
    value: float
    time: float


@dataclass(frozen=True, slots=True)
class Point:
    """One series.

    Attributes:
        value: What it says.
        created: When it began, in seconds since 1970; 0 where nobody knows.
        exemplars: One for a counter, one for each bucket that has one.
    """

    value: float | Distribution
    created: float = 0.0
    exemplars: tuple[Exemplar, ...] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """All series of one metric.

    Attributes:
        name: Of the metric in OTLP.
        kind: What it is.
        unit: In UCUM; empty where it is none of seconds and bytes.
        brief: The help text.
        shown: What Prometheus showed before: of a histogram without `_bucket`, of a counter with `_total`.
        points: By labels.
    """

    name: str
    kind: Kind
    unit: str
    brief: str
    shown: str
    points: dict[Labels, Point] = field(default_factory=dict[Labels, Point])

    @property
    def arrives_as(self) -> str:
        """What Prometheus makes of the name."""
        return series_name(self.name, self.unit, self.kind)

    def with_points(self, points: dict[Labels, Point]) -> Family:
        """The same with other series."""
        return replace(self, points=points)


def families(metric: Any) -> list[Family]:
    """The families of a metric of prometheus_client; what is not a number is left out.

    Args:
        metric: As a collector gives it, `prometheus_client.Metric`.
    """
    kind = metric.type
    if kind == "counter":
        return [_counter(metric)]
    if kind in {"histogram", "summary"}:
        return [_histogram(metric)]
    return _gauges(metric)


def _counter(metric: Any) -> Family:
    shown = f"{metric.name}_total"
    family = _family(metric, metric.name, "counter", shown)
    created = _created(metric)
    for sample in metric.samples:
        if sample.name in {shown, metric.name} and _is_count(sample.value):
            labels = _labels(sample.labels)
            exemplars = _exemplars([sample])
            family.points[labels] = Point(float(sample.value), created.get(labels, 0.0), exemplars)
    return family


def _gauges(metric: Any) -> list[Family]:
    found: dict[str, Family] = {}
    for sample in metric.samples:
        if sample.name == _TARGET or math.isnan(sample.value):
            continue
        family = found.get(sample.name)
        if family is None:
            family = found[sample.name] = _family(metric, sample.name, "gauge", sample.name)
        family.points[_labels(sample.labels)] = Point(float(sample.value))
    return list(found.values())


def _histogram(metric: Any) -> Family:
    family = _family(metric, metric.name, "histogram", metric.name)
    created = _created(metric)
    buckets: dict[Labels, list[Any]] = {}
    counts: dict[Labels, float] = {}
    totals: dict[Labels, float] = {}
    for sample in metric.samples:
        suffix = sample.name[len(metric.name) :]
        if suffix == "_bucket" and "le" in sample.labels:
            buckets.setdefault(_labels(sample.labels, without="le"), []).append(sample)
        elif suffix in {"_count", "_sum"}:
            (counts if suffix == "_count" else totals)[_labels(sample.labels)] = float(sample.value)
    for labels in {**buckets, **counts}:
        distribution = _distribution(
            buckets.get(labels, ()), counts.get(labels, 0.0), totals.get(labels, math.nan)
        )
        if distribution is not None:
            exemplars = _exemplars(buckets.get(labels, ()))
            family.points[labels] = Point(distribution, created.get(labels, 0.0), exemplars)
    return family


def _distribution(buckets: Iterable[Any], count: float, total: float) -> Distribution | None:
    """Buckets as OTLP has them; None when they make no sense."""
    try:
        cumulative = {float(bucket.labels["le"]): float(bucket.value) for bucket in buckets}
    except ValueError:
        return None
    cumulative.setdefault(math.inf, max([count, *cumulative.values()]))
    bounds = sorted(cumulative)
    counts: list[int] = []
    below = 0.0
    for bound in bounds:
        if not _is_count(cumulative[bound]):
            return None
        # Read one after the other while the application counts: a later bucket may be a little behind.
        counts.append(int(max(cumulative[bound] - below, 0.0)))
        below = max(cumulative[bound], below)
    return Distribution(tuple(bounds[:-1]), tuple(counts), total)


def _family(metric: Any, name: str, kind: Kind, shown: str) -> Family:
    brief = metric.documentation if isinstance(metric.documentation, str) else ""
    family = Family(name, kind, _UNITS.get(metric.unit, ""), brief, shown)
    # A unit that would not end up where it was is better not said.
    return family if family.arrives_as == shown else replace(family, unit="")


def _created(metric: Any) -> dict[Labels, float]:
    return {
        _labels(sample.labels): float(sample.value)
        for sample in metric.samples
        if sample.name == f"{metric.name}_created" and 0 < sample.value < _LATEST
    }


def _labels(labels: Mapping[str, str], without: str = "") -> Labels:
    return tuple(
        sorted(
            (_OTHERS.get(name, str(name)), str(value)) for name, value in labels.items() if name != without
        )
    )


def _exemplars(samples: Iterable[Any]) -> tuple[Exemplar, ...]:
    return tuple(
        Exemplar(dict(each.labels), float(each.value), float(each.timestamp or 0.0))
        for sample in samples
        if (each := sample.exemplar) is not None and 0 <= (each.timestamp or 0.0) < _LATEST
    )


def _is_count(value: float) -> bool:
    return math.isfinite(value) and value >= 0


def minus(point: Point, other: Point) -> Point | None:
    """What came to a series since `other`; None when it began anew in between."""
    now, then = point.value, other.value
    if isinstance(now, Distribution) and isinstance(then, Distribution):
        if now.bounds != then.bounds:
            return None
        counts = tuple(one - two for one, two in zip(now.counts, then.counts, strict=True))
        if min(counts) < 0:
            return None
        return replace(point, value=Distribution(now.bounds, counts, now.total - then.total))
    if isinstance(now, Distribution) or isinstance(then, Distribution) or now < then:
        return None
    return replace(point, value=now - then)


def plus(point: Point, other: Point) -> Point:
    """Two series as one; of distributions over different bounds the first."""
    one, two = point.value, other.value
    exemplars = (*point.exemplars, *other.exemplars)
    created = min(point.created, other.created)
    if isinstance(one, Distribution) and isinstance(two, Distribution):
        if one.bounds != two.bounds:
            return point
        counts = tuple(map(int.__add__, one.counts, two.counts))
        return Point(Distribution(one.bounds, counts, one.total + two.total), created, exemplars)
    if isinstance(one, Distribution) or isinstance(two, Distribution):
        return point
    return Point(one + two, created, exemplars)
