"""`/errors`: exceptions in groups of those that are alike, and each group with its stack and the traces behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from otel_kpi.dev import literals
from otel_kpi.dev.store.reading import problems
from otel_kpi.dev.store.reading.problems import Question
from otel_kpi.dev.viewer import asking, charts, drawing
from otel_kpi.dev.viewer.rendering import page
from otel_kpi.dev.viewer.stacks import stack_lines

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.store.reading.problems import Problem

_STEPS: Final = 24


def _show(request: Request) -> Response:
    dev: Dev = request.app.state.dev
    if dev.store is None:
        return page(request, "errors.html", found=None, any=False)
    reader = dev.store.reader()
    extent = problems.extent(reader)
    if extent is None:
        return page(request, "errors.html", found=None, any=False)
    asked = request.query_params
    text = asked.get("q", "").strip()
    trace_id = asking.trace_id(text)
    found, more = problems.problems(
        reader,
        Question(
            service=asked.get("service", ""),
            text="" if trace_id else text,
            trace_id=trace_id or "",
            before=literals.place(asked.get("before", "")),
        ),
    )
    return page(
        request,
        "errors.html",
        found=found,
        any=True,
        more=more,
        q=text,
        is_id=trace_id is not None,
        service=asked.get("service", ""),
        services=problems.services(reader),
        sparks=_sparks(reader, found, extent),
        before=asked.get("before"),
    )


def _sparks(
    reader: sqlite3.Connection, found: Sequence[Problem], extent: tuple[int, int]
) -> dict[int, Markup]:
    """Over the same time for all, so that they can be compared."""
    times = problems.over_time(reader, found, *extent, _STEPS)
    return {each.id: _spark(each, times[each.id]) for each in found}


def _spark(shown: Problem, values: Sequence[int | None], **how: int) -> Markup:
    known = sum(value for value in values if value is not None)
    rest = (
        f", {known} of them in what is drawn: of older ones it is not known when"
        if known < shown.times
        else ""
    )
    return charts.sparkline(values, title=f"{shown.times} times{rest}", colour=drawing.ERROR, **how)


def _show_problem(request: Request) -> Response:
    dev: Dev = request.app.state.dev
    reader = dev.store.reader() if dev.store is not None else None
    number = literals.whole(request.path_params["number"])
    shown = problems.problem(reader, number) if reader is not None and number is not None else None
    if reader is None or number is None or shown is None:
        return page(request, "error.html", status_code=404, problem=None)
    asked = request.query_params.get("occurrence", "")
    of = literals.whole(asked)
    occurrence = problems.occurrence(reader, number, of) or problems.occurrence(reader, number)
    if occurrence is None:
        return page(request, "error.html", problem=shown, occurrence=None)
    earlier, later = problems.beside(reader, occurrence)
    place, kept = problems.place_of(reader, occurrence)
    extent = (shown.first_ns, max(shown.last_ns, shown.first_ns + 1))
    values = problems.over_time(reader, [shown], *extent, 2 * _STEPS)[number]
    return page(
        request,
        "error.html",
        problem=shown,
        occurrence=occurrence,
        earlier=earlier,
        later=later,
        place=place,
        kept=kept,
        lines=stack_lines(occurrence.stack, shown.frame),
        spark=_spark(shown, values, height=40),
        behind=problems.occurrences(reader, number),
        logs=problems.logs(reader, occurrence.trace_id),
        most_logs=problems.MOST_LOGS,
    )


ROUTES: Final[list[BaseRoute]] = [Route("/errors", _show), Route("/errors/{number}", _show_problem)]
