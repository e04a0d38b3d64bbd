"""Traces: search, what was found over time, and the list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse
from starlette.routing import Route

from otel_kpi.dev.viewer import asking, charts, drawing, formats
from otel_kpi.dev.viewer.rendering import colours, here, page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.views import TraceSummary

_MANY_STATEMENTS: Final = 10
"""Statements in one trace from which on it is worth a look whether one of them repeats."""

_FAR: Final = 10
"""Times the usual range of beginnings, beyond which a trace is left out of the drawing."""


def _traces(request: Request) -> Response:
    """The list; a trace id in the search opens the trace."""
    dev: Dev = request.app.state.dev
    wanted = asking.trace_id(request.query_params.get("q", ""))
    if wanted:
        return RedirectResponse(f"/traces/{wanted}", 303)
    asked = asking.asked(request.query_params)
    found = dev.traces.search(asked.query)
    service = asked.query.service
    return page(
        request,
        "traces.html",
        found=found,
        asked=asked,
        services=dev.traces.services(),
        operations=sorted({name for name, _ in dev.traces.operations(service)}) if service else [],
        longest=max((trace.duration_ns for trace in found.traces), default=0),
        scatter=_scatter(request, found.traces),
        older=here(request, before=found.traces[-1].row) if found.more and found.traces else None,
        newest=here(request, before=None) if asked.query.before is not None else None,
        many_statements=_MANY_STATEMENTS,
    )


def _scatter(request: Request, traces: Sequence[TraceSummary]) -> str:
    """How long each took, by when it began; the colour is the service's, or that of errors."""
    if not traces:
        return ""
    known = colours(request)
    # One clock that is decades off would leave all others on one line.
    starts = sorted(trace.start_ns for trace in traces)
    middle, usual = starts[len(starts) // 2], starts[len(starts) * 9 // 10] - starts[len(starts) // 10]
    near = [start for start in starts if abs(start - middle) <= _FAR * max(usual, 1_000_000_000)]
    return charts.scatter(
        [
            charts.Dot(
                x=trace.start_ns,
                y=trace.duration_ns,
                text=f"{trace.root_name}, {formats.duration(trace.duration_ns)}"
                + (f", {formats.several(trace.errors, 'error')}" if trace.errors else ""),
                href=f"/traces/{trace.trace_id}",
                colour=drawing.ERROR if trace.errors else known[trace.root_service],
            )
            for trace in traces
        ],
        title="Duration of the traces below, by when they began",
        start_ns=near[0],
        end_ns=near[-1],
        log=True,
        height=120,
    )


ROUTES: Final[list[BaseRoute]] = [Route("/traces", _traces)]
