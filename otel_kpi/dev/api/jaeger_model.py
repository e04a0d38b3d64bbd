"""A trace as Jaeger's older API has it: tags, logs, references and processes.

What OpenTelemetry has and that model has not becomes a tag (`span.kind`, `otel.status_code`, `error`, `otel.scope.name`, …),
as OpenTelemetry's mapping to Jaeger says.
"""

from __future__ import annotations

from base64 import b64encode
from math import isfinite
from types import NoneType
from typing import TYPE_CHECKING, Any, Final

import orjson

from otel_kpi.dev.wire.values import double_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import SpanView, TraceView

Document = dict[str, Any]
_MOST_SAFE: Final = 2**53 - 1  # integers beyond it are texts: JavaScript would round them
_NO_PARENT: Final = "invalid parent span IDs={}; skipping clock skew adjustment"


def trace_document(trace: TraceView, *, raw: bool = False) -> Document:
    """A trace as `/api/traces/{id}` has it.

    Args:
        trace: With its spans.
        raw: As it was sent: tags in their order, no warnings.
    """
    processes: dict[bytes, str] = {}
    documents: Document = {}
    here = {span.span_id for span in trace.spans}
    spans: list[Document] = []
    for span in trace.spans:
        tags = [_tag(key, value) for key, value in span.resource.items() if key != "service.name"]
        process = {"serviceName": span.service, "tags": tags if raw else _sorted(tags)}
        key = orjson.dumps(process)
        if key not in processes:
            processes[key] = f"p{len(processes) + 1}"
            documents[processes[key]] = process
        spans.append(_span(span, processes[key], here, raw=raw))
    return {"traceID": short(trace.trace_id), "spans": spans, "processes": documents, "warnings": None}


def short(trace_id: str) -> str:
    """An id as the older API writes it: of one whose first half is zero, the second alone."""
    return trace_id[16:] if trace_id.startswith("0" * 16) else trace_id


def _span(span: SpanView, process: str, here: set[str], *, raw: bool) -> Document:
    tags = list(_tags(span))
    lost = not raw and span.parent_id and span.parent_id not in here
    return {
        "traceID": short(span.trace_id),
        "spanID": span.span_id,
        "operationName": span.name,
        "references": _references(span),
        "startTime": span.start_ns // 1_000,
        "duration": span.duration_ns // 1_000,
        "tags": tags if raw else _sorted(tags),
        "logs": [_log(event.name, event.time_ns, event.attributes, raw=raw) for event in span.events],
        "processID": process,
        "warnings": [_NO_PARENT.format(span.parent_id)] if lost else None,
    }


def _tags(span: SpanView) -> Iterable[Document]:
    if span.scope:
        yield _tag("otel.scope.name", span.scope)
    if span.scope_version:
        yield _tag("otel.scope.version", span.scope_version)
    for key, value in span.attributes.items():
        yield _tag(key, value)
    if span.kind != "unspecified":
        yield _tag("span.kind", span.kind)
    if span.status != "unset":
        yield _tag("otel.status_code", span.status.upper())
    if span.status == "error":
        yield _tag("error", value=True)
    if span.status_message:
        yield _tag("otel.status_description", span.status_message)
    if span.trace_state:
        yield _tag("w3c.tracestate", span.trace_state)


def _log(name: str, time_ns: int, attributes: Mapping[str, Value], *, raw: bool) -> Document:
    fields = [_tag(key, value) for key, value in attributes.items()]
    if not raw:
        fields = _sorted(fields)
    if name and "event" not in attributes:
        fields.insert(0, _tag("event", name))
    return {"timestamp": time_ns // 1_000, "fields": fields}


def _references(span: SpanView) -> list[Document]:
    """The parent first; a link to it says what kind of reference it is."""
    references = [_reference("CHILD_OF", span.trace_id, span.parent_id)] if span.parent_id else []
    for link in span.links:
        kind = "CHILD_OF" if link.attributes.get("opentracing.ref_type") == "child_of" else "FOLLOWS_FROM"
        if span.parent_id and (link.trace_id, link.span_id) == (span.trace_id, span.parent_id):
            references[0]["refType"] = kind
        elif link.trace_id.strip("0"):
            references.append(_reference(kind, link.trace_id, link.span_id))
    return references


def _reference(kind: str, trace_id: str, span_id: str) -> Document:
    return {"refType": kind, "traceID": short(trace_id), "spanID": span_id}


def _tag(key: str, value: Value) -> Document:
    kind, written = _KINDS[type(value)]
    return {"key": key, "type": kind, "value": written(value)}


def as_go(value: Value) -> str:
    """A list or map as the JSON that Go makes of it."""
    text = orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode()
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    # Go writes a whole number without a point, whatever its type.
    return (
        int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _MOST_SAFE else value
    )


def _sorted(tags: Sequence[Document]) -> list[Document]:
    return sorted(tags, key=lambda tag: tag["key"])


def _same(value: Any) -> Any:
    return value


_KINDS: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    str: ("string", _same),
    bool: ("bool", _same),
    int: ("int64", lambda value: value if abs(value) <= _MOST_SAFE else str(value)),
    float: ("float64", lambda value: value if isfinite(value) else double_name(value)),
    bytes: ("binary", lambda value: b64encode(value).decode()),
    list: ("string", as_go),
    dict: ("string", as_go),
    NoneType: ("string", lambda _: ""),
}
"""How a value of each type is called and written."""
