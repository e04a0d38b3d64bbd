"""OTLP messages of every shape, their bytes in every order, and what protobuf's own decoder says that they mean."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor as Field
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_kpi.dev.telemetry import (
    Buckets,
    Event,
    Exemplar,
    Group,
    Kind,
    Link,
    LogRecord,
    Metric,
    Point,
    Request,
    Resource,
    Scope,
    Signal,
    Span,
)
from otel_kpi.dev.wire.protobuf_fields import LENGTH, VARINT, fields
from otel_kpi.dev.wire.values import MAX_DEPTH, MAX_TIME, TOO_DEEP, attribute

if TYPE_CHECKING:
    from collections.abc import Iterable
    from random import Random

    from google.protobuf.descriptor import Descriptor

    from otel_kpi.dev.telemetry import Attributes, Value

REQUESTS: dict[Signal, Any] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
TEXTS = (
    "",
    "GET",
    "http.route",
    "service.name",
    "grün",
    "日本語",
    "\x00",
    '"\\\n',
    "x" * 300,
    "😀",
    "<script>",
)
NUMBERS = (0, 1, 2, 127, 128, 300, (1 << 31) - 1, 1 << 31, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
DOUBLES = (0.0, -0.0, 1.0, 0.1, -2.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"))
TIME = 1_795_248_000_000_000_000
WIRE = {Field.TYPE_DOUBLE: 1, Field.TYPE_FIXED64: 1, Field.TYPE_SFIXED64: 1, Field.TYPE_FIXED32: 5}


def message(draw: Random, kind: Any, *, depth: int = 0) -> Any:
    """A message of a class with some of its fields set to something."""
    result = kind()
    fill(draw, result, depth)
    return result


def fill(draw: Random, found: Any, depth: int) -> None:
    for field in found.DESCRIPTOR.fields:
        if draw.random() < (0.4 if field.containing_oneof else 0.15):
            continue
        if field.name in {"entity_refs", "metadata"} or "strindex" in field.name:
            continue  # nobody shows them
        if field.type == Field.TYPE_MESSAGE:
            if depth > 14 or (depth > 8 and draw.random() < 0.5):
                continue
            part = getattr(found, field.name)
            if field.is_repeated:
                for _ in range(draw.choice((0, 1, 2, 3))):
                    fill(draw, part.add(), depth + 1)
            else:
                part.SetInParent()
                fill(draw, part, depth + 1)
        elif field.is_repeated:
            getattr(found, field.name).extend([scalar(draw, field) for _ in range(draw.randrange(5))])
        else:
            setattr(found, field.name, scalar(draw, field))


def scalar(draw: Random, field: Any) -> Any:  # noqa: PLR0911 - one for each type
    """A value that a field may have; of ids and times mostly one that is right."""
    if field.name.endswith("_id") and draw.random() < 0.9:
        return draw.randbytes(16 if field.name == "trace_id" else 8)
    if field.name.endswith("unix_nano") and draw.random() < 0.9:
        return TIME + draw.randrange(10**9)
    if field.name == "scale":
        return draw.choice((0, 3, 20, -10, -11, 41))
    if field.type == Field.TYPE_STRING:
        return draw.choice(TEXTS)
    if field.type == Field.TYPE_BYTES:
        return draw.randbytes(draw.choice((0, 1, 8, 16, 20)))
    if field.type == Field.TYPE_BOOL:
        return draw.random() < 0.5
    if field.type == Field.TYPE_DOUBLE:
        return draw.choice(DOUBLES)
    if field.type == Field.TYPE_ENUM:
        return draw.choice((0, 1, 2, 3, 5, 9, 24, 25, -1, 2**31 - 1))
    bits = (
        32
        if field.type in {Field.TYPE_UINT32, Field.TYPE_FIXED32, Field.TYPE_SINT32, Field.TYPE_INT32}
        else 64
    )
    number = draw.choice(NUMBERS) % (1 << bits)
    if field.type in {Field.TYPE_INT64, Field.TYPE_SFIXED64, Field.TYPE_SINT32, Field.TYPE_INT32}:
        return number - (1 << bits) if number >> (bits - 1) else number
    return number


def varint(number: int, *, longer: int = 0) -> bytes:
    """A number; protobuf also reads it with needless bytes."""
    result = bytearray()
    while number >= 0x80:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)
    for _ in range(longer):
        result[-1] |= 0x80
        result.append(0)
    return bytes(result)


def rewritten(draw: Random, data: bytes, descriptor: Descriptor) -> bytes:
    """The same message as nobody writes it: in any order, in parts, twice, with what is unknown between its fields."""
    pieces: list[bytes] = []
    for tag, start, stop in fields(data, 0, len(data)):
        number, wire = tag >> 3, tag & 7
        field = descriptor.fields_by_number[number]
        head = varint(tag, longer=draw.choice((0, 0, 0, 1)))
        if wire == VARINT:
            pieces.append(head + varint(start))
        elif wire != LENGTH:
            pieces.append(head + data[start:stop])
        elif field.message_type is not None:
            content = rewritten(draw, data[start:stop], field.message_type)
            parts = [content]
            if not field.is_repeated and draw.random() < 0.2:
                parts = [content, b"", content]
            pieces += [head + varint(len(part), longer=draw.choice((0, 0, 1))) + part for part in parts]
        elif field.is_repeated and field.type in WIRE and draw.random() < 0.5:
            single = varint(number << 3 | WIRE[field.type])
            pieces += [single + data[at : at + 8] for at in range(start, stop, 8)]
        else:
            pieces.append(head + varint(stop - start) + data[start:stop])
        if draw.random() < 0.05:
            pieces.append(draw.choice(pieces))
    for _ in range(draw.choice((0, 0, 1, 2))):
        pieces.append(unknown(draw))
    if draw.random() < 0.5:
        draw.shuffle(pieces)
    return b"".join(pieces)


def unknown(draw: Random) -> bytes:
    """A field of a number that no message has."""
    number = draw.choice((99, 2_000, (1 << 29) - 1)) << 3
    return draw.choice(
        (
            varint(number) + varint(draw.choice(NUMBERS)),
            varint(number | 1) + draw.randbytes(8),
            varint(number | 2) + varint(5) + draw.randbytes(5),
            varint(number | 3) + varint(8) + varint(7) + varint(number | 4),
            varint(number | 5) + draw.randbytes(4),
        )
    )


def understood(signal: Signal, body: bytes) -> Request[Any] | None:
    """What protobuf's decoder makes of a body, as a request; None where it refuses."""
    try:
        read = REQUESTS[signal].FromString(body)
    except DecodeError:
        return None
    return expected(signal, read, len(body))


