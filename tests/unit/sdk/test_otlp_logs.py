"""Log records as OTLP: every field as the official decoder reads it, and as upstream's encoder writes it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as upstream_encode_logs
from opentelemetry.sdk._logs import LogRecordLimits, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NonRecordingSpan, set_span_in_context
from unit.sdk import otlp_messages as otlp

from otel_kpi.sdk.otlp import Encoding, encode_logs

CONTEXTS = (otlp.contexts | st.just(INVALID_SPAN_CONTEXT)).map(
    lambda context: set_span_in_context(NonRecordingSpan(context))
)
RECORDS = st.builds(
    LogRecord,
    timestamp=st.none() | otlp.times,
    observed_timestamp=otlp.times,
    context=CONTEXTS,
    severity_text=st.none() | otlp.texts,
    severity_number=st.none() | st.sampled_from(SeverityNumber),
    body=otlp.values,
    attributes=st.none() | otlp.attributes,
    event_name=st.none() | otlp.texts,
)


@st.composite
def batches(draw: st.DrawFn) -> list[ReadWriteLogRecord | ReadableLogRecord]:
    resources = draw(otlp.resources)
    scopes = draw(st.lists(otlp.scopes, min_size=1, max_size=3))
    batch: list[ReadWriteLogRecord | ReadableLogRecord] = []
    for _ in range(draw(st.integers(0, 5))):
        record = ReadWriteLogRecord(
            draw(RECORDS), draw(st.sampled_from(resources)), draw(st.sampled_from(scopes)), LogRecordLimits()
        )
        if draw(st.booleans()):
            batch.append(ReadableLogRecord(record.log_record, resources[0], record.instrumentation_scope))
        else:
            batch.append(record)
    return batch


def assert_log(message: Any, record: ReadWriteLogRecord | ReadableLogRecord) -> None:
    log = record.log_record
    assert message.time_unix_nano == (log.timestamp or 0)
    assert message.observed_time_unix_nano == log.observed_timestamp
    assert message.severity_number == (log.severity_number.value if log.severity_number else 0)
    assert message.severity_text == (log.severity_text or "")
    assert otlp.exact(otlp.python_value(message.body)) == otlp.exact(log.body)
    assert otlp.exact(otlp.python_attributes(message.attributes)) == otlp.exact(log.attributes or {})
    assert message.dropped_attributes_count == record.dropped_attributes
    assert message.trace_id == (log.trace_id.to_bytes(16, "big") if log.trace_id else b"")
    assert message.span_id == (log.span_id.to_bytes(8, "big") if log.span_id else b"")
    assert message.flags == (log.trace_flags or 0)
    assert message.event_name == (log.event_name or "")


@otlp.quickly
@given(batches())
def test_every_field_of_every_record_is_what_the_official_decoder_reads(
    batch: list[ReadWriteLogRecord | ReadableLogRecord],
) -> None:
    for record in batch:  # one by one, so that the order within groups does not matter
        encoded = encode_logs([record], Encoding.PROTOBUF)
        assert (encoded.items, encoded.skipped) == (1, 0)
        (resource,) = otlp.from_protobuf("logs", encoded).resource_logs
        (scope,) = resource.scope_logs
        (message,) = scope.log_records
        assert record.resource is not None
        otlp.assert_resource(resource, record.resource)
        otlp.assert_scope(scope, record.instrumentation_scope)
        assert_log(message, record)


@otlp.quickly
@given(batches())
def test_json_and_protobuf_say_the_same_of_records(
    batch: list[ReadWriteLogRecord | ReadableLogRecord],
) -> None:
    protobuf = encode_logs(batch, Encoding.PROTOBUF)
    json = encode_logs(batch, Encoding.JSON)
    assert (json.items, json.skipped) == (protobuf.items, protobuf.skipped) == (len(batch), 0)
    assert otlp.same(otlp.from_json("logs", json), otlp.from_protobuf("logs", protobuf))


@otlp.quickly
@given(batches())
def test_records_are_what_upstream_writes_but_for_an_empty_body(
    batch: list[ReadWriteLogRecord | ReadableLogRecord],
) -> None:
    """Where a record has no body, upstream writes one that says nothing."""
    for record in batch:
        ours = otlp.from_protobuf("logs", encode_logs([record], Encoding.PROTOBUF))
        theirs = upstream_encode_logs([record])  # type: ignore[list-item] # looser than the stub, on purpose
        for resource in theirs.resource_logs:
            for scope in resource.scope_logs:
                for log in scope.log_records:
                    if log.body.WhichOneof("value") is None:
                        log.ClearField("body")
        assert otlp.same(ours, theirs)


def test_a_severity_given_as_a_number_is_kept() -> None:
    log = LogRecord(observed_timestamp=1, severity_number=SeverityNumber.INFO, body="x")
    log.severity_number = 13  # type: ignore[assignment] # looser than the stub, on purpose
    record = ReadWriteLogRecord(log)
    request = otlp.from_protobuf("logs", encode_logs([record], Encoding.PROTOBUF))
    assert request.resource_logs[0].scope_logs[0].log_records[0].severity_number == 13
