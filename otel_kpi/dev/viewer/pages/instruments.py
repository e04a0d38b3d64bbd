"""Metrics: every instrument by its meter, and what one of them did, by attribute."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.routing import Route

from otel_kpi.dev import literals
from otel_kpi.dev.store.reading import metrics
from otel_kpi.dev.store.reading.history import History, Line, Window, history
from otel_kpi.dev.viewer import bars, charts, drawing, formats
from otel_kpi.dev.viewer.rendering import colours, here, page
from otel_kpi.dev.viewer.scales import moment, quantity

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.store.reading.metrics import ExemplarView, Instrument, PointView, Series
    from otel_kpi.dev.telemetry import Value

WINDOWS: Final = (("5m", 300), ("15m", 900), ("1h", 3_600), ("6h", 21_600), ("24h", 86_400), ("7d", 604_800))
_USUAL: Final = "1h"
_NS: Final = 1_000_000_000
_COLUMNS: Final = 90
_MOST_LINES: Final = 12
_MOST_DOTS: Final = 150
_CELLS: Final = 40
_DURATIONS: Final = {"s": 1e9, "ms": 1e6, "us": 1e3, "ns": 1.0, "min": 6e10, "h": 3.6e12}


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter and its instruments."""

    name: str
    version: str
    instruments: list[Instrument]


def _instruments(request: Request) -> Response:
    """The tree; a service and words narrow it."""
    dev: Dev = request.app.state.dev
    if dev.store is None:
        return RedirectResponse("/traces", 303)
    found = metrics.instruments(dev.store.reader())
    wanted = request.query_params.get("q", "").lower().split()
    service = request.query_params.get("service", "")
    meters: dict[tuple[str, str], Meter] = {}
    for each in found:
        said = f"{each.name} {each.description} {each.unit} {each.scope}".lower()
        if (service and service not in each.services) or not all(word in said for word in wanted):
            continue
        key = (each.scope, each.scope_version)
        meters.setdefault(key, Meter(*key, [])).instruments.append(each)
    return page(
        request, "instruments.html", meters=list(meters.values()), known=len(found), service=service,
        services=sorted({name for each in found for name in each.services}), words=request.query_params.get("q", ""),
    )  # fmt: skip


def _instrument(request: Request) -> Response:
    """One of them."""
    dev: Dev = request.app.state.dev
    text = request.path_params["id"]
    number = literals.whole(text)
    reader = dev.store.reader() if dev.store is not None else None
    instrument = metrics.instrument(reader, number) if reader is not None and number is not None else None
    if reader is None or instrument is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, f"There is no instrument {text[:40]}")
    query = request.query_params
    service = query.get("service") or None
    every = metrics.series_of(reader, instrument.id, service=service)
    keys = sorted({key for one in every for key in one.attributes})
    only = _only(query.getlist("where"))
    chosen = [
        one for one in every if all(formats.value(one.attributes.get(key)) == value for key, value in only)
    ]
    by = query.get("by") if query.get("by") in {*keys, "service", ""} else _telling(instrument, chosen, keys)
    named = _named(query.get("window", ""), metrics.first_ns(reader, instrument.id))
    window = _window(named, instrument.last_ns)
    drawn = chosen[: metrics.MOST_SERIES]
    groups = _groups(drawn, by)
    shown = dict(list(groups.items())[:_MOST_LINES])
    points = {
        label: [
            metrics.thinned(reader, instrument, one.id, window.start_ns, window.end_ns, window.step_ns)
            for one in members
        ]
        for label, members in shown.items()
    }
    told = history(instrument, points, window)
    dots = _exemplars(reader, instrument, [one for members in shown.values() for one in members], window)

    def without(pair: tuple[str, str]) -> str:
        return _where(request, [each for each in only if each != pair])

    def narrowed(key: str, value: Value) -> str:
        return _where(request, [*(each for each in only if each[0] != key), (key, formats.value(value))])

    return page(
        request, "instrument.html",
        instrument=instrument, told=told, by=by, keys=keys, service=service, only=only,
        windows=[(name, here(request, window=name), name == named) for name, _ in WINDOWS],
        chart=_chart(request, instrument, told, dots, by), counts=_counts(request, told, by),
        spread=_spread(instrument, told), numbers=_numbers(instrument, told),
        exemplars=sorted(dots, key=lambda each: -each.time_ns)[:20], series=chosen[:100], found=len(chosen),
        hidden=len(groups) - len(shown), unread=len(chosen) - len(drawn), text=_text(instrument), current=_current,
        ended=time.time_ns() - window.end_ns > 60 * _NS, without=without, narrowed=narrowed,
    )  # fmt: skip


