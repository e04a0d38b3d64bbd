"""No secret leaves in any part of a span or log record; a clean one is passed on as it is."""

from __future__ import annotations

from typing import Any, cast

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from otel_kpi.sdk.otlp import Encoding, encode_logs, encode_spans
from otel_kpi.sdk.redacted import redacted_log, redacted_span

SECRET = "hunter2hunter2"


class Keep(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


@pytest.fixture
def keep() -> Keep:
    return Keep()


@pytest.fixture
def provider(keep: Keep) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(keep)
    return provider


def test_secret_in_any_part_of_a_span_does_not_leave(provider: TracerProvider, keep: Keep) -> None:
    context = SpanContext(1, 2, is_remote=True)
    tracer = provider.get_tracer("t")
    with tracer.start_as_current_span(
        f"GET /?token={SECRET}", links=[Link(context, {"password": SECRET})]
    ) as recording:
        recording.set_attribute("http.request.header.authorization", [f"Bearer {SECRET}"])
        recording.set_attribute("url.full", f"https://user:{SECRET}@host/x?api_key={SECRET}")
        recording.add_event("login", {"password": SECRET, "user": "bob"})
        recording.record_exception(ValueError(f"password={SECRET}"))
        recording.set_status(Status(StatusCode.ERROR, f"ValueError: password={SECRET}"))
    (span,) = keep.spans
    clean = redacted_span(span)
    for encoding in Encoding:
        assert SECRET.encode() not in encode_spans([clean], encoding).body
    assert clean.context == span.context
    assert (clean.start_time, clean.end_time, clean.kind) == (span.start_time, span.end_time, span.kind)
    assert dict(clean.events[0].attributes or {})["user"] == "bob"


def test_dropped_counts_survive_the_cleaning(keep: Keep) -> None:
    from opentelemetry.sdk.trace import SpanLimits

    provider = TracerProvider(
        shutdown_on_exit=False, span_limits=SpanLimits(max_span_attributes=2, max_events=1)
    )
    provider.add_span_processor(keep)
    with provider.get_tracer("t").start_as_current_span("s") as span:
        for number in range(5):
            span.set_attribute(f"password.{number}", SECRET)
            span.add_event("e")
    clean = redacted_span(keep.spans[0])
    assert (clean.dropped_attributes, clean.dropped_events) == (3, 4)


def test_clean_span_is_passed_on_as_it_is(provider: TracerProvider, keep: Keep) -> None:
    with provider.get_tracer("t").start_as_current_span("s", attributes={"http.route": "/", "n": 1}) as span:
        span.add_event("e", {"gen_ai.usage.input_tokens": 3})
    assert redacted_span(keep.spans[0]) is keep.spans[0]


def test_secret_in_a_log_record_does_not_leave() -> None:
    record = ReadWriteLogRecord(
        LogRecord(body=f"password={SECRET}", attributes={"api_key": SECRET, "user": "bob"})
    )
    body = encode_logs([redacted_log(record)], Encoding.PROTOBUF).body
    assert SECRET.encode() not in body
    assert b"bob" in body


def test_span_whose_parts_are_of_any_type_costs_neither_the_batch_nor_the_span() -> None:
    from opentelemetry.sdk.trace import Event

    odd: Any = {1: SECRET, None: f"password={SECRET}", "password": object(), ("a",): {"token": SECRET}}
    span = ReadableSpan(
        name=cast("Any", 17),
        attributes=odd,
        events=[Event(cast("Any", 3), odd), Event("gen_ai.user.message", odd)],
        status=Status(StatusCode.ERROR, f"password={SECRET}"),
    )
    clean = redacted_span(span)
    assert f"password={SECRET}" not in f"{clean.attributes}{clean.status.description}"
    assert SECRET not in str(clean.events[1].attributes)
    record = ReadWriteLogRecord(LogRecord(body=odd, event_name=cast("Any", 5)))
    assert f"password={SECRET}" not in f"{redacted_log(record).log_record.body}"
