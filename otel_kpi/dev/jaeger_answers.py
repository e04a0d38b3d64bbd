"""What Jaeger answers, as what is shown: OTLP's JSON of its API v3, and the tags and logs of the older one."""

from __future__ import annotations

from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.statements import is_statement
from otel_kpi.dev.views import (
    KINDS,
    STATUSES,
    EventView,
    LinkView,
    ServiceCount,
    SpanView,
    TraceSummary,
    TraceView,
)
from otel_kpi.dev.wire.json_values import any_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import SpanKind, Status

_MODEL: Final = frozenset((
    "span.kind", "otel.status_code", "error", "otel.status_description", "w3c.tracestate", "otel.scope.name",
    "otel.scope.version",
))  # fmt: skip
"""Tags that are no attributes: what the older model has no field for."""


def trace_views(document: Mapping[str, Any]) -> list[TraceView]:
    """Traces of `TracesData`, in the order in which they come."""
    spans: dict[str, list[SpanView]] = {}
    for group in document.get("resourceSpans", ()):
        resource = _attributes(group.get("resource", {}).get("attributes", ()))
        for scoped in group.get("scopeSpans", ()):
            scope = scoped.get("scope", {})
            for span in scoped.get("spans", ()):
                view = _span(span, resource, scope.get("name", ""), scope.get("version", ""))
                spans.setdefault(view.trace_id, []).append(view)
    return [_trace(trace_id, views) for trace_id, views in spans.items()]


def _trace(trace_id: str, spans: list[SpanView]) -> TraceView:
    return TraceView(trace_id, sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns)))


def _span(span: Mapping[str, Any], resource: Mapping[str, Value], scope: str, version: str) -> SpanView:
    start_ns, end_ns = int(span.get("startTimeUnixNano", 0)), int(span.get("endTimeUnixNano", 0))
    status = span.get("status", {})
    return SpanView(
        trace_id=span["traceId"],
        span_id=span.get("spanId", ""),
        parent_id=span.get("parentSpanId", ""),
        service=str(resource.get("service.name", "")),
        name=span.get("name", ""),
        kind=_numbered(KINDS, span.get("kind", 0)),
        status=_numbered(STATUSES, status.get("code", 0)),
        status_message=status.get("message", ""),
        start_ns=start_ns,
        duration_ns=max(0, end_ns - start_ns),
        attributes=_attributes(span.get("attributes", ())),
        events=[
            EventView(
                event.get("name", ""),
                int(event.get("timeUnixNano", 0)),
                _attributes(event.get("attributes", ())),
            )
            for event in span.get("events", ())
        ],
        links=[
            LinkView(link.get("traceId", ""), link.get("spanId", ""), _attributes(link.get("attributes", ())))
            for link in span.get("links", ())
        ],
        scope=scope,
        scope_version=version,
        resource=resource,
        trace_state=span.get("traceState", ""),
    )


def _numbered(names: Sequence[Any], number: object) -> Any:
    return names[number] if isinstance(number, int) and 0 <= number < len(names) else names[0]


