"""Live: what is happening now, and the newest traces as they arrive.

The page is whole as it is drawn, and a link draws it anew. A script that hears of news asks for its two parts again: the
figures, and the rows that are new.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import RedirectResponse
from starlette.routing import Route

from otel_kpi.dev import literals
from otel_kpi.dev.store.reading import pipelines
from otel_kpi.dev.store.reading.now import COLUMNS, Now, now
from otel_kpi.dev.store.reading.traces import summaries
from otel_kpi.dev.viewer import charts, drawing
from otel_kpi.dev.viewer.rendering import colours, fragment, page
from otel_kpi.dev.views import TraceQuery

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.store import Store

MINUTES: Final = 5
_ROWS: Final = 50


def _live(request: Request) -> Response:
    """The page; where a Jaeger is looked at, its traces."""
    dev: Dev = request.app.state.dev
    if dev.store is None:
        return RedirectResponse("/traces", 303)
    found = dev.traces.search(TraceQuery(limit=_ROWS))
    return page(request, "live.html", traces=found.traces, **_now(request, dev.store))


def _figures(request: Request) -> Response:
    """The figures alone."""
    dev: Dev = request.app.state.dev
    if dev.store is None:
        return fragment(request, "live_rows.html", traces=[])
    return fragment(request, "live_now.html", **_now(request, dev.store))


def _rows(request: Request) -> Response:
    """The rows of some traces, `rows=4,5`; the newest where none are named."""
    dev: Dev = request.app.state.dev
    asked = request.query_params.get("rows", "")
    numbers = [number for each in asked.split(",")[:_ROWS] if (number := literals.whole(each)) is not None]
    if numbers and dev.store is not None:
        traces = summaries(dev.store.reader(), sorted(set(numbers), reverse=True))
    else:
        traces = dev.traces.search(TraceQuery(limit=_ROWS)).traces
    return fragment(request, "live_rows.html", traces=traces)


def _now(request: Request, store: Store) -> dict[str, Any]:
    reader = store.reader()
    end = time.time_ns()
    told = now(reader, end_ns=end, minutes=MINUTES)
    known = colours(request)
    sparks = {
        each.name: charts.sparkline(
            each.rates, title=f"Requests of {each.name} over {MINUTES} minutes", colour=known[each.name]
        )
        for each in told.services
    }
    return {
        "now": told,
        "minutes": MINUTES,
        "requests": _requests(told, end),
        "sparks": sparks,
        "under_way": pipelines.under_way(reader, end, limit=5),
        "drawn_ns": end,
    }


def _requests(told: Now, end: int) -> str:
    """Requests by time, those that failed on top."""
    start = end - MINUTES * 60_000_000_000
    step = (end - start) // COLUMNS
    good = [
        (start + at * step, None if count is None else count - (told.errors[at] or 0))
        for at, count in enumerate(told.requests)
    ]
    failed = [(start + at * step, count) for at, count in enumerate(told.errors)]
    series = [charts.Series("answered", good, 0), charts.Series("failed", failed, drawing.ERROR)]
    return charts.stacked(
        series, title=f"Requests of the last {MINUTES} minutes, by {step / 1e9:g} s", start_ns=start, end_ns=end,
        step_ns=step, height=110,
    )  # fmt: skip


ROUTES: Final[list[BaseRoute]] = [
    Route("/", _live),
    Route("/live/now", _figures),
    Route("/live/rows", _rows),
]
