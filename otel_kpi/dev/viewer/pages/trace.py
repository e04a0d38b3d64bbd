"""A trace: its waterfall, statistics and logs, and one span in full."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from otel_kpi.dev.statements import is_statement
from otel_kpi.dev.store.reading.traces import MOST_LINKING, linking
from otel_kpi.dev.viewer import critical, details, minimap, rows, waterfall
from otel_kpi.dev.viewer.alike import alike
from otel_kpi.dev.viewer.rendering import colours, fragment, page

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.viewer.waterfall import Waterfall
    from otel_kpi.dev.views import LogView, SpanView, TraceView

_VIEWS: Final = ("waterfall", "statistics", "logs")
_LONGEST_VALUE: Final = 4_000
"""Characters of an attribute that are shown; all of it has an address of its own."""
_MOST_LOGS: Final = 1_000


@dataclass
class Shown:
    """A trace as an address wants it."""

    trace: TraceView
    waterfall: Waterfall

    @cached_property
    def cost(self) -> dict[str, Decimal]:
        """What its calls of language models cost, by currency."""
        total: dict[str, Decimal] = {}
        for span in self.trace.spans:
            call = details.llm_call(span)
            if call is not None and call.cost is not None:
                total[call.currency] = total.get(call.currency, call.cost * 0) + call.cost
        return total

    @cached_property
    def llm_calls(self) -> int:
        """Calls of language models."""
        return sum(details.is_llm(span.attributes) for span in self.trace.spans)

    @cached_property
    def statements(self) -> int:
        """Statements of databases."""
        return sum(is_statement(span.name, span.attributes) for span in self.trace.spans)

    @cached_property
    def repeated(self) -> list[waterfall.Row]:
        """Statements that repeat."""
        return [row for row in self.waterfall.rows if row.kind == "repeats" and row.statement]


def _trace(request: Request) -> Response:
    """A trace: its address has the view, the span that is open, and what is folded."""
    found = _find(request)
    if found is None:
        identity = request.path_params["trace_id"]
        text = f"No trace {identity[:64]} is kept here: it was forgotten, never sent, or sent elsewhere."
        return page(request, "missing.html", 404, title="No such trace", text=text)
    wanted = request.query_params.get
    laid = waterfall.lay_out(found, fold=wanted("repeats") != "all")
    view = wanted("view") if wanted("view") in _VIEWS else "waterfall"
    chosen = wanted("span", "")
    span = next((each for each in found.spans if each.span_id == chosen), None)
    return page(
        request,
        "trace.html",
        found=found,
        shown=Shown(found, laid),
        laid=laid,
        root=next((row for row in laid.rows if row.kind == "span"), None),
        view=view,
        logs=found.logs[:_MOST_LOGS],
        shares=critical.shares(laid) if view == "statistics" else (),
        names={each.span_id: each.name for each in found.spans} if view == "logs" else {},
        **(_drawn(request, found, laid, chosen) if view == "waterfall" else {}),
        **_pane(request, found, span),
    )


def _find(request: Request) -> TraceView | None:
    dev: Dev = request.app.state.dev
    return dev.traces.trace(request.path_params["trace_id"])


def _folded(request: Request, laid: Waterfall, chosen: str) -> set[str]:
    """What is folded: what repeats unless it was opened, and what the address says; never what the chosen span is below."""
    wanted = request.query_params.get
    opened = set(wanted("opened", "").split(","))
    folded = {row.id for row in laid.rows if row.kind == "repeats" and row.id not in opened}
    folded |= set(wanted("collapsed", "").split(","))
    if chosen:
        at = next((number for number, row in enumerate(laid.rows) if row.id == chosen), -1)
        at = laid.rows[at].parent if at >= 0 else -1
        while at >= 0:
            folded.discard(laid.rows[at].id)
            at = laid.rows[at].parent
    return folded


def _drawn(request: Request, found: TraceView, laid: Waterfall, chosen: str) -> dict[str, Any]:
    """The waterfall, all of it or, of a large trace, its beginning with the rest as columns."""
    critical.mark_critical_path(laid)
    left_out = critical.gaps(laid)
    squeezed = left_out if request.query_params.get("gaps") == "narrow" else []
    axis = rows.Axis(laid.duration, squeezed)
    folded = _folded(request, laid, chosen)
    happened = rows.dots(laid, found.logs)
    known = colours(request)
    large = laid.spans > rows.MOST_DRAWN
    return {
        "large": large,
        "gaps": left_out,
        "idle": sum(end - start for start, end in left_out) / laid.duration,
        "squeezed": [(axis.at(start), axis.at(end), end - start) for start, end in squeezed],
        "ticks": axis.ticks(),
        "minimap": minimap.minimap(laid, axis, known),
        "rows": rows.draw(
            laid, axis=axis, colours=known, folded=folded, chosen=chosen, happened=happened,
            most=rows.FIRST if large else None,
        ),
        "columns": rows.columns(laid, axis=axis, colours=known, folded=folded, happened=happened) if large else None,
    }  # fmt: skip


def _pane(request: Request, found: TraceView, span: SpanView | None) -> dict[str, Any]:
    """What the pane of a span shows."""
    if span is None:
        return {"span": None}
    dev: Dev = request.app.state.dev
    logs: Sequence[LogView] = [log for log in found.logs if log.span_id == span.span_id]
    begin = min(each.start_ns for each in found.spans)
    calls = [each.span_id for each in found.spans if details.is_llm(each.attributes)]
    place = calls.index(span.span_id) if span.span_id in calls else -1
    return {
        "span": span,
        "begin_ns": begin,
        "span_logs": logs,
        "llm": details.llm_call(span, logs),
        "capture": details.CAPTURE,
        "before_call": calls[place - 1] if place > 0 else None,
        "next_call": calls[place + 1] if 0 <= place < len(calls) - 1 else None,
        "part": details.pipeline_part(span),
        "statement": details.statement(span),
        "alike": alike(dev.store, found, span),
        "linking": linking(dev.store.reader(), span) if dev.store is not None else [],
        "most_linking": MOST_LINKING,
        "children": sum(each.parent_id == span.span_id for each in found.spans),
        "most": _LONGEST_VALUE,
        "trace_path": f"/traces/{found.trace_id}",
    }


def _span(request: Request) -> Response:
    """The pane of a span alone, for the script of the page."""
    found = _find(request)
    wanted = request.path_params["span_id"]
    span = next((each for each in found.spans if each.span_id == wanted), None) if found else None
    if found is None or span is None:
        raise HTTPException(404, "no such span")
    return fragment(request, "span.html", **_pane(request, found, span))


def _attribute(request: Request) -> Response:
    """The whole of an attribute that is too long for its page, as plain text."""
    found = _find(request)
    wanted, key = request.path_params["span_id"], request.query_params.get("key", "")
    span = next((each for each in found.spans if each.span_id == wanted), None) if found else None
    if span is None or key not in span.attributes:
        raise HTTPException(404, "no such attribute")
    value = span.attributes[key]
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False, indent=2)
    return PlainTextResponse(text, headers={"x-content-type-options": "nosniff"})


ROUTES: Final[list[BaseRoute]] = [
    Route("/traces/{trace_id}", _trace),
    Route("/traces/{trace_id}/spans/{span_id}", _span),
    Route("/traces/{trace_id}/spans/{span_id}/attribute", _attribute),
]