def _only(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Attributes that a series must have, each `key=value`."""
    pairs = [text.partition("=") for text in texts]
    return [(key, value) for key, equals, value in pairs if equals]


def _where(request: Request, pairs: Sequence[tuple[str, str]]) -> str:
    return here(request, where=[f"{key}={value}" for key, value in pairs])


def _named(text: str, first_ns: int | None) -> str:
    """The window that was asked for; else the last hour, or less where less has everything."""
    if text in dict(WINDOWS):
        return text
    age = (time.time_ns() - first_ns) / _NS if first_ns is not None else math.inf
    return next((name for name, seconds in WINDOWS if age <= seconds or name == _USUAL), _USUAL)


def _window(named: str, last_ns: int | None) -> Window:
    """The window that ends now; where nothing came for longer than it, the one that ends with the last point."""
    seconds = dict(WINDOWS)[named]
    now = time.time_ns()
    end = now if last_ns is None or last_ns > now - seconds * _NS else last_ns + _NS
    return Window(end - seconds * _NS, end, _COLUMNS)


def _telling(instrument: Instrument, series: Sequence[Series], keys: Sequence[str]) -> str:
    """The attribute that tells the series apart best: the one with the most values that can still be read."""
    if instrument.kind not in {"sum", "gauge"}:
        return ""
    best, most = "", 1
    for key in keys:
        values = {formats.value(one.attributes.get(key)) for one in series}
        if most < len(values) <= _MOST_LINES:
            best, most = key, len(values)
    if not best and len({one.service for one in series}) > 1:
        return "service"
    return best


def _groups(series: Sequence[Series], by: str | None) -> dict[str, list[Series]]:
    groups: dict[str, list[Series]] = {}
    for one in series:
        label = "all" if not by else one.service if by == "service" else ""
        if not label and by is not None:
            label = formats.value(one.attributes[by]) if by in one.attributes else "(none)"
        groups.setdefault(label[:80] or '""', []).append(one)
    return dict(sorted(groups.items(), key=lambda each: -len(each[1])))


def _exemplars(
    reader: sqlite3.Connection, instrument: Instrument, series: Sequence[Series], window: Window
) -> list[ExemplarView]:
    found: list[ExemplarView] = []
    if instrument.kind == "summary":
        return found
    for one in series:
        found += metrics.exemplars(reader, one.id, window.start_ns, window.end_ns, most=_MOST_DOTS)
        if len(found) >= _MOST_DOTS:
            break
    return found[:_MOST_DOTS]


# --- how it is written


def _text(instrument: Instrument) -> Callable[[float | None], str]:
    """How a value of an instrument is written."""
    factor = _DURATIONS.get(instrument.unit)
    if factor is not None:
        return lambda value: "–" if value is None else formats.duration(value * factor)
    if instrument.unit == "By":
        return lambda value: "–" if value is None else formats.bytes_(value)
    if instrument.unit == "%":
        return lambda value: "–" if value is None else f"{quantity(value)} %"
    return lambda value: "–" if value is None else quantity(value)


def _current(point: PointView | None, text: Callable[[float | None], str], kind: str) -> str:
    """The newest point of a series in a word."""
    if point is None:
        return "forgotten"
    if point.value is None:
        return "ended"
    if kind in {"gauge", "sum"}:
        return text(point.value)
    mean = point.sum / point.value if point.sum is not None and point.value else None
    return f"{formats.count(point.value)} values" + (f", mean {text(mean)}" if mean is not None else "")


def _colours(request: Request, lines: Sequence[Line], by: str | None) -> list[drawing.Colour]:
    if by == "service":
        known = colours(request)
        return [known[line.label] for line in lines]
    return [at % 20 for at in range(len(lines))]


def _drawn(line: Line, window: Window, colour: drawing.Colour, label: str | None = None) -> charts.Series:
    points = [
        (float(window.middle(at)), value if value is not None and math.isfinite(value) else None)
        for at, value in enumerate(line.values)
    ]
    return charts.Series(line.label if label is None else label, points, colour)


def _chart(
    request: Request, instrument: Instrument, told: History, dots: Sequence[ExemplarView], by: str | None
) -> str:
    """Lines; exemplars of distributions are dots among them."""
    window, text = told.window, _text(instrument)
    title = {
        "rate": f"{instrument.name} a second", "change": f"Change of {instrument.name}",
        "distribution": f"Percentiles of {instrument.name}",
    }.get(told.shape, instrument.name)  # fmt: skip
    per_second: Callable[[float], str] = (lambda value: f"{text(value)}/s") if told.shape == "rate" else text
    series = [
        _drawn(line, window, colour, "" if line.label == "all" and len(told.lines) == 1 else None)
        for line, colour in zip(told.lines, _colours(request, told.lines, by), strict=True)
    ]
    drawn = charts.lines(
        series, title=title, start_ns=window.start_ns, end_ns=window.end_ns, text=per_second, height=210
    )
    if told.shape != "distribution" or not dots:
        return drawn
    return drawn + charts.scatter(
        [
            charts.Dot(each.time_ns, each.value, f"{text(each.value)} at {moment(each.time_ns)}", f"/traces/{each.trace_id}?span={each.span_id}" if each.trace_id else "", 0)
            for each in dots
        ],
        title=f"Exemplars of {instrument.name}: each opens its trace", start_ns=window.start_ns, end_ns=window.end_ns,
        text=text, height=110,
    )  # fmt: skip


def _counts(request: Request, told: History, by: str | None) -> str:
    """How many values a second, of distributions."""
    if not told.counts:
        return ""
    window = told.window
    series = [
        _drawn(line, window, colour, "" if line.label == "all" and len(told.counts) == 1 else None)
        for line, colour in zip(told.counts, _colours(request, told.counts, by), strict=True)
    ]
    return charts.lines(
        series, title="Values a second", start_ns=window.start_ns, end_ns=window.end_ns, height=110,
        text=lambda value: f"{quantity(value)}/s",
    )  # fmt: skip


def _spread(instrument: Instrument, told: History) -> str:
    """Where the values of the whole window are."""
    if told.distribution is None:
        return ""
    cells = _joined(told.distribution.cells())
    edges = [cells[0][0], *(cell[1] for cell in cells)] if cells else []
    text = _text(instrument)
    if not edges:
        return ""
    return bars.histogram(
        edges, [round(cell[2]) for cell in cells], title=f"Where the values of {instrument.name} are",
        text=text,
    )  # fmt: skip


def _joined(cells: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Cells without gaps between them, at most so many: what is between two is an empty one."""
    found: list[tuple[float, float, float]] = []
    for below, upper, count in cells:
        # The lowest bucket of what is never negative begins at 0, as Prometheus takes it, too.
        lower = 0.0 if math.isinf(below) and upper > 0 else below
        if upper <= lower:
            continue  # the cell of zero has no width; the table has it
        if found and found[-1][1] < lower:
            found.append((found[-1][1], lower, 0))
        found.append((lower, upper, count))
    while len(found) > _CELLS:
        pairs = [found[at : at + 2] for at in range(0, len(found), 2)]
        found = [(pair[0][0], pair[-1][1], sum(cell[2] for cell in pair)) for pair in pairs]
    return found


def _numbers(instrument: Instrument, told: History) -> str:
    """The same as a table: for each line its newest, least and greatest value, and what came in all."""
    text = _text(instrument)
    rows: list[tuple[str, ...]] = []
    lines: Mapping[str, Sequence[Line]] = {"": told.lines, "count": told.counts}
    for kind, group in lines.items():
        for line in group:
            known = [value for value in line.values if value is not None and math.isfinite(value)]
            written: Callable[[float | None], str] = formats.count if kind else text
            shown: list[Any] = [
                known[-1] if known else None,
                min(known, default=None),
                max(known, default=None),
            ]
            total = "–" if line.total is None else written(line.total)
            rows.append(
                (f"{line.label} {kind}".strip(), *(_rounded(value, written) for value in shown), total)
            )
    return drawing.table(f"Lines of {instrument.name}", ("Line", "Last", "Least", "Most", "In all"), rows)


def _rounded(value: float | None, written: Callable[[float | None], str]) -> str:
    return written(None if value is None else float(f"{value:.4g}"))


ROUTES: Final[list[BaseRoute]] = [
    Route("/instruments", _instruments),
    Route("/instruments/{id}", _instrument),
]
