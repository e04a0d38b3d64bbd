"""`/metrics`: the newest points of every series as Prometheus text, named as the Collector's Prometheus exporter names them.

Each series has `job` and `instance` of who sent it, and each of those a `target_info`; scrape it with `honor_labels`.
Deltas are added up from the first that is seen, so a counter only rises. A series of which nothing came for five minutes
is left out, as the Collector leaves it out: who stopped is not standing still.
https://github.com/open-telemetry/opentelemetry-collector-contrib/tree/main/exporter/prometheusexporter
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from otel_kpi.dev.store.reading.distributions import Distribution, IncompatibleError
from otel_kpi.dev.store.reading.metrics import ExemplarView, PointView, point
from otel_kpi.dev.store.reading.spans import attributes_of
from otel_kpi.dev.telemetry import DELTA
from otel_kpi.model.prometheus import series_name, unit_name

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.telemetry import Value
    from otel_kpi.exposition.families import Families, Family, Sample
    from otel_kpi.exposition.families import Kind as FamilyKind

EXPIRY_SECONDS: Final = 300.0
"""The Collector's `metric_expiration`."""
_MOST_TOTALS: Final = 50_000
"""Series of deltas that are added up; of more, the sum of what the store has is given."""


@dataclass(frozen=True, slots=True)
class Latest:
    """A series with its newest point.

    Attributes:
        resource: Row of who sent it.
        labels: Attributes of the series.
    """

    id: int
    name: str
    kind: str
    unit: str
    description: str
    temporality: int
    monotonic: bool
    resource: int
    labels: Mapping[str, Value]
    point: PointView


