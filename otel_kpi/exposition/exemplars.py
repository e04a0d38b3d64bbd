"""Exemplars that were taken out of the SDK between two exports: shown here, and sent with the next one.

Whoever reads a series takes its exemplars with it. What is read each second, for snapshots and answers, would be
missing from the export.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.sdk.metrics.export import ExponentialHistogram, Histogram

from otel_kpi.exposition.families import Sample, family_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import Metric, MetricsData

    from otel_kpi.exposition.families import Families
    from otel_kpi.exposition.labels import Labels

    Key = tuple[str, str, str]
    """Scope, family, labels."""


class Exemplars:
    """The newest exemplar of each bucket, of a counter the newest at all.

    Args:
        sent: Whether somebody sends them.
    """

    def __init__(self, *, sent: bool) -> None:
        self._sent = sent
        self._newest: dict[Key, dict[int, Exemplar]] = {}
        self._unsent: dict[Key, dict[int, Exemplar]] = {}

    def taken(self, data: MetricsData, labels: Labels) -> None:
        """Remember what was read and is not sent."""
        for scope, metric, point in _points(data):
            if point.exemplars:
                found = _by_bucket(metric, point)
                key = (scope, family_name(metric), labels.text(point.attributes))
                self._newest.setdefault(key, {}).update(found)
                if self._sent:
                    self._unsent.setdefault(key, {}).update(found)

    def sending(self, data: MetricsData, labels: Labels) -> None:
        """Add what was read before to what is about to be sent."""
        unsent, self._unsent = self._unsent, {}
        for scope, metric, point in _points(data):
            if not unsent and not point.exemplars:
                continue
            key = (scope, family_name(metric), labels.text(point.attributes))
            found = _by_bucket(metric, point)
            if found:
                self._newest.setdefault(key, {}).update(found)
            before = unsent.get(key)
            # Another make of reservoir may have given something that cannot be added to.
            if before and isinstance(point.exemplars, list):
                # In the order of their values, in which Prometheus looks for the bucket of each.
                together = sorted((before | found).items())
                cast("list[Exemplar]", point.exemplars)[:] = [exemplar for _, exemplar in together]

    def show(self, families: Families) -> None:
        """Give families the exemplars that lead to a trace."""
        for (_, name, text), found in self._newest.copy().items():
            family = families.get(name)
            if family is not None and text in family.series and family.kind in {"counter", "histogram"}:
                samples = {
                    bucket: _sample(exemplar)
                    for bucket, exemplar in found.copy().items()
                    if exemplar.trace_id and exemplar.span_id
                }
                if samples:
                    family.exemplars[text] = samples


def _points(data: MetricsData) -> Iterator[tuple[str, Metric, Any]]:
    for resource in data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in cast("Iterable[Any]", metric.data.data_points):
                    yield scope.scope.name, metric, point


def _by_bucket(metric: Metric, point: Any) -> dict[int, Exemplar]:
    if isinstance(metric.data, Histogram):
        return {bisect_left(point.explicit_bounds, each.value): each for each in point.exemplars}
    if isinstance(metric.data, ExponentialHistogram):
        return dict(enumerate(point.exemplars))
    return dict.fromkeys((0,), point.exemplars[-1]) if point.exemplars else {}


def _sample(exemplar: Exemplar) -> Sample:
    trace_id, span_id = exemplar.trace_id or 0, exemplar.span_id or 0
    return Sample(exemplar.value, exemplar.time_unix_nano / 1e9, f"{trace_id:032x}", f"{span_id:016x}")
