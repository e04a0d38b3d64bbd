"""A `Metric` of protobuf and its points, of whichever of the five kinds."""

# ruff: noqa: PLR2004 - a tag is what the .proto file numbers it: number << 3 | wire type
from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_kpi.dev.telemetry import Buckets, Exemplar, Metric, Point
from otel_kpi.dev.wire.accepted import context, point_problem, temporality
from otel_kpi.dev.wire.protobuf_fields import (
    double,
    doubles,
    fields,
    fixed64,
    fixed64s,
    int32,
    sfixed64,
    sint32,
    text,
    varints,
)
from otel_kpi.dev.wire.protobuf_values import found
from otel_kpi.dev.wire.values import MAX_BUCKETS, MAX_ITEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_kpi.dev.telemetry import Attribute, Kind

_NO_RECORDED_VALUE = 1


def metric(data: bytes, start: int, stop: int) -> tuple[Metric | None, int, str]:
    """The metric between two positions, how many of its points cannot be kept, and why.

    Raises:
        MalformedError: It is no message.
    """
    name = description = unit = ""
    kind = begin = 0
    for tag, first, last in fields(data, start, stop):
        if tag in _KINDS:
            if tag != kind:  # of a `oneof` the last one counts; it may come in parts
                kind, begin = tag, first
        elif tag == 0x0A:
            name = text(data, first, last)
        elif tag == 0x12:
            description = text(data, first, last)
        elif tag == 0x1A:
            unit = text(data, first, last)
    if not kind:
        return None, 1, f"metric {name[:80]!r}: it has no data"
    result = Metric(name, description, unit, _KINDS[kind][0], [])
    rejected = 0
    problem = ""
    for part, first, last in fields(data, start, stop):
        if part == kind and first >= begin:
            bad, why = _data(result, kind, data, first, last)
            rejected += bad
            problem = problem or why
    return result, rejected, problem


def _data(result: Metric, kind: int, data: bytes, start: int, stop: int) -> tuple[int, str]:
    """Read a `Gauge`, a `Sum` or another into a metric; how many points it cannot have, and why."""
    rejected = 0
    problem = ""
    name, read = _KINDS[kind]
    for tag, first, last in fields(data, start, stop):
        if tag == 0x0A:
            point = read(data, first, last)
            why = point_problem(result.name, name, point)
            if not why and len(result.points) >= MAX_ITEMS:
                why = f"metric {result.name[:80]!r}: it has more than {MAX_ITEMS} points"
            if why:
                rejected += 1
                problem = problem or why
            else:
                result.points.append(point)
        elif tag == 0x10 and kind in _WITH_TEMPORALITY:
            result.temporality = temporality(int32(first))
        elif tag == 0x18 and kind == _SUM:
            result.monotonic = first != 0
    return rejected, problem


def _number(data: bytes, start: int, stop: int) -> Point:
    point = Point((), 0, 0)
    carried: list[Attribute] = []
    for tag, first, last in fields(data, start, stop):
        if tag == 0x3A:
            carried.append(found(data, first, last))
        elif tag == 0x11:
            (point.start_ns,) = fixed64(data, first)
        elif tag == 0x19:
            (point.time_ns,) = fixed64(data, first)
        elif tag == 0x21:
            (point.value,) = double(data, first)
        elif tag == 0x31:
            (point.value,) = sfixed64(data, first)
        elif tag == 0x2A and _room(point.exemplars):
            point.exemplars.extend(_exemplar(data, first, last))
        elif tag == 0x40:
            point.no_value = bool(first & _NO_RECORDED_VALUE)
    point.attributes = tuple(carried)
    return point


def _histogram(data: bytes, start: int, stop: int) -> Point:  # noqa: C901, PLR0912 - the point's fields, one by one
    point = Point((), 0, 0, count=0)
    carried: list[Attribute] = []
    counts: list[int] = []
    bounds: list[float] = []
    for tag, first, last in fields(data, start, stop):
        if tag == 0x4A:
            carried.append(found(data, first, last))
        elif tag == 0x11:
            (point.start_ns,) = fixed64(data, first)
        elif tag == 0x19:
            (point.time_ns,) = fixed64(data, first)
        elif tag == 0x21:
            (point.count,) = fixed64(data, first)
        elif tag == 0x29:
            (point.sum,) = double(data, first)
        elif tag == 0x32:
            counts.extend(fixed64s(data, first, last, _room(counts)))
        elif tag == 0x31 and _room(counts):  # what is packed may also come one by one
            counts.extend(fixed64(data, first))
        elif tag == 0x3A:
            bounds.extend(doubles(data, first, last, _room(bounds)))
        elif tag == 0x39 and _room(bounds):
            bounds.extend(double(data, first))
        elif tag == 0x42 and _room(point.exemplars):
            point.exemplars.extend(_exemplar(data, first, last))
        elif tag == 0x50:
            point.no_value = bool(first & _NO_RECORDED_VALUE)
        elif tag == 0x59:
            (point.min,) = double(data, first)
        elif tag == 0x61:
            (point.max,) = double(data, first)
    point.attributes = tuple(carried)
    point.counts, point.bounds = tuple(counts), tuple(bounds)
    return point


