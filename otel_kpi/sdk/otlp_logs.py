"""From a log record of the SDK to the fields of ``opentelemetry.proto.logs.v1.LogRecord``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi.sdk.otlp_values import pairs
from otel_kpi.sdk.otlp_writer import Field, Piece, Writer

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord

_TIME = Field(1, "time_unix_nano")
_SEVERITY_NUMBER = Field(2, "severity_number")
_SEVERITY_TEXT = Field(3, "severity_text")
_BODY = Field(5, "body")
_ATTRIBUTES = Field(6, "attributes")
_DROPPED_ATTRIBUTES = Field(7, "dropped_attributes_count")
_FLAGS = Field(8, "flags")
_TRACE_ID = Field(9, "trace_id")
_SPAN_ID = Field(10, "span_id")
_OBSERVED_TIME = Field(11, "observed_time_unix_nano")
_EVENT_NAME = Field(12, "event_name")


def encode_log(  # noqa: C901 - one branch for each field that may be absent
    writer: Writer[Piece], record: ReadableLogRecord | ReadWriteLogRecord
) -> Piece:
    """The content of a ``LogRecord``.

    Raises:
        Exception: The record is broken beyond use: a time or an id is not a number of its size.
    """
    log = record.log_record
    pieces: list[Piece] = []
    if log.timestamp:
        pieces.append(writer.fixed64(_TIME, log.timestamp))
    if log.observed_timestamp:
        pieces.append(writer.fixed64(_OBSERVED_TIME, log.observed_timestamp))
    severity: Any = log.severity_number
    if severity is not None:
        pieces.append(writer.uint32(_SEVERITY_NUMBER, getattr(severity, "value", severity)))
    if log.severity_text:
        pieces.append(writer.string(_SEVERITY_TEXT, log.severity_text))
    if log.body is not None:
        pieces.append(writer.any_value(_BODY, log.body))
    if attributes := pairs(log.attributes):
        pieces.append(writer.attributes(_ATTRIBUTES, attributes))
    if dropped := record.dropped_attributes:
        pieces.append(writer.uint32(_DROPPED_ATTRIBUTES, dropped))
    if log.trace_id:
        pieces.append(writer.trace_id(_TRACE_ID, log.trace_id))
        if log.trace_flags:
            pieces.append(writer.fixed32(_FLAGS, int(log.trace_flags)))
    if log.span_id:
        pieces.append(writer.span_id(_SPAN_ID, log.span_id))
    if log.event_name:
        pieces.append(writer.string(_EVENT_NAME, log.event_name))
    return writer.join(pieces)
