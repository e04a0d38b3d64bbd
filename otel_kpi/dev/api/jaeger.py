"""Jaeger's query API on whatever keeps the traces: v3 (OTLP), the older one of its pages and of Grafana, and summaries.

Addresses, parameters, answers and errors are those of Jaeger 2.13, with the later names of parameters beside them.
`trace-summaries` and `capabilities` are of later releases, whose page searches by them. What differs: a span of no
duration stays one, where Jaeger makes it a nanosecond; flags that nearly every span has are not kept; events stand in the
order in which they were sent; traces come in the order in which they arrived.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import orjson
from starlette.responses import Response
from starlette.routing import Route

from otel_kpi.dev.api import go_literals, jaeger_query
from otel_kpi.dev.api.jaeger_model import short, trace_document
from otel_kpi.dev.api.otlp import traces_document
from otel_kpi.dev.api.parameters import ParameterError
from otel_kpi.dev.store.reading.traces import orphans
from otel_kpi.dev.views import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.requests import Request

    from otel_kpi.dev.state import Dev
    from otel_kpi.dev.views import SpanKind, TraceQuery, Traces, TraceSummary, TraceView

_MOST_SPANS: Final = 100_000
"""In one answer: the traces of a search that have more are left out, the newest are in."""
_NOT_FOUND: Final = 404


def _json(document: Any) -> Response:
    return Response(orjson.dumps(document), media_type="application/json")


def _refused(document: Any, status: int) -> Response:
    """Errors are JSON that calls itself text, as Go's `http.Error` sends them."""
    return Response(
        orjson.dumps(document) + b"\n",
        status,
        {"x-content-type-options": "nosniff"},
        "text/plain",
    )


def _structured(data: Any, *, total: int = 0, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"data": data, "total": total, "limit": 0, "offset": 0, "errors": errors}


