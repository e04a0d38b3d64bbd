"""`/llm`: what calls of language models cost, how long they take, and of which nobody knows the price."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from starlette.routing import Route

from otel_kpi.dev.store.reading import llm
from otel_kpi.dev.store.reading.llm import DIMENSIONS, NO_AMOUNT, NONE, Chosen, Counts, Dimension, Spending
from otel_kpi.dev.viewer import charts, drawing, formats
from otel_kpi.dev.viewer.charts import Series
from otel_kpi.dev.viewer.formats import elapsed
from otel_kpi.dev.viewer.periods import RANGES, Period, period
from otel_kpi.dev.viewer.rendering import page
from otel_kpi.dev.viewer.scales import moment, quantity
from otel_kpi.packs.llm.prices.remedies import REMEDIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev

_DRAWN: Final = 6
"""Models that have a colour of their own; the others are one more part."""
_LISTED: Final = 50
_ZERO: Final = Decimal(0)
WHAT_TO_DO: Final = {
    **REMEDIES,
    NO_AMOUNT: "whoever made the call prices none: start it with otel-kpi run, or price it by llm.call(...)",
}


def _show(request: Request) -> Response:
    dev: Dev = request.app.state.dev
    if dev.store is None:
        return page(request, "llm.html", spending=None)
    reader = dev.store.reader()
    extent = llm.extent(reader)
    if extent is None:
        return page(request, "llm.html", spending=None)
    asked = request.query_params
    shown = period(asked.get("range"), extent, time.time_ns())
    only: dict[Dimension, str] = {each: asked[each] for each in DIMENSIONS if asked.get(each)}
    failed = asked.get("status") == "error"
    by = _dimension(asked.get("by"))
    chosen = Chosen(shown.start_ns, shown.end_ns, only, failed)
    spending = llm.spending(reader, chosen, shown.step_ns, by=[by])
    return page(
        request,
        "llm.html",
        spending=spending,
        shown=shown,
        ranges=[*RANGES, "all"],
        newest_ns=extent[1],
        by=by,
        dimensions=DIMENSIONS,
        rows=spending.by[by][:_LISTED],
        left_out=len(spending.by[by]) - _LISTED,
        most={code: max((each.counts.cost.get(code, _ZERO) for each in spending.by[by]), default=_ZERO) for code in spending.total.cost},
        only=only,
        failed=failed,
        precise=precise,
        what_to_do=WHAT_TO_DO,
        file=dev.store.path,
        none=NONE,
        charts=_charts(spending, shown),
    )  # fmt: skip


def precise(amount: Decimal, currency: str) -> str:
    """The price of a call: of less than one the first three digits that are there, not the cents."""
    if not amount or abs(amount) >= 1:
        return formats.money(amount, currency)
    # The symbol and its place are those of an amount; its digits are put in their place.
    digits = f"{amount.quantize(Decimal(1).scaleb(amount.adjusted() - 2)):f}"
    return formats.money(Decimal(0), currency).replace("0.00", digits)


def _dimension(asked: str | None) -> Dimension:
    known: dict[str | None, Dimension] = {each: each for each in DIMENSIONS}
    return known.get(asked, DIMENSIONS[0])


def _charts(spending: Spending, shown: Period) -> list[tuple[str, str, Markup, Markup]]:
    """Heading, remark, picture and its numbers."""
    found = [_spent(spending, shown, currency) for currency in sorted(spending.total.cost)]
    if not found:
        found = [("Spend", "", drawing.empty("Spend", "No call of this time has an amount."), Markup())]
    return [*found, _latency(spending, shown), _tokens(spending, shown), _outcome(spending, shown)]


def _spent(spending: Spending, shown: Period, currency: str) -> tuple[str, str, Markup, Markup]:
    """Money by model; amounts of another currency have a picture of their own."""
    models = [each.name for each in spending.by["model"] if each.counts.cost.get(currency)]
    drawn, others = models[:_DRAWN], models[_DRAWN:]
    parts = [
        (_named(model), [spending.by_time[model].get(step, {}).get(currency) for step in shown.steps])
        for model in drawn
    ]
    if others:
        parts.append(
            (
                f"{len(others)} other models",
                [
                    _sum([spending.by_time[model].get(step, {}).get(currency) for model in others])
                    for step in shown.steps
                ],
            )
        )
    title = f"Spend, {currency}"
    series = [
        Series(
            name, list(zip(shown.steps, values, strict=True)), number if number < _DRAWN else drawing.QUIET
        )
        for number, (name, values) in enumerate(parts)
    ]
    said = f"{formats.money(spending.total.cost[currency], currency)}"

    def money(value: Decimal) -> str:
        return formats.money(value, currency)

    picture = _stacked(series, f"{title}: {said} in all", shown, lambda value: _axis(value, currency))
    return title, said, picture, _table(title, shown, parts, money)


def _axis(value: float, currency: str) -> str:
    """An amount on an axis, where a float is exact enough."""
    return formats.money(Decimal(f"{value:.6g}"), currency) if value else "0"


def _sum(amounts: Sequence[Decimal | None]) -> Decimal | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known, _ZERO) if known else None


def _latency(spending: Spending, shown: Period) -> tuple[str, str, Markup, Markup]:
    total = spending.total
    parts = [
        ("p95", [_of(spending, step, lambda counts: counts.duration(0.95)) for step in shown.steps]),
        ("p50", [_of(spending, step, lambda counts: counts.duration(0.5)) for step in shown.steps]),
    ]
    if total.first_chunks:
        parts.append(
            (
                "first token, p50",
                [_of(spending, step, lambda counts: counts.first_chunk(0.5)) for step in shown.steps],
            )
        )
    series = [
        Series(name, list(zip(shown.steps, values, strict=True)), number, dashed=number == 2)  # noqa: PLR2004 - the first token
        for number, (name, values) in enumerate(parts)
    ]
    # A value stands for its step: it is drawn in the middle.
    half = shown.step_ns // 2
    moved = [
        Series(each.label, [(at + half, value) for at, value in each.points], each.colour, each.dashed)
        for each in series
    ]
    picture = charts.lines(
        moved, title="Time of a call", start_ns=shown.start_ns, end_ns=shown.end_ns, text=elapsed
    )
    said = f"p50 {formats.duration(total.duration(0.5))} · p95 {formats.duration(total.duration(0.95))}"
    return "Time of a call", said, picture, _table("Time of a call", shown, parts, formats.duration)


def _tokens(spending: Spending, shown: Period) -> tuple[str, str, Markup, Markup]:
    parts = [
        ("output", [_told(spending, step, lambda counts: counts.output_tokens) for step in shown.steps]),
        (
            "input",
            [
                _told(spending, step, lambda counts: max(0, counts.input_tokens - counts.cached_tokens))
                for step in shown.steps
            ],
        ),
    ]
    if spending.total.cached_tokens:
        cached = [_told(spending, step, lambda counts: counts.cached_tokens) for step in shown.steps]
        parts.append(("input, cached", cached))
    series = [
        Series(name, list(zip(shown.steps, values, strict=True)), colour)
        for (name, values), colour in zip(parts, (0, 2, drawing.QUIET), strict=False)
    ]
    title = "Tokens"
    said = formats.tokens(spending.total.tokens if spending.total.told else None)
    return title, said, _stacked(series, title, shown, quantity), _table(title, shown, parts, formats.tokens)


def _outcome(spending: Spending, shown: Period) -> tuple[str, str, Markup, Markup]:
    parts = [
        (
            "answered",
            [_of(spending, step, lambda counts: counts.calls - counts.errors) for step in shown.steps],
        ),
        ("failed", [_of(spending, step, lambda counts: counts.errors) for step in shown.steps]),
    ]
    series = [
        Series(name, list(zip(shown.steps, values, strict=True)), colour)
        for (name, values), colour in zip(parts, (drawing.QUIET, drawing.ERROR), strict=True)
    ]
    title = "Calls"
    said = f"{spending.total.calls:,}, {spending.total.errors:,} failed"
    return title, said, _stacked(series, title, shown, quantity), _table(title, shown, parts, formats.count)


def _of(spending: Spending, step: int, what: Callable[[Counts], int | None]) -> int | None:
    """A value of a step; None of one without calls: no data is not zero."""
    counts = spending.over_time.get(step)
    return None if counts is None else what(counts)


def _told(spending: Spending, step: int, what: Callable[[Counts], int]) -> int | None:
    """The same of tokens; None where no call of the step told its own."""
    return _of(spending, step, lambda counts: what(counts) if counts.told else None)


def _stacked(series: Sequence[Series], title: str, shown: Period, text: Callable[[float], str]) -> Markup:
    return charts.stacked(
        series, title=title, start_ns=shown.start_ns, end_ns=shown.end_ns, step_ns=shown.step_ns, text=text
    )


def _table(
    title: str, shown: Period, parts: Sequence[tuple[str, Sequence[object]]], text: Callable[..., str]
) -> Markup:
    rows = [
        [moment(step), *("–" if values[at] is None else text(values[at]) for _, values in parts)]
        for at, step in enumerate(shown.steps)
        if any(values[at] is not None for _, values in parts)
    ]
    return drawing.table(title, ["from", *(name for name, _ in parts)], rows)


def _named(name: str) -> str:
    return "no name" if name == NONE else name


ROUTES: Final[list[BaseRoute]] = [Route("/llm", _show)]