def _exponential(data: bytes, start: int, stop: int) -> Point:  # noqa: C901, PLR0912 - the point's fields, one by one
    point = Point((), 0, 0, count=0)
    carried: list[Attribute] = []
    positive: list[int] = []
    negative: list[int] = []
    positive_offset = negative_offset = 0
    for tag, first, last in fields(data, start, stop):
        if tag == 0x0A:
            carried.append(found(data, first, last))
        elif tag == 0x11:
            (point.start_ns,) = fixed64(data, first)
        elif tag == 0x19:
            (point.time_ns,) = fixed64(data, first)
        elif tag == 0x21:
            (point.count,) = fixed64(data, first)
        elif tag == 0x29:
            (point.sum,) = double(data, first)
        elif tag == 0x30:
            point.scale = sint32(first)
        elif tag == 0x39:
            (point.zero_count,) = fixed64(data, first)
        elif tag == 0x42:
            positive_offset = _buckets(data, first, last, positive, positive_offset)
        elif tag == 0x4A:
            negative_offset = _buckets(data, first, last, negative, negative_offset)
        elif tag == 0x50:
            point.no_value = bool(first & _NO_RECORDED_VALUE)
        elif tag == 0x5A and _room(point.exemplars):
            point.exemplars.extend(_exemplar(data, first, last))
        elif tag == 0x61:
            (point.min,) = double(data, first)
        elif tag == 0x69:
            (point.max,) = double(data, first)
        elif tag == 0x71:
            (point.zero_threshold,) = double(data, first)
    point.attributes = tuple(carried)
    point.positive = Buckets(positive_offset, tuple(positive))
    point.negative = Buckets(negative_offset, tuple(negative))
    return point


def _buckets(data: bytes, start: int, stop: int, counts: list[int], offset: int) -> int:
    """Read a half of the buckets, or what comes of it after others; its offset."""
    for tag, first, last in fields(data, start, stop):
        if tag == 0x08:
            offset = sint32(first)
        elif tag == 0x12:
            counts.extend(varints(data, first, last, _room(counts)))
        elif tag == 0x10 and _room(counts):
            counts.append(first)
    return offset


def _room(found: Sequence[object]) -> int:
    """How many more are read: with one too many the point is rejected."""
    return MAX_BUCKETS + 1 - len(found)


def _summary(data: bytes, start: int, stop: int) -> Point:
    point = Point((), 0, 0, count=0, sum=0.0)
    carried: list[Attribute] = []
    quantiles: list[tuple[float, float]] = []
    for tag, first, last in fields(data, start, stop):
        if tag == 0x3A:
            carried.append(found(data, first, last))
        elif tag == 0x11:
            (point.start_ns,) = fixed64(data, first)
        elif tag == 0x19:
            (point.time_ns,) = fixed64(data, first)
        elif tag == 0x21:
            (point.count,) = fixed64(data, first)
        elif tag == 0x29:
            (point.sum,) = double(data, first)
        elif tag == 0x32 and _room(quantiles):
            quantiles.append(_quantile(data, first, last))
        elif tag == 0x40:
            point.no_value = bool(first & _NO_RECORDED_VALUE)
    point.attributes = tuple(carried)
    point.quantiles = tuple(quantiles)
    return point


def _quantile(data: bytes, start: int, stop: int) -> tuple[float, float]:
    quantile = value = 0.0
    for tag, first, _ in fields(data, start, stop):
        if tag == 0x09:
            (quantile,) = double(data, first)
        elif tag == 0x11:
            (value,) = double(data, first)
    return quantile, value


def _exemplar(data: bytes, start: int, stop: int) -> Sequence[Exemplar]:
    """It, or nothing where it has no value."""
    exemplar = Exemplar(0.0, 0)
    value: float | None = None
    trace_id = span_id = b""
    carried: list[Attribute] = []
    for tag, first, last in fields(data, start, stop):
        if tag == 0x3A:
            carried.append(found(data, first, last))
        elif tag == 0x11:
            (exemplar.time_ns,) = fixed64(data, first)
        elif tag == 0x19:
            (value,) = double(data, first)
        elif tag == 0x31:
            (value,) = sfixed64(data, first)
        elif tag == 0x22:
            span_id = data[first:last]
        elif tag == 0x2A:
            trace_id = data[first:last]
    if value is None:
        return ()
    exemplar.value = value
    exemplar.trace_id, exemplar.span_id = context(trace_id, span_id)
    exemplar.attributes = tuple(carried)
    return (exemplar,)


_SUM: Final = 0x3A
_KINDS: Final[dict[int, tuple[Kind, Callable[[bytes, int, int], Point]]]] = {
    0x2A: ("gauge", _number),
    0x3A: ("sum", _number),
    0x4A: ("histogram", _histogram),
    0x52: ("exponential_histogram", _exponential),
    0x5A: ("summary", _summary),
}
_WITH_TEMPORALITY: Final = frozenset((0x3A, 0x4A, 0x52))
