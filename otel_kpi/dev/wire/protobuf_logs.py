"""A `LogRecord` of protobuf."""

# ruff: noqa: PLR2004 - a tag is what the .proto file numbers it: number << 3 | wire type
from __future__ import annotations

from typing import TYPE_CHECKING

from otel_kpi.dev.telemetry import LogRecord
from otel_kpi.dev.wire.accepted import context, severity
from otel_kpi.dev.wire.protobuf_fields import fields, fixed32, fixed64, int32, text
from otel_kpi.dev.wire.protobuf_values import any_value, found
from otel_kpi.dev.wire.values import attribute

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Attribute, Value


def log_record(data: bytes, start: int, stop: int) -> LogRecord:  # noqa: C901, PLR0912 - the record's fields, one by one
    """The record between two positions.

    Raises:
        MalformedError: It is no message.
    """
    record = LogRecord(0, 0)
    trace_id = span_id = b""
    carried: list[Attribute] = []
    member = 0
    body: Value = None
    for tag, first, last in fields(data, start, stop):
        if tag == 0x32:
            carried.append(found(data, first, last))
        elif tag == 0x09:
            (record.time_ns,) = fixed64(data, first)
        elif tag == 0x59:
            (record.observed_ns,) = fixed64(data, first)
        elif tag == 0x10:
            record.severity_number = severity(int32(first))
        elif tag == 0x1A:
            record.severity_text = text(data, first, last)
        elif tag == 0x2A:
            member, body = any_value(data, first, last, member, body)
        elif tag == 0x38:
            record.dropped = first & 0xFFFF_FFFF
        elif tag == 0x45:
            (record.flags,) = fixed32(data, first)
        elif tag == 0x4A:
            trace_id = data[first:last]
        elif tag == 0x52:
            span_id = data[first:last]
        elif tag == 0x62:
            record.event_name = text(data, first, last)
    record.trace_id, record.span_id = context(trace_id, span_id)
    record.attributes = tuple(carried)
    if member:
        record.body = attribute("", body)
    return record
