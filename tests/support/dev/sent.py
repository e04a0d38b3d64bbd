"""Requests of a span each, as senders write them."""

from __future__ import annotations

import json
import os

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def traces(*names: str, text: str = "", service: str = "shop") -> bytes:
    """A request with a span for each name; one that is empty has no id and cannot be kept."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    attribute = resource.resource.attributes.add()
    attribute.key, attribute.value.string_value = "service.name", service
    scope = resource.scope_spans.add()
    for name in names:
        span = scope.spans.add(
            name=name,
            start_time_unix_nano=1_763_700_000_000_000_000,
            end_time_unix_nano=1_763_700_000_001_000_000,
        )
        if name:
            span.trace_id, span.span_id = os.urandom(16), os.urandom(8)
        if text:
            written = span.attributes.add()
            written.key, written.value.string_value = "text", text
    return request.SerializeToString()


def traces_json(*names: str) -> bytes:
    spans = [
        {
            "traceId": os.urandom(16).hex(),
            "spanId": os.urandom(8).hex(),
            "name": name,
            "kind": 2,
            "startTimeUnixNano": "1763700000000000000",
            "endTimeUnixNano": "1763700000001000000",
        }
        for name in names
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def logs(*bodies: str) -> bytes:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    for body in bodies:
        scope.log_records.add(time_unix_nano=1_763_700_000_000_000_000).body.string_value = body
    return request.SerializeToString()


def metrics(name: str, *values: float) -> bytes:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=name)
    for number, value in enumerate(values):
        metric.gauge.data_points.add(time_unix_nano=1_763_700_000_000_000_000 + number, as_double=value)
    return request.SerializeToString()