@dataclass(slots=True)
class Totals:
    """What deltas add up to, as long as this process runs: what the store forgets must not make a counter fall."""

    _kept: dict[int, tuple[int, PointView]] = field(default_factory=dict[int, tuple[int, PointView]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, reader: sqlite3.Connection, series: int) -> PointView | None:
        """The sum of a series; None where it has no points."""
        with self._lock:
            last, total = self._kept.get(series, (0, None))
            for row in reader.execute(
                "SELECT time_ns, start_ns, value, data, exemplars FROM point WHERE series = ? AND time_ns > ? ORDER BY 1",
                (series, last),
            ):
                total = _plus(total, point(row))
            if total is not None and (series in self._kept or len(self._kept) < _MOST_TOTALS):
                self._kept[series] = (total.time_ns, total)
            return total


def _plus(total: PointView | None, new: PointView) -> PointView:
    if total is None or total.value is None or new.value is None:
        return new
    spread = new.distribution
    if spread is not None and total.distribution is not None:
        try:
            spread = total.distribution.plus(spread)
        except IncompatibleError:
            return new  # other buckets: a new beginning
    value = total.value + new.value
    return PointView(new.time_ns, total.start_ns, value, spread, exemplars=new.exemplars)


def latest(reader: sqlite3.Connection, since_ns: int, totals: Totals) -> Iterator[Latest]:
    """Every series that has a point since then, with its newest."""
    rows = reader.execute(
        """
        SELECT series.id, metric.name, metric.kind, metric.unit, metric.description, metric.temporality,
            metric.monotonic, series.resource, shape.keys, series.attrs,
            point.time_ns, point.start_ns, point.value, point.data, point.exemplars
        FROM series JOIN metric ON metric.id = series.metric JOIN shape ON shape.id = series.shape
        JOIN point ON point.series = series.id
            AND point.time_ns = (SELECT max(time_ns) FROM point WHERE series = series.id)
        WHERE point.time_ns >= ? ORDER BY metric.name, series.id
        """,
        (since_ns,),
    ).fetchall()
    for (
        number,
        name,
        kind,
        unit,
        description,
        temporality,
        monotonic,
        resource,
        keys,
        attrs,
        *columns,
    ) in rows:
        newest = point(columns)
        if temporality == DELTA and kind != "gauge":
            newest = totals.of(reader, number) or newest
        if newest.value is not None:  # else the sender says that there is none any more
            told = attributes_of(orjson.loads(keys), attrs)
            yield Latest(
                number, name, kind, unit, description, temporality, bool(monotonic), resource, told, newest
            )


def written(reader: sqlite3.Connection, totals: Totals, *, since_ns: int, openmetrics: bool) -> bytes:
    """The text.

    Args:
        reader: To the store.
        totals: Of deltas.
        since_ns: Series without a point since then are left out.
        openmetrics: As OpenMetrics, with exemplars.
    """
    # The SDK is behind it, which nothing else here needs.
    from otel_kpi.exposition import text
    from otel_kpi.exposition.families import said_once
    from otel_kpi.exposition.labels import joined, label_text, labels_of
    from otel_kpi.exposition.labels import written as label_written
    from otel_kpi.exposition.totals import Totals as Text

    targets = _targets(reader)
    families: Families = {}
    summaries: dict[str, list[str]] = {}
    shown: set[str] = set()
    for each in latest(reader, since_ns, totals):
        kind = _kind(each)
        name = series_name(each.name, each.unit, kind)
        if not name:
            said_once(f"{each.name!r} is left out: nothing of it can be a name in Prometheus")
            continue
        own, target = targets.get(each.resource, ("", ""))
        labels = joined(label_text(each.labels), own)
        shown.add(target)
        # In order, as where labels are compared.
        labels = label_written(_free(labels_of(labels), each.kind))
        if each.kind == "summary":
            summaries.setdefault(name, []).extend(_summary(name, labels, each.point))
            continue
        family = families.get(name)
        if family is None:
            family = families[name] = _family(name, kind, each)
        elif family.kind != kind:
            said_once(f"{name} is a {family.kind} and a {kind}; the {kind} is left out")
            continue
        _add(family, labels, each)
    body = text.written(Text(families, sorted(shown - {""})), openmetrics=openmetrics)
    lines = [
        line
        for name, told in summaries.items()
        if name not in families
        for line in (f"# TYPE {name} summary", *told)
    ]
    if not lines:
        return body
    more = ("\n".join(lines) + "\n").encode("utf-8", "replace")
    end = b"# EOF\n"
    return body.removesuffix(end) + more + end if openmetrics else body + more


def _free(labels: dict[str, str], kind: str) -> dict[str, str]:
    """Labels without the one that the format itself writes: for two of a name Prometheus takes nothing of a whole scrape."""
    taken = {"histogram": "le", "exponential_histogram": "le", "summary": "quantile"}.get(kind, "")
    if taken in labels:
        labels[f"exported_{taken}"] = labels.pop(taken)  # as Prometheus calls what it has to move
    return labels


def _kind(each: Latest) -> FamilyKind:
    match each.kind:
        case "sum":
            return "counter" if each.monotonic else "updowncounter"
        case "histogram" | "exponential_histogram":
            # A histogram without any bucket has a sum and a count all the same.
            return "histogram"
        case _:
            return "gauge"


def _family(name: str, kind: FamilyKind, each: Latest) -> Family:
    from otel_kpi.exposition.families import Family

    return Family(name, kind, each.description, unit_name(each.unit))


def _add(family: Family, labels: str, each: Latest) -> None:
    """Put a series into its family; the same name and labels of two meters are one series, as in Prometheus."""
    from otel_kpi.exposition.families import added

    value = _value(each.point)
    held = family.series.get(labels)
    family.series[labels] = value if held is None or family.kind == "gauge" else added(held, value)
    samples = _samples(each.point)
    if samples and family.kind in {"counter", "histogram"}:
        family.exemplars.setdefault(labels, {}).update(samples)


def _value(of: PointView) -> Any:
    """A point as exposition writes it."""
    from otel_kpi.exposition.exponential import Exponential
    from otel_kpi.exposition.families import Distribution as Written

    spread = of.distribution
    if spread is None:
        return _whole(of.value or 0.0)
    total = float("nan") if spread.total is None else spread.total
    if spread.scale is None:
        bounds, counts = spread.bounds, [*map(int, spread.counts)]
        if bounds and bounds[-1] == math.inf:  # which is written without being said
            bounds = bounds[:-1]
            counts[-2:] = [sum(counts[-2:])]
        # Of a point without buckets there is the one to infinity.
        return Written(bounds, tuple(counts) or (int(spread.count),), total)
    return Exponential(
        spread.scale, int(spread.zero), _whole_pairs(spread.positive), _whole_pairs(spread.negative), total
    )


def _whole_pairs(pairs: tuple[tuple[int, float], ...]) -> tuple[tuple[int, int], ...]:
    return tuple((index, int(count)) for index, count in pairs)


def _whole(value: float) -> float:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _samples(of: PointView) -> dict[int, Sample]:
    """The newest exemplar of each bucket; 0 of a counter."""
    found: dict[int, Sample] = {}
    for each in sorted(of.exemplars, key=lambda one: one.time_ns):
        found[_bucket(of.distribution, each)] = _sample(each)
    return found


def _sample(each: ExemplarView) -> Sample:
    from otel_kpi.exposition.families import Sample

    return Sample(each.value, each.time_ns / 1e9, each.trace_id, each.span_id)


def _bucket(spread: Distribution | None, each: ExemplarView) -> int:
    if spread is None or spread.scale is not None:
        return 0
    return next((at for at, bound in enumerate(spread.bounds) if each.value <= bound), len(spread.bounds))


def _summary(name: str, labels: str, of: PointView) -> list[str]:
    from otel_kpi.exposition.labels import joined

    def number(value: float) -> str:
        return repr(_whole(value)).replace("nan", "NaN").replace("inf", "Inf")

    shares = [(joined(labels, f'quantile="{share:g}"'), value) for share, value in of.quantiles]
    lines = [f"{name}{{{whose}}} {number(value)}" for whose, value in shares]
    braces = f"{{{labels}}}" if labels else ""
    if of.sum is not None:
        lines.append(f"{name}_sum{braces} {number(of.sum)}")
    return [*lines, f"{name}_count{braces} {number(of.value or 0)}"]


def _targets(reader: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """By resource the labels `job` and `instance`, and those of its `target_info`."""
    from otel_kpi.exposition.labels import label_text, labels_of
    from otel_kpi.exposition.labels import written as label_written

    found: dict[int, tuple[str, str]] = {}
    for number, keys, attrs in reader.execute(
        "SELECT resource.id, shape.keys, resource.attrs FROM resource JOIN shape ON shape.id = resource.shape"
    ):
        told = attributes_of(orjson.loads(keys), attrs)
        namespace, name = told.get("service.namespace"), told.get("service.name", "")
        own = {
            "job": f"{namespace}/{name}" if namespace else str(name),
            "instance": str(told.get("service.instance.id") or ""),
        }
        rest = {
            key: value
            for key, value in told.items()
            if key not in {"service.name", "service.namespace", "service.instance.id"}
        }
        target = labels_of(label_text(rest)) | own
        found[number] = (label_written(own), label_written(target))
    return found


def _metrics(request: Request) -> Response:
    from otel_kpi.exposition import text

    dev: Dev = request.app.state.dev
    if dev.store is None:
        return PlainTextResponse("no metrics are kept here: another Jaeger is looked at\n", 404)
    asked = request.query_params.get("max_age", str(EXPIRY_SECONDS))
    try:
        seconds = float(asked)
        since = int((time.time() - max(0.0, seconds)) * 1e9)
    except (ValueError, OverflowError):
        return PlainTextResponse(f"max_age is a number of seconds, not {asked[:40]!r}\n", 400)
    totals: Totals | None = getattr(request.app.state, "totals", None)
    if totals is None:
        totals = request.app.state.totals = Totals()
    openmetrics = text.wants_openmetrics(request.headers.get("accept"))
    body = written(dev.store.reader(), totals, since_ns=max(0, since), openmetrics=openmetrics)
    return Response(body, media_type=text.OPENMETRICS if openmetrics else text.TEXT)


ROUTES: Final[list[BaseRoute]] = [Route("/metrics", _metrics)]