def _older(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """An endpoint of the older API: what it cannot read is answered in that API's way."""

    def endpoint(request: Request) -> Response:
        try:
            return answer(request)
        except ParameterError as error:
            return _refused(_structured(None, errors=[{"code": 400, "msg": str(error)}]), 400)

    return endpoint


def _v3(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """An endpoint of the API v3: the same in its way."""

    def endpoint(request: Request) -> Response:
        try:
            return answer(request)
        except ParameterError as error:
            return _refused({"error": {"httpCode": 400, "message": str(error)}}, 400)

    return endpoint


def _traces(request: Request) -> Traces:
    dev: Dev = request.app.state.dev
    return dev.traces


def _kind(text: str) -> SpanKind | None:
    return KINDS[KINDS.index(text)] if text in KINDS else None


def _services(request: Request) -> Response:
    names = list(_traces(request).services())
    return _json(_structured(names, total=len(names)))


def _operations_of(request: Request) -> Response:
    operations = _traces(request).operations(request.path_params["service"])
    names = sorted({name for name, _ in operations})
    return _json(_structured(names or None, total=len(names)))


def _operations(request: Request) -> Response:
    service = request.query_params.get("service", "")
    if not service:
        raise ParameterError("parameter 'service' is required")
    listed = _listed(_traces(request), service, request.query_params.get("spanKind", ""))
    return _json(_structured(listed, total=len(listed)))


def _listed(traces: Traces, service: str, kind: str) -> list[dict[str, str]]:
    if kind and _kind(kind) is None:
        return []
    return [
        {"name": name, "spanKind": "" if of == "unspecified" else of}
        for name, of in traces.operations(service, _kind(kind))
    ]


def _found(traces: Traces, query: TraceQuery) -> Iterator[TraceView]:
    """Whole traces, the newest first, as many as one answer bears."""
    spans = 0
    for summary in traces.search(query).traces:
        spans += summary.spans
        if spans > _MOST_SPANS and spans != summary.spans:
            return
        if trace := traces.trace(summary.trace_id):
            yield trace


def _search(request: Request) -> Response:
    search = jaeger_query.older_search(request.query_params, time.time_ns())
    traces = _traces(request)
    if not search.trace_ids:
        found = [trace_document(trace, raw=search.raw) for trace in _found(traces, search.query)]
        return _json(_structured(found))
    views = {trace_id: _with_spans(traces, trace_id) for trace_id in search.trace_ids}
    missing = [
        {"msg": "trace not found", "traceID": short(trace_id)}
        for trace_id, view in views.items()
        if view is None
    ]
    documents = [trace_document(view, raw=search.raw) for view in views.values() if view is not None]
    return _json(_structured(documents, errors=missing or None))


def _with_spans(traces: Traces, trace_id: str) -> TraceView | None:
    """A trace; one of which log records alone have come is none to Jaeger."""
    trace = traces.trace(trace_id)
    return trace if trace is not None and trace.spans else None


def _trace(request: Request) -> Response:
    trace_id = go_literals.trace_id(request.path_params["trace_id"])
    raw = jaeger_query.raw(request.query_params)
    trace = _with_spans(_traces(request), trace_id)
    if trace is None:
        return _refused(_structured(None, errors=[{"code": 404, "msg": "trace not found"}]), _NOT_FOUND)
    return _json(_structured([trace_document(trace, raw=raw)]))


def _dependencies(request: Request) -> Response:
    start_ns, end_ns = jaeger_query.dependencies(request.query_params, time.time_ns())
    service = request.query_params.get("service")
    links = [
        {"parent": each.parent, "child": each.child, "callCount": each.calls}
        for each in _traces(request).dependencies(start_ns, end_ns)
        if not service or service in {each.parent, each.child}
    ]
    return _json(_structured(links))


def _services_v3(request: Request) -> Response:
    return _json({"services": list(_traces(request).services())})


def _operations_v3(request: Request) -> Response:
    given = request.query_params
    kind = given.get("spanKind") or given.get("span_kind", "")
    return _json({"operations": _listed(_traces(request), given.get("service", ""), kind)})


def _answered_v3(traces: list[TraceView]) -> Response:
    if not traces:
        return _refused({"error": {"httpCode": _NOT_FOUND, "message": "No traces found"}}, _NOT_FOUND)
    return _json({"result": traces_document(traces)})


def _search_v3(request: Request) -> Response:
    search = jaeger_query.search_v3(request.query_params)
    return _answered_v3(list(_found(_traces(request), search.query)))


def _trace_v3(request: Request) -> Response:
    try:
        trace_id = go_literals.trace_id(request.path_params["trace_id"])
    except ParameterError as error:
        raise ParameterError(f"malformed parameter trace_id: {error}") from error
    trace = _with_spans(_traces(request), trace_id)
    return _answered_v3([trace] if trace else [])


def _summaries(request: Request) -> Response:
    search = jaeger_query.search_v3(request.query_params)
    dev: Dev = request.app.state.dev
    found = dev.traces.search(search.query).traces
    lost = {} if dev.store is None else orphans(dev.store.reader(), [summary.row for summary in found])
    return _json({"summaries": [_summary(summary, lost) for summary in found]})


def _summary(summary: TraceSummary, lost: dict[int, int]) -> dict[str, Any]:
    return {
        "traceId": summary.trace_id,
        "rootServiceName": "" if summary.root_missing else summary.root_service,
        "rootOperationName": "" if summary.root_missing else summary.root_name,
        "minStartTimeUnixNano": str(summary.start_ns),
        "maxEndTimeUnixNano": str(summary.start_ns + summary.duration_ns),
        "spanCount": summary.spans,
        "errorSpanCount": summary.errors,
        "orphanSpanCount": lost.get(summary.row, 0),
        "services": [
            {"name": each.service, "spanCount": each.spans, "errorSpanCount": each.errors}
            for each in summary.services
        ],
    }


def _capabilities(_: Request) -> Response:
    return _json({"search": {}})


ROUTES: Final = [
    Route("/api/v3/services", _v3(_services_v3)),
    Route("/api/v3/operations", _v3(_operations_v3)),
    Route("/api/v3/traces", _v3(_search_v3)),
    Route("/api/v3/traces/{trace_id}", _v3(_trace_v3)),
    Route("/api/v3/trace-summaries", _v3(_summaries)),
    Route("/api/v3/capabilities", _v3(_capabilities)),
    Route("/api/services", _older(_services)),
    Route("/api/services/{service:path}/operations", _older(_operations_of)),
    Route("/api/operations", _older(_operations)),
    Route("/api/traces", _older(_search)),
    Route("/api/traces/{trace_id}", _older(_trace)),
    Route("/api/dependencies", _older(_dependencies)),
]
