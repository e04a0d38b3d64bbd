"""Instruments, their series and their points, as the store has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from otel_kpi.dev.store.reading import distributions
from otel_kpi.dev.store.reading.spans import attributes_of, decoded
from otel_kpi.dev.telemetry import DELTA

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from otel_kpi.dev.store.reading.distributions import Distribution
    from otel_kpi.dev.telemetry import Kind, Value

MOST_SERIES: Final = 200
"""That a chart is made of; a page says how many there are."""
_MOST_POINTS: Final = 500
"""Of a histogram's series in a chart: their buckets have to be read one by one."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument, by whoever records it.

    Attributes:
        id: Its row.
        temporality: 0 unspecified, 1 delta, 2 cumulative.
        scope: The meter.
        services: That record it, sorted.
        series: How many there are.
        last_ns: Time of the newest point; None where all were forgotten.
    """

    id: int
    name: str
    kind: Kind
    unit: str
    description: str
    temporality: int
    monotonic: bool
    scope: str
    scope_version: str
    services: tuple[str, ...]
    series: int
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class ExemplarView:
    """A measurement that stands for others."""

    value: float
    time_ns: int
    trace_id: str
    span_id: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class PointView:
    """A point of a series.

    Attributes:
        value: Of a gauge or a sum; the count of the others; None where the sender says that there is none any more.
        distribution: Of a histogram of either kind.
        quantiles: Of a summary: share and value.
    """

    time_ns: int
    start_ns: int
    value: float | None
    distribution: Distribution | None = None
    sum: float | None = None
    quantiles: tuple[tuple[float, float], ...] = ()
    exemplars: tuple[ExemplarView, ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """A series of an instrument.

    Attributes:
        id: Its row.
        resource: Row of who records it; two processes of a service have two.
    """

    id: int
    instrument: int
    service: str
    resource: int
    attributes: Mapping[str, Value]
    last: PointView | None


_INSTRUMENT: Final = """
    SELECT metric.id, metric.name, metric.kind, metric.unit, metric.description, metric.temporality,
        metric.monotonic, scope.name, scope.version, count(series.id),
        max((SELECT max(time_ns) FROM point WHERE point.series = series.id))
    FROM metric JOIN scope ON scope.id = metric.scope LEFT JOIN series ON series.metric = metric.id
