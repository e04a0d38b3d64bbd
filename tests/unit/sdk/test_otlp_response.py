"""A receiver's answer is read when it says something, and never raises when it does not."""

from __future__ import annotations

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otel_kpi.sdk.otlp import Encoding, PartialSuccess, Signal, decode_partial_success
from otel_kpi.sdk.otlp_response import error_message

RESPONSES = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
}
SIGNALS: list[Signal] = ["traces", "metrics", "logs"]


@pytest.mark.parametrize("signal", SIGNALS)
@given(
    rejected=st.integers(0, (1 << 63) - 1), message=st.text(st.characters(categories=["L", "N"]), max_size=99)
)
def test_what_the_official_encoder_writes_is_read(signal: Signal, rejected: int, message: str) -> None:
    kind, field = RESPONSES[signal]
    response = kind()
    setattr(response.partial_success, field, rejected)
    response.partial_success.error_message = message
    expected = PartialSuccess(rejected, message) if rejected or message else None
    body = response.SerializeToString()
    assert decode_partial_success(signal, body, Encoding.PROTOBUF) == expected
    text = json_format.MessageToJson(response).encode()
    assert decode_partial_success(signal, text, Encoding.JSON) == expected


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'{"partialSuccess": null}',
        b'{"partialSuccess": {}}',
        b'{"partialSuccess": {"rejectedSpans": "many"}}',
        b'{"partialSuccess": {"rejectedSpans": 1e999}}',
        b'{"partialSuccess": {"rejectedSpans": -1}}',
        b"[" * 100_000,
        b"<html>502</html>",
        b"\x0a",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0a\x0b\x08" + b"\xff" * 9 + b"\x01",
        b"\x00" * 100,
        b"\xff" * 100,
    ],
)
def test_an_answer_that_says_nothing_is_none(body: bytes, encoding: Encoding) -> None:
    assert decode_partial_success("traces", body, encoding) is None


@given(st.binary(max_size=200), st.sampled_from(SIGNALS), st.sampled_from(Encoding))
def test_no_answer_raises(body: bytes, signal: Signal, encoding: Encoding) -> None:
    decode_partial_success(signal, body, encoding)
    for content_type in ("application/x-protobuf", "application/json", "text/plain; charset=utf-8", ""):
        error_message(content_type, body)


def test_a_message_is_one_short_line() -> None:
    body = b'{"partialSuccess": {"errorMessage": "a\\nb\\u001b[31m' + b"c" * 9999 + b'"}}'
    found = decode_partial_success("traces", body, Encoding.JSON)
    assert found is not None
    assert found.message.startswith("a b [31mc")
    assert len(found.message) <= 500