def _attributes(listed: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    return {each["key"]: any_value(each.get("value")) for each in listed}


def older_trace_view(document: Mapping[str, Any]) -> TraceView:
    """A trace of the older API: times in microseconds, and a tag for what it has no field for."""
    processes = {
        key: (process.get("serviceName", ""), _tags(process.get("tags") or ()))
        for key, process in document.get("processes", {}).items()
    }
    trace_id = str(document["traceID"]).rjust(32, "0")
    spans = [_older_span(trace_id, span, processes) for span in document.get("spans", ())]
    return _trace(trace_id, spans)


def _older_span(
    trace_id: str, span: Mapping[str, Any], processes: Mapping[str, tuple[str, Mapping[str, Value]]]
) -> SpanView:
    tags = _tags(span.get("tags") or ())
    service, resource = processes.get(span.get("processID", ""), ("", {}))
    parent, links = _references(trace_id, span.get("references") or ())
    kind, status = str(tags.get("span.kind", "")), str(tags.get("otel.status_code", "")).lower()
    return SpanView(
        trace_id=trace_id,
        span_id=str(span.get("spanID", "")).rjust(16, "0"),
        parent_id=parent,
        service=service,
        name=span.get("operationName", ""),
        kind=_kind(kind),
        status=_status(status, failed=tags.get("error") is True),
        status_message=str(tags.get("otel.status_description", "")),
        start_ns=int(span.get("startTime", 0)) * 1_000,
        duration_ns=int(span.get("duration", 0)) * 1_000,
        attributes={key: value for key, value in tags.items() if key not in _MODEL},
        events=[_event(log) for log in span.get("logs") or ()],
        links=links,
        scope=str(tags.get("otel.scope.name", "")),
        scope_version=str(tags.get("otel.scope.version", "")),
        resource={"service.name": service, **resource},
        trace_state=str(tags.get("w3c.tracestate", "")),
    )


def _kind(said: str) -> SpanKind:
    return KINDS[KINDS.index(said)] if said in KINDS else "unspecified"


def _status(said: str, *, failed: bool) -> Status:
    if failed:
        return "error"
    return STATUSES[STATUSES.index(said)] if said in STATUSES else "unset"


def _references(trace_id: str, references: Iterable[Mapping[str, Any]]) -> tuple[str, list[LinkView]]:
    """The parent, which is the first reference within the trace, and the others as links."""
    parent, links = "", list[LinkView]()
    for reference in references:
        of, span_id = str(reference.get("traceID", "")).rjust(32, "0"), str(reference.get("spanID", ""))
        if of == trace_id and not parent:
            parent = span_id.rjust(16, "0")
        else:
            kind = str(reference.get("refType", "")).lower()
            links.append(LinkView(of, span_id.rjust(16, "0"), {"opentracing.ref_type": kind}))
    return parent, links


def _event(log: Mapping[str, Any]) -> EventView:
    fields = _tags(log.get("fields") or ())
    name = str(fields.pop("event", ""))
    return EventView(name, int(log.get("timestamp", 0)) * 1_000, fields)


def _tags(tags: Iterable[Mapping[str, Any]]) -> dict[str, Value]:
    return {tag["key"]: _tag(tag.get("type", "string"), tag.get("value")) for tag in tags}


def _tag(kind: str, value: Any) -> Value:
    match kind:
        case "int64":
            return int(value)
        case "float64":
            return float(value)
        case "binary":
            return b64decode(value)
        case _:
            return value


def summary(trace: TraceView) -> TraceSummary:
    """The row of a trace in a list; it stands where it began, since Jaeger does not tell when it came."""
    spans = trace.spans
    counts: dict[str, ServiceCount] = {}
    for span in spans:
        count = counts.setdefault(span.service, ServiceCount(span.service, 0, 0))
        count.spans += 1
        count.errors += span.status == "error"
    root = next((span for span in spans if not span.parent_id), None)
    shown = root or spans[0]
    start_ns = spans[0].start_ns
    return TraceSummary(
        row=start_ns,
        trace_id=trace.trace_id,
        root_name=shown.name,
        root_service=shown.service,
        start_ns=start_ns,
        duration_ns=max(span.start_ns + span.duration_ns for span in spans) - start_ns,
        spans=len(spans),
        errors=sum(count.errors for count in counts.values()),
        services=sorted(counts.values(), key=lambda count: (-count.spans, count.service)),
        root_missing=root is None,
        statements=sum(is_statement(span.name, span.attributes) for span in spans),
    )


def told_summary(document: Mapping[str, Any]) -> TraceSummary:
    """A row of a list as Jaeger has summed it up; it does not tell of statements and calls of language models."""
    start_ns, end_ns = int(document["minStartTimeUnixNano"]), int(document["maxEndTimeUnixNano"])
    services = [
        ServiceCount(str(each["name"]), int(each.get("spanCount", 0)), int(each.get("errorSpanCount", 0)))
        for each in document.get("services") or ()
    ]
    services.sort(key=lambda count: (-count.spans, count.service))
    root_service = str(document.get("rootServiceName") or "")
    return TraceSummary(
        row=start_ns,
        trace_id=str(document["traceId"]).rjust(32, "0"),
        root_name=str(document.get("rootOperationName") or ""),
        root_service=root_service or (services[0].service if services else ""),
        start_ns=start_ns,
        duration_ns=max(0, end_ns - start_ns),
        spans=int(document.get("spanCount", 0)),
        errors=int(document.get("errorSpanCount", 0)),
        services=services,
        root_missing=not root_service,
    )
