"""The exporters of OpenTelemetry's own SDK, over HTTP and gRPC, all three signals."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if TYPE_CHECKING:
    from support.dev.served import Served


def exporters(server: Served, protocol: str) -> tuple[Any, Any, Any]:
    if protocol == "grpc":
        options: dict[str, Any] = {
            "endpoint": server.url,
            "insecure": True,
            "compression": grpc.Compression.Gzip,
        }
        return GrpcSpans(**options), GrpcMetrics(**options), GrpcLogs(**options)
    packing = Compression.Gzip
    return (
        HttpSpans(f"{server.url}/v1/traces", compression=packing),
        HttpMetrics(f"{server.url}/v1/metrics", compression=packing),
        HttpLogs(f"{server.url}/v1/logs", compression=packing),
    )


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_what_the_sdk_sends_is_what_is_shown(server: Served, protocol: str) -> None:
    spans, points, records = exporters(server, protocol)
    resource = Resource({"service.name": f"over-{protocol}", "zone": "a"})
    tracing = TracerProvider(resource=resource)
    tracing.add_span_processor(BatchSpanProcessor(spans))
    logged = LoggerProvider(resource=resource)
    logged.add_log_record_processor(BatchLogRecordProcessor(records))
    measured = MeterProvider([PeriodicExportingMetricReader(points)], resource=resource)
    tracer = tracing.get_tracer("shop", "1.2")
    with tracer.start_as_current_span("checkout", attributes={"amount": 12.5, "items": ["a", "b"]}) as root:
        with tracer.start_as_current_span("pay") as paid:
            paid.add_event("retried", {"times": 2})
            paid.record_exception(ValueError("no money"))
        logged.get_logger("shop").emit(body="sold", severity_number=None, timestamp=1)
    measured.get_meter("shop").create_histogram("duration", "s").record(0.2)
    for provider in (tracing, logged, measured):
        provider.shutdown()

    trace = server.dev.traces.trace(format(root.get_span_context().trace_id, "032x"))
    assert trace is not None
    assert {span.name: span.service for span in trace.spans} == {
        "checkout": f"over-{protocol}",
        "pay": f"over-{protocol}",
    }
    checkout, pay = sorted(trace.spans, key=lambda span: span.name)
    assert pay.parent_id == checkout.span_id
    assert dict(checkout.attributes) == {"amount": 12.5, "items": ["a", "b"]}
    assert checkout.resource["zone"] == "a"
    assert (checkout.scope, checkout.scope_version) == ("shop", "1.2")
    assert [event.name for event in pay.events] == ["retried", "exception"]
    assert [log.body for log in trace.logs] == ["sold"]
    assert server.count("point") >= 1
    logging.getLogger("opentelemetry").handlers.clear()