"""


def instruments(connection: sqlite3.Connection) -> list[Instrument]:
    """All instruments, by meter and name."""
    services: dict[int, list[str]] = {}
    for metric, name in connection.execute(
        "SELECT DISTINCT metric, name FROM series JOIN service ON service.id = series.service ORDER BY name"
    ):
        services.setdefault(metric, []).append(name)
    rows = connection.execute(_INSTRUMENT + "GROUP BY metric.id ORDER BY scope.name, metric.name, metric.id")
    return [_instrument(row, services.get(row[0], [])) for row in rows]


def instrument(connection: sqlite3.Connection, number: int) -> Instrument | None:
    """One of them; None where there is none of this number."""
    row = connection.execute(_INSTRUMENT + "WHERE metric.id = ? GROUP BY metric.id", (number,)).fetchone()
    if row is None:
        return None
    services = connection.execute(
        "SELECT DISTINCT name FROM series JOIN service ON service.id = service WHERE metric = ? ORDER BY name",
        (number,),
    )
    return _instrument(row, [name for (name,) in services])


def first_ns(connection: sqlite3.Connection, number: int) -> int | None:
    """Time of the oldest point of an instrument; None where there is none."""
    oldest = "min((SELECT min(time_ns) FROM point WHERE point.series = series.id))"
    return connection.execute(f"SELECT {oldest} FROM series WHERE metric = ?", (number,)).fetchone()[0]  # noqa: S608 - a constant


def _instrument(row: Any, services: list[str]) -> Instrument:
    number, name, kind, unit, description, temporality, monotonic, scope, version, series, last = row
    return Instrument(
        number, name, kind, unit, description, temporality, bool(monotonic), scope, version, tuple(services),
        series, last,
    )  # fmt: skip


def series_of(
    connection: sqlite3.Connection, instrument: int, *, service: str | None = None, most: int = 10_000
) -> list[Series]:
    """The series of an instrument with their newest points, those that were written last first."""
    rows = connection.execute(
        """
        SELECT series.id, service.name, series.resource, shape.keys, series.attrs, point.time_ns, point.start_ns,
            point.value, point.data, point.exemplars
        FROM series JOIN service ON service.id = series.service JOIN shape ON shape.id = series.shape
        LEFT JOIN point ON point.series = series.id
            AND point.time_ns = (SELECT max(time_ns) FROM point WHERE point.series = series.id)
        WHERE series.metric = ? AND (? IS NULL OR service.name = ?)
        ORDER BY point.time_ns DESC NULLS LAST, series.id LIMIT ?
        """,
        (instrument, service, service, most),
    )
    return [
        Series(
            number,
            instrument,
            name,
            resource,
            attributes_of(orjson.loads(keys), attrs),
            point(rest) if rest[0] else None,
        )
        for number, name, resource, keys, attrs, *rest in rows
    ]


def points(  # noqa: PLR0913 - what can be asked for
    connection: sqlite3.Connection,
    series: int,
    *,
    start_ns: int = 0,
    end_ns: int = 2**63 - 1,
    before: int | None = None,
    limit: int = 500,
) -> list[PointView]:
    """The newest points of a series, the newest first.

    Args:
        connection: To the store.
        series: Its row.
        start_ns: Not older than this.
        end_ns: Not newer than this.
        before: Older than this, to go on.
        limit: At most.
    """
    end_ns = end_ns if before is None else min(end_ns, before - 1)
    rows = connection.execute(
        "SELECT time_ns, start_ns, value, data, exemplars FROM point "
        "WHERE series = ? AND time_ns BETWEEN ? AND ? ORDER BY time_ns DESC LIMIT ?",
        (series, start_ns, end_ns, limit),
    )
    return [point(row) for row in rows]


def thinned(  # noqa: PLR0913, PLR0917 - of what, and when
    connection: sqlite3.Connection,
    instrument: Instrument,
    series: int,
    start_ns: int,
    end_ns: int,
    step_ns: int,
) -> list[PointView]:
    """The points that a chart needs, the oldest first, with the one before them.

    Of what is cumulative or a gauge the last of each step is enough, and the last before each new beginning; sums of
    deltas are added up by step. The buckets of deltas are read whole, the newest of them; what older ones count is added up
    by step, without buckets.
    """
    older = points(connection, series, end_ns=start_ns - 1, limit=1)
    if instrument.temporality != DELTA:
        # SQLite takes the other columns from the row that has the maximum.
        rows = connection.execute(
            "SELECT max(time_ns), start_ns, value, data, exemplars FROM point "
            "WHERE series = ? AND time_ns BETWEEN ? AND ? GROUP BY time_ns / ?, start_ns ORDER BY 1",
            (series, start_ns, end_ns, step_ns),
        )
        return [*older, *(point(row) for row in rows)]
    newest: list[PointView] = []
    if instrument.kind not in {"gauge", "sum"}:
        newest = points(connection, series, start_ns=start_ns, end_ns=end_ns, limit=_MOST_POINTS)
    counted_until = newest[-1].time_ns - 1 if newest else end_ns
    return [*older, *_added_up(connection, series, start_ns, counted_until, step_ns), *reversed(newest)]


def _added_up(
    connection: sqlite3.Connection, series: int, start_ns: int, end_ns: int, step_ns: int
) -> list[PointView]:
    """What deltas count, by step."""
    rows = connection.execute(
        "SELECT max(time_ns), min(start_ns), sum(value), NULL, NULL FROM point "
        "WHERE series = ? AND time_ns BETWEEN ? AND ? GROUP BY time_ns / ? ORDER BY 1",
        (series, start_ns, end_ns, step_ns),
    )
    return [point(row) for row in rows]


def exemplars(
    connection: sqlite3.Connection, series: int, start_ns: int, end_ns: int, *, most: int = 50
) -> Iterator[ExemplarView]:
    """Exemplars of a series, the newest first; a sender repeats them until there are others."""
    known: set[tuple[int, str, float]] = set()
    for (text,) in connection.execute(
        "SELECT exemplars FROM point WHERE series = ? AND time_ns BETWEEN ? AND ? AND exemplars IS NOT NULL "
        "ORDER BY time_ns DESC LIMIT 500",
        (series, start_ns, end_ns),
    ):
        for each in _exemplars(text):
            key = (each.time_ns, each.span_id, each.value)
            if key in known or not start_ns <= each.time_ns <= end_ns:
                continue
            known.add(key)
            yield each
            if len(known) >= most:
                return


def point(row: Any) -> PointView:
    """A point from its columns: `time_ns`, `start_ns`, `value`, `data`, `exemplars`."""
    time_ns, start_ns, value, data, exemplars = row
    if data is None:
        return PointView(time_ns, start_ns, value, exemplars=_exemplars(exemplars))
    told = cast("dict[str, Any]", decoded(orjson.loads(data)))
    quantiles = tuple((float(share), float(at)) for share, at in told.get("quantiles") or ())
    buckets = "counts" in told or told.get("scale") is not None
    spread = distributions.decoded(value, told) if value is not None and buckets else None
    total = told.get("sum")
    return PointView(
        time_ns, start_ns, value, spread, total if isinstance(total, int | float) else None, quantiles,
        _exemplars(exemplars),
    )  # fmt: skip


def _exemplars(text: str | None) -> tuple[ExemplarView, ...]:
    if not text:
        return ()
    return tuple(
        ExemplarView(
            cast("float", decoded(value)),
            time_ns,
            trace_id,
            span_id,
            {key: decoded(each) for key, each in attributes.items()},
        )
        for value, time_ns, trace_id, span_id, attributes in orjson.loads(text)
    )