def observed_alike(ours: Request[Any], theirs: Request[Any]) -> None:
    """Give the records that had no time the time that was given to ours."""
    for group, other in zip(ours.groups, theirs.groups, strict=True):
        for record, twin in zip(group.items, other.items, strict=True):
            if not (twin.time_ns or twin.observed_ns):
                assert record.observed_ns
                twin.observed_ns = record.observed_ns


def expected(signal: Signal, read: Any, size: int = 0) -> Request[Any]:
    request = Request[Any](signal, [], size=size)
    noun = {"traces": "spans", "metrics": "metrics", "logs": "logs"}[signal]
    convert = {"traces": _spans, "metrics": _metrics, "logs": _logs}[signal]
    for found in getattr(read, f"resource_{noun}"):
        carried = attributes(found.resource.attributes)
        names = [each for each in carried if each.key == "service.name" and each.value not in (None, "")]
        service = "unknown_service"
        if names:
            service = names[0].value if isinstance(names[0].value, str) else names[0].json
        resource = Resource(carried, found.schema_url, service)
        for group in getattr(found, f"scope_{noun}"):
            scope = Scope(
                group.scope.name, group.scope.version, attributes(group.scope.attributes), group.schema_url
            )
            items, rejected = convert(group)
            request.rejected += rejected
            if items:
                request.groups.append(Group(resource, scope, items))
    return request


def attributes(found: Iterable[Any]) -> Attributes:
    return tuple([attribute(each.key, value(each.value)) for each in found])


def value(found: Any, depth: int = 0) -> Value:
    which = found.WhichOneof("value")
    if which is None or which.endswith("strindex"):
        return None
    if which in {"array_value", "kvlist_value"} and depth >= MAX_DEPTH:
        return TOO_DEEP
    if which == "array_value":
        return [value(each, depth + 1) for each in found.array_value.values]
    if which == "kvlist_value":
        return {each.key: value(each.value, depth + 1) for each in found.kvlist_value.values}
    return getattr(found, which)


def _known(trace_id: bytes, span_id: bytes) -> bool:
    return len(trace_id) == 16 and len(span_id) == 8 and any(trace_id) and any(span_id)


def _spans(group: Any) -> tuple[list[Span], int]:
    spans: list[Span] = []
    for each in group.spans:
        start, end = each.start_time_unix_nano, each.end_time_unix_nano
        times = {each for each in (start, end) if each}
        if not (
            _known(each.trace_id, each.span_id)
            and len(each.parent_span_id) in {0, 8}
            and times
            and max(times) <= MAX_TIME
        ):
            continue
        events = [
            Event(
                event.name, event.time_unix_nano, attributes(event.attributes), event.dropped_attributes_count
            )
            for event in each.events
            if event.name or event.time_unix_nano or event.attributes
        ]
        links = [
            Link(
                link.trace_id,
                link.span_id,
                attributes(link.attributes),
                link.trace_state,
                link.flags,
                link.dropped_attributes_count,
            )
            for link in each.links
            if _known(link.trace_id, link.span_id)
        ]
        spans.append(
            Span(
                each.trace_id,
                each.span_id,
                each.parent_span_id if any(each.parent_span_id) else b"",
                each.name,
                each.kind if 0 <= each.kind <= 5 else 0,
                start or end,
                max(start, end),
                attributes(each.attributes),
                events,
                links,
                each.status.code if 0 <= each.status.code <= 2 else 0,
                each.status.message,
                each.trace_state,
                each.flags,
                (
                    each.dropped_attributes_count,
                    min(each.dropped_events_count + len(each.events) - len(events), 2**32 - 1),
                    min(each.dropped_links_count + len(each.links) - len(links), 2**32 - 1),
                ),
            )
        )
    return spans, len(group.spans) - len(spans)


