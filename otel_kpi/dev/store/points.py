"""Rows of metrics, their series and points."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.store.dictionary import Dictionary, clean, mapping, values
from otel_kpi.dev.store.traces import FOREVER

if TYPE_CHECKING:
    import sqlite3

    from otel_kpi.dev.store.tally import Tally
    from otel_kpi.dev.telemetry import Exemplar, Group, Metric, Point

_SQL: Final = (
    "INSERT INTO point (series, time_ns, start_ns, value, data, exemplars) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET start_ns = excluded.start_ns, value = excluded.value, data = excluded.data, "
    "exemplars = excluded.exemplars"
)
_MOST: Final = 50_000


def data(point: Point) -> str | None:  # noqa: C901 - one line for each thing it may have
    """What a point says beside its value, as JSON; None of a plain number."""
    said: dict[str, Any] = {}
    if point.no_value:
        said["no_value"] = True
    for name in ("sum", "min", "max"):
        number = getattr(point, name)
        if number is not None:
            said[name] = _number(number)
    if point.counts:
        said["bounds"], said["counts"] = [_number(bound) for bound in point.bounds], point.counts
    positive, negative = point.positive, point.negative
    if point.zero_count or point.scale or positive.counts or negative.counts:
        said["scale"], said["zero_count"] = point.scale, point.zero_count
        if point.zero_threshold:
            said["zero_threshold"] = _number(point.zero_threshold)
        if positive.counts:
            said["positive"] = [positive.offset, positive.counts]
        if negative.counts:
            said["negative"] = [negative.offset, negative.counts]
    if point.quantiles:
        said["quantiles"] = [[_number(quantile), _number(value)] for quantile, value in point.quantiles]
    if point.value is not None and not math.isfinite(point.value):
        said["value"] = _number(point.value)
    return json.dumps(said, separators=(",", ":")) if said else None


def exemplars(items: list[Exemplar]) -> str:
    """Exemplars as they are kept."""
    return (
        "["
        + ",".join([
            f'[{json.dumps(_number(each.value))},{each.time_ns},"{each.trace_id.hex()}","{each.span_id.hex()}",'
            f"{mapping(each.attributes)}]"
            for each in items
        ])
        + "]"
    )  # fmt: skip


def _number(number: float) -> object:
    """A number as `wire` writes it: JSON has neither NaN nor infinities."""
    if math.isfinite(number):
        return number
    return {"double": "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"}


class Points:
    """Writes points of metrics.

    Args:
        connection: The writer's.
        dictionary: Ids of texts.
    """

    def __init__(self, connection: sqlite3.Connection, dictionary: Dictionary) -> None:
        self._connection = connection
        self._dictionary = dictionary
        self._metrics: dict[tuple[object, ...], int] = {}
        self._descriptions: dict[int, str] = {}
        self._series: dict[tuple[int, int, int, str], int] = {}

    def forget(self) -> None:
        """Look everything up anew."""
        for cache in (self._metrics, self._descriptions, self._series):
            cache.clear()

    def add(self, group: Group[Metric], now_ns: int, tally: Tally) -> int:
        """Write the points of a group, and say how many."""
        service, resource = self._dictionary.sender(group.resource, now_ns)
        scope = self._dictionary.scope(group.scope)
        rows: list[tuple[object, ...]] = []
        for metric in group.items:
            number = self._metric(metric, scope)
            for point in metric.points:
                value = point.value if point.value is not None else point.count
                if point.no_value or (isinstance(value, float) and not math.isfinite(value)):
                    value = None
                rows.append((
                    self._of(number, resource, service, point), min(point.time_ns or now_ns, FOREVER),
                    min(point.start_ns, FOREVER), None if value is None else float(value), data(point),
                    exemplars(point.exemplars) if point.exemplars else None,
                ))  # fmt: skip
        self._connection.executemany(_SQL, rows)
        tally.add("metrics", "accepted", len(rows), service=service)
        return len(rows)

    def _metric(self, metric: Metric, scope: int) -> int:
        key = (
            clean(metric.name), metric.kind, clean(metric.unit), metric.temporality, int(metric.monotonic), scope
        )  # fmt: skip
        number = self._metrics.get(key)
        description = clean(metric.description)
        if number is None:
            row = self._connection.execute(
                "SELECT id, description FROM metric WHERE name = ? AND kind = ? AND unit = ? AND temporality = ? "
                "AND monotonic = ? AND scope = ?",
                key,
            ).fetchone()
            if row is None:
                row = self._connection.execute(
                    "INSERT INTO metric (name, kind, unit, temporality, monotonic, scope, description) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id, description",
                    (*key, description),
                ).fetchone()
            if len(self._metrics) >= _MOST:
                self.forget()
            number = self._metrics[key] = int(row[0])
            self._descriptions[number] = row[1]
        if description and self._descriptions.get(number) != description:
            self._connection.execute("UPDATE metric SET description = ? WHERE id = ?", (description, number))
            self._descriptions[number] = description
        return number

    def _of(self, metric: int, resource: int, service: int, point: Point) -> int:
        # The same attributes in another order are the same series.
        attributes = tuple(sorted(point.attributes, key=lambda each: each[0]))
        shape = self._dictionary.shape(tuple([each[0] for each in attributes]))
        key = (metric, resource, shape, clean(values(attributes)))
        number = self._series.get(key)
        if number is None:
            if len(self._series) >= _MOST:
                self._series.clear()
            row = self._connection.execute(
                "SELECT id FROM series WHERE metric = ? AND resource = ? AND shape = ? AND attrs = ?", key
            ).fetchone()
            if row is None:
                row = self._connection.execute(
                    "INSERT INTO series (metric, resource, shape, attrs, service) VALUES (?, ?, ?, ?, ?) RETURNING id",
                    (*key, service),
                ).fetchone()
            number = self._series[key] = int(row[0])
        return number
