"""What prometheus_client keeps in this process, as metrics of the SDK.

Each process says its own: with `PROMETHEUS_MULTIPROC_DIR`, too, where each worker keeps its figures in files of its
own and none of them says the sum. A forked child without that mode has its parent's figures in its memory; what was
counted until then is the parent's to tell, and so is a gauge that the child did not set.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from otel_kpi.instrumentation.prometheus.collection import Collection, plain_collectors
from otel_kpi.instrumentation.prometheus.families import (
    Distribution,
    Exemplar,
    Family,
    Labels,
    Point,
    families,
    minus,
    plus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Admit = Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]

_logger = logging.getLogger("otel_kpi.metrics")

SCOPE: Final = "prometheus_client"
"""Instrumentation scope of what it says."""


@dataclass(frozen=True, slots=True)
class _Named:
    """What the guard of budgets wants to know of an instrument."""

    name: str


class Bridge:
    """Reads prometheus_client's registry.

    Args:
        admit: Gives the attributes under which a series is told: budgets, and secrets taken out.
        failed: Is told of errors.
        now: Seconds since 1970.
    """

    def __init__(
        self,
        admit: Admit = lambda _instrument, attributes: attributes,
        failed: Callable[[object, BaseException], None] = lambda _part, _error: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._admit = admit
        self._failed = failed
        self._now = now
        self._collection = Collection(failed)
        self._begun = now()
        self._parents: dict[str, dict[Labels, Point]] = {}
        self._remembered: dict[str, dict[Labels, Point]] = {}
        self._said: set[str] = set()

    def produce(self) -> list[Metric]:
        """Everything now, cumulative; never raises."""
        found: list[Metric] = []
        time_nanos = int(self._now() * 1e9)
        for family in self._families():
            try:
                made = self._metric(self._merged(self._own(family)), time_nanos)
                if made is not None:
                    found.append(made)
            except Exception as error:
                self._failed("prometheus_client: a metric", error)
        return found

    def _families(self) -> list[Family]:
        """What the collectors say, each name once: some give a metric of its own for each of its series."""
        found: dict[str, Family] = {}
        for metric in self._collection.collect():
            try:
                for family in families(metric):
                    known = found.setdefault(family.name, family)
                    if known is not family and known.kind == family.kind:
                        found[family.name] = known.with_points({**family.points, **known.points})
            except Exception as error:
                self._failed("prometheus_client: a metric", error)
        return list(found.values())

    # --- a fork

    def before_fork(self) -> None:
        """Remember what there is; in the parent, where no lock of the library is held by a thread that is gone."""
        self._remembered = {}
        if "prometheus_client" not in sys.modules or "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            return
        try:
            for collector in plain_collectors():
                for metric in collector.collect():
                    for family in families(metric):
                        self._remembered[family.name] = family.points
        except Exception as error:
            self._failed("prometheus_client: a metric", error)

    def after_fork_in_child(self) -> None:
        """Tell from now on what this process counts itself."""
        self._parents = self._remembered
        self._begun = self._now()

    def _own(self, family: Family) -> Family:
        """The family without what the parent counted."""
        parents = self._parents.get(family.name)
        if not parents:
            return family
        own: dict[Labels, Point] = {}
        for labels, point in family.points.items():
            parent = parents.get(labels)
            if parent is None:
                own[labels] = point
            elif family.kind == "gauge":
                if parent.value != point.value:
                    del parents[labels]
                    own[labels] = point
            else:
                since = minus(point, parent)
                if since is None:
                    del parents[labels]
                own[labels] = since or point
        return family.with_points(own)

    # --- what is told

    def _merged(self, family: Family) -> list[tuple[Family, Mapping[str, Any], Point]]:
        """The series under the attributes that they may have; those that become one are added up."""
        instrument = _Named(family.name)
        merged: dict[frozenset[tuple[str, Any]], tuple[Family, Mapping[str, Any], Point]] = {}
        for labels, point in family.points.items():
            attributes = self._admit(instrument, dict(labels)) if labels else {}
            key = frozenset(attributes.items())
            before = merged.get(key)
            if before is not None and family.kind != "gauge":
                point = plus(before[2], point)  # noqa: PLW2901 - the series that both are
            merged[key] = (family, attributes, point)
        return list(merged.values())

    def _metric(
        self, series: list[tuple[Family, Mapping[str, Any], Point]], time_nanos: int
    ) -> Metric | None:
        if not series:
            return None
        family = series[0][0]
        if family.arrives_as != family.shown and family.shown not in self._said:
            self._said.add(family.shown)
            arrives_as = family.arrives_as or "left out, since nothing of it can be a name"
            _logger.warning("prometheus_client: %s is %s in Prometheus", family.shown, arrives_as)
        if not family.arrives_as:
            return None
        points: list[Any] = [self._point(attributes, point, time_nanos) for _, attributes, point in series]
        cumulative = AggregationTemporality.CUMULATIVE
        if family.kind == "counter":
            data: Any = Sum(points, cumulative, is_monotonic=True)
        elif family.kind == "histogram":
            data = Histogram(points, cumulative)
        else:
            data = Gauge(points)
        return Metric(family.name, family.brief, family.unit, data)

    def _point(
        self, attributes: Mapping[str, Any], point: Point, time_nanos: int
    ) -> NumberDataPoint | HistogramDataPoint:
        # Before a fork it was the parent's; what does not say when it began, began when it could be seen.
        begun = max(point.created, self._begun) if self._parents or not point.created else point.created
        start = min(int(begun * 1e9), time_nanos)
        exemplars = [_exemplar(each) for each in point.exemplars]
        value = point.value
        if not isinstance(value, Distribution):
            return NumberDataPoint(attributes, start, time_nanos, value, exemplars)
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=start,
            time_unix_nano=time_nanos,
            count=sum(value.counts),
            sum=value.total,
            bucket_counts=value.counts,
            explicit_bounds=value.bounds,
            # Nobody kept them: the SDK says so by a minimum above the maximum.
            min=math.inf,
            max=-math.inf,
            exemplars=exemplars,
        )


def _exemplar(exemplar: Exemplar) -> SdkExemplar:
    rest = dict(exemplar.labels)
    trace_id, span_id = _id(rest.pop("trace_id", ""), 32), _id(rest.pop("span_id", ""), 16)
    return SdkExemplar(rest, exemplar.value, int(exemplar.time * 1e9), span_id, trace_id)


def _id(text: str, digits: int) -> int | None:
    try:
        number = int(text, 16)
    except (TypeError, ValueError):
        return None
    return number if 0 < number < 16**digits else None
