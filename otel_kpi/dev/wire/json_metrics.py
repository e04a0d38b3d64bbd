"""A metric of OTLP/JSON and its points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.telemetry import Buckets, Exemplar, Metric, Point
from otel_kpi.dev.wire.accepted import context, point_problem, temporality
from otel_kpi.dev.wire.json_fields import (
    Message,
    boolean,
    double,
    enumeration,
    identifier,
    int64,
    integer,
    items,
    members,
    number,
    optional_double,
    sint32,
    string,
    uint32,
    uint64,
)
from otel_kpi.dev.wire.json_values import attributes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_kpi.dev.telemetry import Kind

_KINDS: Final[dict[str, Kind]] = {
    "gauge": "gauge",
    "sum": "sum",
    "histogram": "histogram",
    "exponentialHistogram": "exponential_histogram",
    "summary": "summary",
}
_TEMPORALITIES: Final = {"AGGREGATION_TEMPORALITY_DELTA": 1, "AGGREGATION_TEMPORALITY_CUMULATIVE": 2}


def metric(document: object) -> tuple[Metric | None, int, str]:
    """A metric, how many of its points cannot be kept, and why.

    Raises:
        MalformedError: It is none.
    """
    message = members(document)
    name = string(message, "name")
    member = next((each for each in _KINDS if message.get(each) is not None), None)
    if member is None:
        return None, 1, f"metric {name[:80]!r}: it has no data"
    kind, data = _KINDS[member], members(message[member])
    result = Metric(name, string(message, "description"), string(message, "unit"), kind, [])
    result.temporality = temporality(enumeration(data, "aggregationTemporality", _TEMPORALITIES))
    result.monotonic = boolean("isMonotonic", data.get("isMonotonic"))
    rejected = 0
    problem = ""
    for each in items(data, "dataPoints"):
        point = _point(kind, members(each))
        if why := point_problem(name, kind, point):
            rejected += 1
            problem = problem or why
        else:
            result.points.append(point)
    return result, rejected, problem


def _point(kind: Kind, message: Message) -> Point:
    point = Point(
        attributes(message),
        uint64(message, "startTimeUnixNano"),
        uint64(message, "timeUnixNano"),
        no_value=bool(uint32(message, "flags") & 1),
        exemplars=list(_exemplars(message)),
    )
    if kind in {"gauge", "sum"}:
        point.value = _number(message)
        return point
    point.count = uint64(message, "count")
    point.sum = optional_double(message, "sum")
    if kind == "summary":
        point.sum = number(message, "sum")
        quantiles = [members(each) for each in items(message, "quantileValues")]
        point.quantiles = tuple([(number(each, "quantile"), number(each, "value")) for each in quantiles])
        return point
    point.min, point.max = optional_double(message, "min"), optional_double(message, "max")
    if kind == "histogram":
        point.counts = _counts(message)
        point.bounds = tuple([double("explicitBounds", each) for each in items(message, "explicitBounds")])
        return point
    point.scale = sint32(message, "scale")
    point.zero_count = uint64(message, "zeroCount")
    point.zero_threshold = number(message, "zeroThreshold")
    point.positive, point.negative = _buckets(message.get("positive")), _buckets(message.get("negative"))
    return point


def _number(message: Message) -> float | None:
    value = message.get("asInt")
    return optional_double(message, "asDouble") if value is None else int64("asInt", value)


def _counts(message: Message) -> tuple[int, ...]:
    return tuple([integer("bucketCounts", each, 0, 1 << 64) for each in items(message, "bucketCounts")])


def _buckets(document: Any) -> Buckets:
    if document is None:
        return Buckets(0, ())
    message = members(document)
    return Buckets(sint32(message, "offset"), _counts(message))


def _exemplars(message: Message) -> Iterator[Exemplar]:
    for document in items(message, "exemplars"):
        each = members(document)
        value = _number(each)
        if value is not None:
            ids = context(identifier(each, "traceId") or b"", identifier(each, "spanId") or b"")
            yield Exemplar(value, uint64(each, "timeUnixNano"), *ids, attributes(each, "filteredAttributes"))
