"""What our own distribution sends, and what others send of the same, is read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode
from unit.dev.wire import official

from otel_kpi.dev.wire import json, protobuf
from otel_kpi.sdk.otlp import Encoding, encode_logs, encode_metrics, encode_spans

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Request, Signal

RESOURCE = Resource(
    {"service.name": "shop", "process.command_args": ["python", "-m", "shop"]}, "https://schema"
)
both = pytest.mark.parametrize("encoding", Encoding)


def decoded(signal: Signal, body: bytes, encoding: Encoding) -> Request[Any]:
    decoder = protobuf if encoding is Encoding.PROTOBUF else json
    request = decoder.decode(signal, body)
    assert request.rejected == 0, request.problem
    return request


class _Keep(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def spans() -> list[ReadableSpan]:
    keep = _Keep()
    provider = TracerProvider(resource=RESOURCE, shutdown_on_exit=False)
    provider.add_span_processor(keep)
    tracer = provider.get_tracer("shop.web", "1.2")
    elsewhere = Link(SpanContext(0xABC, 0xDEF, is_remote=True), {"reason": "batch"})
    with tracer.start_as_current_span("POST /orders", kind=SpanKind.SERVER, links=[elsewhere]) as span:
        span.set_attribute("http.response.status_code", 500)
        span.set_attribute("items", ["a", "b"])
        span.record_exception(ValueError("no such item"))
        span.set_status(StatusCode.ERROR, "no such item")
        with tracer.start_as_current_span("SELECT", kind=SpanKind.CLIENT):
            pass
    return keep.spans


@both
def test_spans_of_our_own_encoder_are_read(encoding: Encoding) -> None:
    made = spans()
    request = decoded("traces", encode_spans(made, encoding).body, encoding)
    (group,) = request.groups
    inner, outer = group.items
    assert (group.resource.service, group.resource.schema_url) == ("shop", "https://schema")
    assert (group.scope.name, group.scope.version) == ("shop.web", "1.2")
    assert inner.parent_id == outer.span_id
    assert (outer.name, outer.kind, outer.status, outer.status_message) == (
        "POST /orders",
        2,
        2,
        "no such item",
    )
    assert (outer.start_ns, outer.end_ns) == (made[1].start_time, made[1].end_time)
    assert {each.key: each.json for each in outer.attributes} == {
        "http.response.status_code": "500",
        "items": '["a","b"]',
    }
    (event,), (link,) = outer.events, outer.links
    assert event.name == "exception"
    assert {each.key: each.value for each in event.attributes}["exception.message"] == "no such item"
    assert (link.trace_id, link.span_id) == ((0xABC).to_bytes(16), (0xDEF).to_bytes(8))
    assert [each.value for each in link.attributes] == ["batch"]


def metrics() -> MetricsData:
    reader = InMemoryMetricReader()
    view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
    meter = MeterProvider([reader], RESOURCE, views=[view], shutdown_on_exit=False).get_meter("shop")
    meter.create_counter("orders", "1", "Orders.").add(3, {"kind": "new"})
    meter.create_gauge("queue").set(2.5)
    for name in ("duration", "exponential"):
        for value in (0.003, 0.2, 4.0, 0.0):
            meter.create_histogram(name, "s").record(value, {"route": "/"})
    found = reader.get_metrics_data()
    assert found is not None
    return found


@both
def test_metrics_of_our_own_encoder_are_read(encoding: Encoding) -> None:
    request = decoded("metrics", encode_metrics(metrics(), encoding).body, encoding)
    found = {metric.name: metric for metric in request.groups[0].items}
    orders, queue = found["orders"], found["queue"].points[0]
    assert (orders.kind, orders.temporality, orders.monotonic, orders.unit) == ("sum", 2, True, "1")
    assert (orders.points[0].value, orders.points[0].attributes[0].value) == (3, "new")
    assert queue.value == 2.5
    duration, exponential = found["duration"].points[0], found["exponential"].points[0]
    for point in (duration, exponential):
        assert (point.count, point.sum, point.min, point.max) == (4, 4.203, 0.0, 4.0)
    assert len(duration.counts) == len(duration.bounds) + 1
    assert exponential.zero_count == 1
    assert sum(exponential.positive.counts) == 3


@both
def test_logs_of_our_own_encoder_are_read(encoding: Encoding) -> None:
    record = LogRecord(
        timestamp=official.TIME,
        observed_timestamp=official.TIME + 1,
        severity_number=SeverityNumber.WARN,
        severity_text="WARN",
        body={"stock": 3},
        attributes={"item": "tea"},
    )
    sent = ReadWriteLogRecord(record, RESOURCE, InstrumentationScope("shop.stock"))
    request = decoded("logs", encode_logs([sent], encoding).body, encoding)
    (found,) = request.groups[0].items
    assert (found.time_ns, found.observed_ns) == (official.TIME, official.TIME + 1)
    assert (found.severity_number, found.severity_text) == (13, "WARN")
    assert (found.body.value, found.body.json) == ({"stock": 3}, '{"stock":3}')
    assert [(each.key, each.value) for each in found.attributes] == [("item", "tea")]


def test_both_encodings_of_the_same_are_the_same() -> None:
    made, measured = spans(), metrics()
    for signal, encoded in (
        ("traces", [encode_spans(made, each).body for each in Encoding]),
        ("metrics", [encode_metrics(measured, each).body for each in Encoding]),
    ):
        first, second = (decoded(signal, body, each) for body, each in zip(encoded, Encoding, strict=True))  # type: ignore[arg-type] # signal is one of the three
        assert first == replace(second, size=first.size)


def test_gos_order_of_fields_is_read() -> None:
    # Go writes what is in a `oneof` behind the other fields, and an empty scope and resource as empty messages.
    status = b"\x7a\x02\x18\x02"
    times = b"".join([bytes([tag]) + official.TIME.to_bytes(8, "little") for tag in (0x39, 0x41)])
    head = b"\x0a\x10" + b"t" * 16 + b"\x12\x08" + b"s" * 8 + b"\x22\x00\x2a\x02go\x30\x03"
    value = b"\x4a\x07\x0a\x01k\x12\x02\x18\x05"
    span = head + times + value + status + b"\x85\x01\x01\x01\x00\x00"
    scope = b"\x0a\x00\x12" + bytes([len(span)]) + span
    resource = b"\x0a\x00\x12" + bytes([len(scope)]) + scope
    request = protobuf.decode("traces", b"\x0a" + bytes([len(resource)]) + resource)
    (found,) = request.groups[0].items
    assert (found.name, found.kind, found.status, found.flags, found.parent_id) == ("go", 3, 2, 257, b"")
    assert [(each.key, each.value) for each in found.attributes] == [("k", 5)]
    assert request.groups[0].resource.service == "unknown_service"
