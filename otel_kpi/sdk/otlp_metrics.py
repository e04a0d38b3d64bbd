"""From metrics of the SDK to the fields of ``opentelemetry.proto.metrics.v1.Metric``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.export import ExponentialHistogram, Gauge, Histogram, Sum

from otel_kpi.sdk.otlp_values import INT64_MAX, INT64_MIN, pairs
from otel_kpi.sdk.otlp_writer import Field, Piece, Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import (
        ExponentialHistogramDataPoint,
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
    )

_NAME = Field(1, "name")
_DESCRIPTION = Field(2, "description")
_UNIT = Field(3, "unit")
_GAUGE = Field(5, "gauge")
_SUM = Field(7, "sum")
_HISTOGRAM = Field(9, "histogram")
_EXPONENTIAL_HISTOGRAM = Field(10, "exponential_histogram")

_DATA_POINTS = Field(1, "data_points")
_TEMPORALITY = Field(2, "aggregation_temporality")
_IS_MONOTONIC = Field(3, "is_monotonic")

# Every kind of data point has these two.
_START_TIME = Field(2, "start_time_unix_nano")
_TIME = Field(3, "time_unix_nano")

_NUMBER_AS_DOUBLE = Field(4, "as_double")
_NUMBER_EXEMPLARS = Field(5, "exemplars")
_NUMBER_AS_INT = Field(6, "as_int")
_NUMBER_ATTRIBUTES = Field(7, "attributes")

# Both kinds of histogram have these two.
_COUNT = Field(4, "count")
_TOTAL = Field(5, "sum")

_BUCKET_COUNTS = Field(6, "bucket_counts")
_EXPLICIT_BOUNDS = Field(7, "explicit_bounds")
_HISTOGRAM_EXEMPLARS = Field(8, "exemplars")
_HISTOGRAM_ATTRIBUTES = Field(9, "attributes")
_MIN = Field(11, "min")
_MAX = Field(12, "max")

_EXPONENTIAL_ATTRIBUTES = Field(1, "attributes")
_SCALE = Field(6, "scale")
_ZERO_COUNT = Field(7, "zero_count")
_POSITIVE = Field(8, "positive")
_NEGATIVE = Field(9, "negative")
_EXPONENTIAL_FLAGS = Field(10, "flags")
_EXPONENTIAL_EXEMPLARS = Field(11, "exemplars")
_EXPONENTIAL_MIN = Field(12, "min")
_EXPONENTIAL_MAX = Field(13, "max")
_OFFSET = Field(1, "offset")
_EXPONENTIAL_BUCKET_COUNTS = Field(2, "bucket_counts")

_EXEMPLAR_TIME = Field(2, "time_unix_nano")
_EXEMPLAR_AS_DOUBLE = Field(3, "as_double")
_EXEMPLAR_SPAN_ID = Field(4, "span_id")
_EXEMPLAR_TRACE_ID = Field(5, "trace_id")
_EXEMPLAR_AS_INT = Field(6, "as_int")
_EXEMPLAR_ATTRIBUTES = Field(7, "filtered_attributes")


def encode_metric(writer: Writer[Piece], metric: Metric) -> tuple[Piece | None, int, int]:
    """The content of a ``Metric``, the number of data points in it, and how many were left out as broken.

    No content means that no data point is in it.
    """
    data: Any = metric.data
    kind = _KINDS.get(type(data))
    if kind is None:
        return None, 0, len(data.data_points)
    encode_point: Callable[[Writer[Piece], Any], Piece] = _POINTS[kind]
    points: list[Piece] = []
    skipped = 0
    for point in data.data_points:
        try:
            points.append(encode_point(writer, point))
        except Exception:
            skipped += 1
    if not points:
        return None, 0, skipped
    facts: list[Piece] = []
    if kind is _SUM:
        facts.append(writer.boolean(_IS_MONOTONIC, value=data.is_monotonic))
    if kind is not _GAUGE:
        facts.append(writer.uint32(_TEMPORALITY, int(data.aggregation_temporality)))
    facts.append(writer.messages(_DATA_POINTS, points))
    pieces = [writer.string(_NAME, metric.name), writer.message(kind, writer.join(facts))]
    if metric.description:
        pieces.append(writer.string(_DESCRIPTION, metric.description))
    if metric.unit:
        pieces.append(writer.string(_UNIT, metric.unit))
    return writer.join(pieces), len(points), skipped


def _sum_point(writer: Writer[Piece], point: NumberDataPoint) -> Piece:
    return writer.join(
        [*_number(writer, point), writer.fixed64(_START_TIME, point.start_time_unix_nano or 0)]
    )


def _gauge_point(writer: Writer[Piece], point: NumberDataPoint) -> Piece:
    """A gauge says what is now; the SDK's start time of it means nothing."""
    return writer.join(_number(writer, point))


