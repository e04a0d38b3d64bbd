"""Traces as OTLP's JSON, grouped by resource and scope: what Jaeger's API v3 answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from otel_kpi.dev.views import KINDS, STATUSES
from otel_kpi.dev.wire.otlp_json import any_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import EventView, LinkView, SpanView, TraceView

Document = dict[str, Any]


def traces_document(traces: Iterable[TraceView]) -> Document:
    """`TracesData` of traces; each has its own resources, as Jaeger has it."""
    return {"resourceSpans": [group for trace in traces for group in _resources(trace)]}


def _resources(trace: TraceView) -> list[Document]:
    groups: dict[bytes, tuple[Document, dict[tuple[str, str], Document]]] = {}
    # Spans of one resource share the mapping: it is written once.
    written: dict[int, bytes] = {}
    for span in trace.spans:
        attributes: list[Document] | None = None
        key = written.get(id(span.resource))
        if key is None:
            attributes = attributes_document(span.resource)
            key = written[id(span.resource)] = orjson.dumps(attributes)
        group = groups.get(key)
        if group is None:
            document: Document = {
                "resource": {"attributes": attributes} if attributes else {},
                "scopeSpans": [],
            }
            group = groups[key] = (document, {})
        document, scopes = group
        scope = scopes.get((span.scope, span.scope_version))
        if scope is None:
            said = {"name": span.scope, "version": span.scope_version}
            scope = scopes[span.scope, span.scope_version] = {
                "scope": {name: text for name, text in said.items() if text},
                "spans": [],
            }
            document["scopeSpans"].append(scope)
        scope["spans"].append(_span(span))
    return [document for document, _ in groups.values()]


def _span(span: SpanView) -> Document:
    status: Document = {"message": span.status_message} if span.status_message else {}
    if span.status != "unset":
        status["code"] = STATUSES.index(span.status)
    document: Document = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "traceState": span.trace_state,
        "parentSpanId": span.parent_id,
        "name": span.name,
        "kind": KINDS.index(span.kind),
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.start_ns + span.duration_ns),
        "attributes": attributes_document(span.attributes),
        "events": [_event(event) for event in span.events],
        "links": [_link(link) for link in span.links],
    }
    document = {key: value for key, value in document.items() if value}
    document["status"] = status
    return document


def _event(event: EventView) -> Document:
    document = {
        "timeUnixNano": str(event.time_ns),
        "name": event.name,
        "attributes": attributes_document(event.attributes),
    }
    return {key: value for key, value in document.items() if value}


def _link(link: LinkView) -> Document:
    document = {
        "traceId": link.trace_id,
        "spanId": link.span_id,
        "attributes": attributes_document(link.attributes),
    }
    return {key: value for key, value in document.items() if value}


def attributes_document(attributes: Mapping[str, Value]) -> list[Document]:
    """Attributes as a list of keys and `AnyValue`s."""
    return [{"key": key, "value": any_value(value)} for key, value in attributes.items()]