def _logs(group: Any) -> tuple[list[LogRecord], int]:
    records: list[LogRecord] = []
    for each in group.log_records:
        body = value(each.body)
        severity = each.severity_number if 0 <= each.severity_number <= 24 else 0
        says = each.attributes or severity or each.event_name or body is not None
        if not says or max(each.time_unix_nano, each.observed_time_unix_nano) > MAX_TIME:
            continue
        traced = len(each.trace_id) == 16 and any(each.trace_id)
        record = LogRecord(
            each.time_unix_nano,
            each.observed_time_unix_nano,
            severity,
            each.severity_text,
            attributes=attributes(each.attributes),
            trace_id=each.trace_id if traced else b"",
            span_id=each.span_id if _known(each.trace_id, each.span_id) else b"",
            event_name=each.event_name,
            flags=each.flags,
            dropped=each.dropped_attributes_count,
        )
        if body is not None:
            record.body = attribute("", body)
        records.append(record)
    return records, len(group.log_records) - len(records)


def _metrics(group: Any) -> tuple[list[Metric], int]:
    kinds: dict[str, Kind] = {
        "gauge": "gauge",
        "sum": "sum",
        "histogram": "histogram",
        "exponential_histogram": "exponential_histogram",
        "summary": "summary",
    }
    metrics: list[Metric] = []
    rejected = 0
    for each in group.metrics:
        which = each.WhichOneof("data")
        if which is None:
            rejected += 1
            continue
        data = getattr(each, which)
        points = [point for found in data.data_points if (point := _point(kinds[which], found)) is not None]
        rejected += len(data.data_points) - len(points)
        if points:
            temporality = getattr(data, "aggregation_temporality", 0)
            metrics.append(
                Metric(
                    each.name,
                    each.description,
                    each.unit,
                    kinds[which],
                    points,
                    temporality if 0 <= temporality <= 2 else 0,
                    getattr(data, "is_monotonic", False),
                )
            )
    return metrics, rejected


def _point(kind: Kind, found: Any) -> Point | None:
    if not found.time_unix_nano or max(found.time_unix_nano, found.start_time_unix_nano) > MAX_TIME:
        return None
    point = Point(
        attributes(found.attributes),
        found.start_time_unix_nano,
        found.time_unix_nano,
        no_value=bool(found.flags & 1),
        exemplars=[
            Exemplar(
                getattr(each, each.WhichOneof("value")),
                each.time_unix_nano,
                each.trace_id if len(each.trace_id) == 16 and any(each.trace_id) else b"",
                each.span_id if _known(each.trace_id, each.span_id) else b"",
                attributes(each.filtered_attributes),
            )
            for each in getattr(found, "exemplars", ())
            if each.WhichOneof("value")
        ],
    )
    if kind in {"gauge", "sum"}:
        which = found.WhichOneof("value")
        point.value = getattr(found, which) if which else None
        return point if which or point.no_value else None
    point.count = found.count
    if kind == "summary":
        point.sum = found.sum
        point.quantiles = tuple([(each.quantile, each.value) for each in found.quantile_values])
        return point
    point.sum, point.min, point.max = (
        getattr(found, name) if found.HasField(name) else None for name in ("sum", "min", "max")
    )
    if kind == "histogram":
        point.counts, point.bounds = tuple(found.bucket_counts), tuple(found.explicit_bounds)
        if point.no_value:
            return point
        if not point.counts:
            point.bounds = ()
        ordered = all(lower < upper for lower, upper in zip(point.bounds, point.bounds[1:], strict=False))
        fits = not point.counts or len(point.counts) == len(point.bounds) + 1
        return point if ordered and fits else None
    point.scale, point.zero_count, point.zero_threshold = found.scale, found.zero_count, found.zero_threshold
    point.positive = Buckets(found.positive.offset, tuple(found.positive.bucket_counts))
    point.negative = Buckets(found.negative.offset, tuple(found.negative.bucket_counts))
    return point if point.no_value or -10 <= point.scale <= 40 else None


def as_json(read: Any, *, snake: bool, named: bool) -> bytes:
    """A message as proto3's JSON, but for the ids: OTLP has them in hexadecimal."""
    document = json_format.MessageToDict(
        read, preserving_proto_field_name=snake, use_integers_for_enums=not named
    )
    return json.dumps(_with_hexadecimal(document)).encode()


def _with_hexadecimal(document: Any) -> Any:
    if isinstance(document, list):
        return [_with_hexadecimal(each) for each in document]
    if not isinstance(document, dict):
        return document
    return {
        key: base64.b64decode(each).hex()
        if key.lower().endswith(("spanid", "traceid", "_id"))
        else _with_hexadecimal(each)
        for key, each in document.items()
    }