def _number(writer: Writer[Piece], point: NumberDataPoint) -> list[Piece]:
    pieces = [
        writer.fixed64(_TIME, point.time_unix_nano),
        _value(writer, _NUMBER_AS_INT, _NUMBER_AS_DOUBLE, point.value),
    ]
    _surroundings(writer, pieces, point, _NUMBER_ATTRIBUTES, _NUMBER_EXEMPLARS)
    return pieces


def _histogram_point(writer: Writer[Piece], point: HistogramDataPoint) -> Piece:
    pieces = [
        writer.fixed64(_START_TIME, point.start_time_unix_nano or 0),
        writer.fixed64(_TIME, point.time_unix_nano),
        writer.fixed64(_COUNT, point.count),
        writer.double(_TOTAL, point.sum),
        writer.fixed64s(_BUCKET_COUNTS, point.bucket_counts),
        writer.doubles(_EXPLICIT_BOUNDS, point.explicit_bounds),
    ]
    _extremes(writer, pieces, point, _MIN, _MAX)
    _surroundings(writer, pieces, point, _HISTOGRAM_ATTRIBUTES, _HISTOGRAM_EXEMPLARS)
    return writer.join(pieces)


def _exponential_point(writer: Writer[Piece], point: ExponentialHistogramDataPoint) -> Piece:
    pieces = [
        writer.fixed64(_START_TIME, point.start_time_unix_nano or 0),
        writer.fixed64(_TIME, point.time_unix_nano),
        writer.fixed64(_COUNT, point.count),
        writer.double(_TOTAL, point.sum),
        writer.sint32(_SCALE, point.scale),
        writer.fixed64(_ZERO_COUNT, point.zero_count),
    ]
    for field, buckets in ((_POSITIVE, point.positive), (_NEGATIVE, point.negative)):
        if buckets.bucket_counts:
            counts = writer.uint64s(_EXPONENTIAL_BUCKET_COUNTS, buckets.bucket_counts)
            pieces.append(
                writer.message(field, writer.join((writer.sint32(_OFFSET, buckets.offset), counts)))
            )
    if point.flags:
        pieces.append(writer.uint32(_EXPONENTIAL_FLAGS, point.flags))
    _extremes(writer, pieces, point, _EXPONENTIAL_MIN, _EXPONENTIAL_MAX)
    _surroundings(writer, pieces, point, _EXPONENTIAL_ATTRIBUTES, _EXPONENTIAL_EXEMPLARS)
    return writer.join(pieces)


def _extremes(
    writer: Writer[Piece],
    pieces: list[Piece],
    point: HistogramDataPoint | ExponentialHistogramDataPoint,
    minimum: Field,
    maximum: Field,
) -> None:
    """Smallest and largest value; the SDK says "not recorded" by a minimum above the maximum."""
    if not point.min > point.max:
        pieces.append(writer.double(minimum, point.min))
        pieces.append(writer.double(maximum, point.max))


def _surroundings(
    writer: Writer[Piece],
    pieces: list[Piece],
    point: NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint,
    attributes: Field,
    exemplars: Field,
) -> None:
    if found := pairs(point.attributes):
        pieces.append(writer.attributes(attributes, found))
    if point.exemplars:
        pieces.append(
            writer.messages(exemplars, [_exemplar(writer, exemplar) for exemplar in point.exemplars])
        )


def _exemplar(writer: Writer[Piece], exemplar: Exemplar) -> Piece:
    pieces = [
        writer.fixed64(_EXEMPLAR_TIME, exemplar.time_unix_nano),
        _value(writer, _EXEMPLAR_AS_INT, _EXEMPLAR_AS_DOUBLE, exemplar.value),
    ]
    if exemplar.trace_id and exemplar.span_id:
        pieces.append(writer.trace_id(_EXEMPLAR_TRACE_ID, exemplar.trace_id))
        pieces.append(writer.span_id(_EXEMPLAR_SPAN_ID, exemplar.span_id))
    if found := pairs(exemplar.filtered_attributes):
        pieces.append(writer.attributes(_EXEMPLAR_ATTRIBUTES, found))
    return writer.join(pieces)


def _value(writer: Writer[Piece], as_int: Field, as_double: Field, value: float) -> Piece:
    """An integer of 64 bits as such; everything else that is a number as a double."""
    if isinstance(value, int) and INT64_MIN <= value <= INT64_MAX:
        return writer.sfixed64(as_int, value)
    return writer.double(as_double, float(value))


_KINDS: dict[type[Any], Field] = {
    Sum: _SUM,
    Gauge: _GAUGE,
    Histogram: _HISTOGRAM,
    ExponentialHistogram: _EXPONENTIAL_HISTOGRAM,
}

_POINTS: dict[Field, Callable[[Writer[Any], Any], Any]] = {
    _SUM: _sum_point,
    _GAUGE: _gauge_point,
    _HISTOGRAM: _histogram_point,
    _EXPONENTIAL_HISTOGRAM: _exponential_point,
}
