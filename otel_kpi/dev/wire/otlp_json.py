"""Requests as lines of OTLP/JSON: what `otel-kpi dev export` writes, and the Collector's file receiver reads.

What `json.decode_line` reads of a line is what was written, to the bit: doubles that JSON has no number for included.
"""

from __future__ import annotations

from base64 import b64encode
from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import orjson

from otel_kpi.dev.wire.json import NOUNS
from otel_kpi.dev.wire.values import double_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otel_kpi.dev.telemetry import (
        Attributes,
        Buckets,
        Event,
        Exemplar,
        Kind,
        Link,
        LogRecord,
        Metric,
        Point,
        Request,
        Resource,
        Scope,
        Span,
        Value,
    )

    Json = dict[str, Any]

_MAX_COUNT: Final = (1 << 64) - 1
"""Of values; the store has doubles for them, and the nearest of the largest is one too many."""
_MEMBERS: Final[dict[Kind, str]] = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponential_histogram": "exponentialHistogram",
    "summary": "summary",
}


def lines(requests: Iterable[Request[Any]]) -> Iterator[bytes]:
    """Each request as a line, with its end."""
    for request in requests:
        yield encode(request) + b"\n"


def encode(request: Request[Any]) -> bytes:
    """A request as one line of JSON, without its end."""
    of_resource, of_scope, of_item = NOUNS[request.signal]
    item = _ITEMS[request.signal]
    resources: list[Json] = []
    for resource, groups in groupby(request.groups, key=lambda group: group.resource):
        scopes = [_scope(group.scope) | {of_item: [item(each) for each in group.items]} for group in groups]
        resources.append(_resource(resource) | {of_scope: scopes})
    return orjson.dumps({of_resource: resources})


def _resource(resource: Resource) -> Json:
    return {"resource": _with(attributes=_attributes(resource.attributes))} | _with(
        schemaUrl=resource.schema_url
    )


def _scope(scope: Scope) -> Json:
    found = _with(name=scope.name, version=scope.version, attributes=_attributes(scope.attributes))
    return {"scope": found} | _with(schemaUrl=scope.schema_url)


def _with(**members: Any) -> Json:
    """The members that say something."""
    return {name: value for name, value in members.items() if value}


def _attributes(attributes: Attributes) -> list[Json]:
    return [{"key": each.key, "value": any_value(each.value)} for each in attributes]


def any_value(value: Value) -> Json:
    """An `AnyValue`."""
    if value is None:
        return {}
    member, written = _VALUES[type(value)]
    return {member: written(value)}


def _list(values: list[Value]) -> Json:
    return {"values": [any_value(each) for each in values]}


def _map(values: dict[str, Value]) -> Json:
    return {"values": [{"key": key, "value": any_value(each)} for key, each in values.items()]}


def _double(value: float) -> float | str:
    return value if isfinite(value) else double_name(value)


def _time(value: int) -> str:
    return str(value) if value else ""


def _span(span: Span) -> Json:
    attributes, events, links = span.dropped
    return {"traceId": span.trace_id.hex(), "spanId": span.span_id.hex(), "name": span.name} | _with(
        traceState=span.trace_state,
        parentSpanId=span.parent_id.hex(),
        flags=span.flags,
        kind=span.kind,
        startTimeUnixNano=_time(span.start_ns),
        endTimeUnixNano=_time(span.end_ns),
        attributes=_attributes(span.attributes),
        droppedAttributesCount=attributes,
        events=[_event(each) for each in span.events],
        droppedEventsCount=events,
        links=[_link(each) for each in span.links],
        droppedLinksCount=links,
        status=_with(code=span.status, message=span.status_message),
    )


def _event(event: Event) -> Json:
    return _with(
        timeUnixNano=_time(event.time_ns),
        name=event.name,
        attributes=_attributes(event.attributes),
        droppedAttributesCount=event.dropped,
    )


def _link(link: Link) -> Json:
    return {"traceId": link.trace_id.hex(), "spanId": link.span_id.hex()} | _with(
        traceState=link.trace_state,
        attributes=_attributes(link.attributes),
        droppedAttributesCount=link.dropped,
        flags=link.flags,
    )


def _log(record: LogRecord) -> Json:
    return _with(
        timeUnixNano=_time(record.time_ns),
        observedTimeUnixNano=_time(record.observed_ns),
        severityNumber=record.severity_number,
        severityText=record.severity_text,
        body=any_value(record.body.value),
        attributes=_attributes(record.attributes),
        droppedAttributesCount=record.dropped,
        flags=record.flags,
        traceId=record.trace_id.hex(),
        spanId=record.span_id.hex(),
        eventName=record.event_name,
    )


def _metric(metric: Metric) -> Json:
    data: Json = {"dataPoints": [_point(metric.kind, each) for each in metric.points]}
    data |= _with(aggregationTemporality=metric.temporality, isMonotonic=metric.monotonic)
    return {"name": metric.name, _MEMBERS[metric.kind]: data} | _with(
        description=metric.description, unit=metric.unit
    )


def _point(kind: Kind, point: Point) -> Json:
    document = _with(
        attributes=_attributes(point.attributes),
        startTimeUnixNano=_time(point.start_ns),
        timeUnixNano=_time(point.time_ns),
        flags=int(point.no_value),
        exemplars=[_exemplar(each) for each in point.exemplars],
    )
    if kind in {"gauge", "sum"}:
        return document | _number(point.value)
    document["count"] = str(min(point.count or 0, _MAX_COUNT))
    document |= {
        name: _double(value)
        for name, value in (("sum", point.sum), ("min", point.min), ("max", point.max))
        if value is not None
    }
    if kind == "summary":
        pairs = [
            {"quantile": _double(quantile), "value": _double(value)} for quantile, value in point.quantiles
        ]
        return document | _with(quantileValues=pairs)
    if kind == "histogram":
        counts, bounds = [str(each) for each in point.counts], [_double(each) for each in point.bounds]
        return document | _with(bucketCounts=counts, explicitBounds=bounds)
    document["zeroThreshold"] = _double(point.zero_threshold)  # 0.0 or -0.0
    return document | _with(
        scale=point.scale,
        zeroCount=_time(point.zero_count),
        positive=_buckets(point.positive),
        negative=_buckets(point.negative),
    )


def _number(value: float | None) -> Json:
    if value is None:
        return {}
    return {"asInt": str(value)} if isinstance(value, int) else {"asDouble": _double(value)}


def _buckets(buckets: Buckets) -> Json:
    return _with(offset=buckets.offset, bucketCounts=[str(each) for each in buckets.counts])


def _exemplar(exemplar: Exemplar) -> Json:
    return _number(exemplar.value) | _with(
        timeUnixNano=_time(exemplar.time_ns),
        traceId=exemplar.trace_id.hex(),
        spanId=exemplar.span_id.hex(),
        filteredAttributes=_attributes(exemplar.attributes),
    )


_VALUES: Final[dict[type, tuple[str, Callable[[Any], Any]]]] = {
    str: ("stringValue", str),
    bool: ("boolValue", bool),
    int: ("intValue", str),
    float: ("doubleValue", _double),
    bytes: ("bytesValue", lambda value: b64encode(value).decode()),
    list: ("arrayValue", _list),
    dict: ("kvlistValue", _map),
}
"""Which member of an `AnyValue` has a value of each type, and how it is written."""

_ITEMS: Final[dict[str, Callable[[Any], Json]]] = {"traces": _span, "metrics": _metric, "logs": _log}
