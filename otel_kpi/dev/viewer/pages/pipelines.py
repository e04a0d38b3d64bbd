"""`/pipelines`: runs as a timeline, and each run with its stages, what went in and out, and what was refused and why."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from otel_kpi.dev import literals
from otel_kpi.dev.store.reading import pipelines
from otel_kpi.dev.store.reading.pipeline_run import run
from otel_kpi.dev.viewer import bars, charts, drawing, formats, timeline
from otel_kpi.dev.viewer.bars import Bar
from otel_kpi.dev.viewer.periods import RANGES, Period, period
from otel_kpi.dev.viewer.rendering import page
from otel_kpi.dev.viewer.timeline import Interval, Lane

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.store.reading.pipeline_parts import Part
    from otel_kpi.dev.store.reading.pipeline_run import RunView
    from otel_kpi.dev.store.reading.pipelines import UnderWay

_DRAWN: Final = 300
"""Runs of a timeline and of the sums by pipeline: the newest of a time."""
_SPARKS: Final = 20
"""Runs of a sparkline."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A pipeline in a time.

    Attributes:
        last: The newest run.
        before: The one before it.
        runs: How many.
        failed: How many of them did not end well.
        durations: A sparkline of the newest.
    """

    name: str
    last: Part
    before: Part | None
    runs: int
    failed: int
    durations: Markup


def _show(request: Request) -> Response:
    dev: Dev = request.app.state.dev
    if dev.store is None:
        return page(request, "pipelines.html", shown=None, under_way=[])
    reader = dev.store.reader()
    now = time.time_ns()
    extent, under_way = pipelines.extent(reader), pipelines.under_way(reader, now)
    if extent is None:
        return page(request, "pipelines.html", shown=None, under_way=under_way, silent=_silent(now))
    asked = request.query_params
    shown = period(asked.get("range"), extent, now)
    name, failed = asked.get("pipeline", ""), asked.get("status") == "error"
    drawn, more_drawn = pipelines.runs(
        reader, pipeline=name, failed=failed, start_ns=shown.start_ns, limit=_DRAWN
    )
    runs, more = pipelines.runs(
        reader,
        pipeline=name,
        failed=failed,
        start_ns=shown.start_ns,
        before=literals.whole(asked.get("before", "")),
    )
    return page(
        request,
        "pipelines.html",
        shown=shown,
        ranges=[*RANGES, "all"],
        extent=extent,
        under_way=under_way,
        silent=_silent(now),
        summaries=_summaries(drawn),
        more_drawn=more_drawn,
        drawn=len(drawn),
        timeline=_timeline(drawn, under_way if not failed else [], shown, now),
        runs=runs,
        more=more,
        pipeline=name,
        failed=failed,
        before=asked.get("before"),
    )


def _silent(now_ns: int) -> int:
    return now_ns - pipelines.SILENT_AFTER_NS


def _summaries(runs: Sequence[Part]) -> list[Summary]:
    by_name: dict[str, list[Part]] = {}
    for each in sorted(runs, key=lambda run: (-run.start_ns, -run.span)):
        by_name.setdefault(each.pipeline, []).append(each)
    return [
        Summary(
            name,
            each[0],
            each[1] if len(each) > 1 else None,
            len(each),
            sum(not run.ended_well for run in each),
            charts.sparkline(
                # Zeros are not drawn: few bars are no wider than many.
                [run.duration_ns for run in reversed(each[:_SPARKS])] + [0] * (_SPARKS - len(each)),
                title=f"How long the last {min(len(each), _SPARKS)} runs of {name} took",
                colour=at % 20,
            ),
        )
        for at, (name, each) in enumerate(sorted(by_name.items()))
    ]


def _timeline(runs: Sequence[Part], under_way: Sequence[UnderWay], shown: Period, now_ns: int) -> Markup:
    names = sorted({run.pipeline for run in runs})
    lanes = [
        Lane(
            name,
            [
                Interval(
                    run.start_ns,
                    run.end_ns,
                    text=f"{name}, {run.result}, {formats.duration(run.duration_ns)}",
                    href=f"/pipelines/{run.span}",
                    colour=at if run.ended_well else drawing.ERROR,
                )
                for run in runs
                if run.pipeline == name
            ]
            + [
                Interval(each.start_ns, None, text=f"{name}, under way", colour=at)
                for each in under_way
                if each.pipeline == name
                and each.heard_ns >= _silent(now_ns)
                and each.start_ns >= shown.start_ns
            ],
        )
        for at, name in enumerate(names)
    ]
    return timeline.timeline(lanes, title="Runs of pipelines", start_ns=shown.start_ns, end_ns=shown.end_ns)


# --- one run


def _show_run(request: Request) -> Response:
    dev: Dev = request.app.state.dev
    number = request.path_params["run"]
    view = run(dev.store.reader(), number) if dev.store is not None else None
    if view is None:
        return page(request, "pipeline_run.html", status_code=404, view=None, number=number)
    before = {(stage.name, stage.type): stage for stage in view.previous_stages}
    return page(
        request,
        "pipeline_run.html",
        view=view,
        run=view.run,
        before=before,
        gone=[
            stage
            for key, stage in before.items()
            if key not in {(each.name, each.type) for each in view.stages}
        ],
        lanes=_lanes(view),
        refused=_refused(view),
        spans_link=_span_link,
    )


def _span_link(part: Part) -> str:
    return f"/traces/{part.trace_id}?span={part.span_id}"


def _lanes(view: RunView) -> Markup:
    run = view.run
    end = max([run.end_ns, *(stage.end_ns for stage in view.stages)])
    start = min([run.start_ns, *(stage.start_ns for stage in view.stages)])
    lanes = [
        Lane(
            stage.name,
            [
                Interval(
                    stage.start_ns,
                    stage.end_ns,
                    label=formats.duration(stage.duration_ns),
                    text=f"{stage.name}, {stage.result}, {formats.duration(stage.duration_ns)}",
                    href=_span_link(stage),
                    colour=at % 20 if stage.ended_well else drawing.ERROR,
                )
            ],
        )
        for at, stage in enumerate(view.stages)
    ]
    return timeline.timeline(lanes, title="Stages of the run", start_ns=start, end_ns=end, since_start=True)


def _refused(view: RunView) -> Markup:
    total = sum(each.records for each in view.refused)
    return bars.bars(
        [
            Bar(
                each.reason,
                each.records,
                formats.count(each.records),
                colour=1,
                note=formats.percent(each.records / total) if total else "",
                href=_span_link(each.spans[0]) if each.spans else "",
            )
            for each in view.refused
        ],
        title="Refused records by reason",
    )


ROUTES: Final[list[BaseRoute]] = [Route("/pipelines", _show), Route("/pipelines/{run:path}", _show_run)]
