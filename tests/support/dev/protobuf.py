"""Requests as OTLP protobuf, through the classes that OpenTelemetry generates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1 import logs_pb2 as logs
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.resource.v1 import resource_pb2 as resources
from opentelemetry.proto.trace.v1 import trace_pb2 as traces

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_kpi.dev.telemetry import (
        Attribute,
        Exemplar,
        Group,
        LogRecord,
        Metric,
        Point,
        Request,
        Resource,
        Scope,
        Span,
        Value,
    )


def encode(request: Request[Any]) -> bytes:
    """The body of `POST /v1/<signal>`."""
    if request.signal == "traces":
        return ExportTraceServiceRequest(
            resource_spans=[
                traces.ResourceSpans(
                    resource=_resource(group.resource),
                    schema_url=group.resource.schema_url,
                    scope_spans=[
                        traces.ScopeSpans(
                            scope=_scope(group.scope),
                            schema_url=group.scope.schema_url,
                            spans=[_span(item) for item in group.items],
                        )
                    ],
                )
                for group in request.groups
            ]
        ).SerializeToString()
    if request.signal == "logs":
        return _logs(request.groups)
    return _metrics(request.groups)


def _logs(groups: list[Group[LogRecord]]) -> bytes:
    return ExportLogsServiceRequest(
        resource_logs=[
            logs.ResourceLogs(
                resource=_resource(group.resource),
                schema_url=group.resource.schema_url,
                scope_logs=[
                    logs.ScopeLogs(
                        scope=_scope(group.scope),
                        schema_url=group.scope.schema_url,
                        log_records=[_record(item) for item in group.items],
                    )
                ],
            )
            for group in groups
        ]
    ).SerializeToString()


def _metrics(groups: list[Group[Metric]]) -> bytes:
    return ExportMetricsServiceRequest(
        resource_metrics=[
            metrics.ResourceMetrics(
                resource=_resource(group.resource),
                schema_url=group.resource.schema_url,
                scope_metrics=[
                    metrics.ScopeMetrics(
                        scope=_scope(group.scope),
                        schema_url=group.scope.schema_url,
                        metrics=[_metric(item) for item in group.items],
                    )
                ],
            )
            for group in groups
        ]
    ).SerializeToString()


def _value(value: Value) -> AnyValue:  # noqa: PLR0911 - one for each kind of value
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, list):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    pairs = [KeyValue(key=key, value=_value(item)) for key, item in value.items()]
    return AnyValue(kvlist_value=KeyValueList(values=pairs))


def _attributes(attributes: Iterable[Attribute]) -> list[KeyValue]:
    return [KeyValue(key=attribute.key, value=_value(attribute.value)) for attribute in attributes]


def _resource(resource: Resource) -> resources.Resource:
    return resources.Resource(attributes=_attributes(resource.attributes))


def _scope(scope: Scope) -> InstrumentationScope:
    return InstrumentationScope(
        name=scope.name, version=scope.version, attributes=_attributes(scope.attributes)
    )


def _span(span: Span) -> traces.Span:
    attributes, events, links = span.dropped
    return traces.Span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_id,
        trace_state=span.trace_state,
        flags=span.flags,
        name=span.name,
        kind=span.kind,  # pyright: ignore[reportArgumentType] - a number is what the class takes
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_attributes(span.attributes),
        dropped_attributes_count=attributes,
        events=[
            traces.Span.Event(
                name=event.name,
                time_unix_nano=event.time_ns,
                attributes=_attributes(event.attributes),
                dropped_attributes_count=event.dropped,
            )
            for event in span.events
        ],
        dropped_events_count=events,
        links=[
            traces.Span.Link(
                trace_id=link.trace_id,
                span_id=link.span_id,
                trace_state=link.trace_state,
                flags=link.flags,
                attributes=_attributes(link.attributes),
                dropped_attributes_count=link.dropped,
            )
            for link in span.links
        ],
        dropped_links_count=links,
        status=traces.Status(code=span.status, message=span.status_message),  # pyright: ignore[reportArgumentType] - the same
    )


def _record(record: LogRecord) -> logs.LogRecord:
    return logs.LogRecord(
        time_unix_nano=record.time_ns,
        observed_time_unix_nano=record.observed_ns,
        severity_number=record.severity_number,  # pyright: ignore[reportArgumentType] - the same
        severity_text=record.severity_text,
        body=None if record.body.value is None else _value(record.body.value),
        attributes=_attributes(record.attributes),
        dropped_attributes_count=record.dropped,
        trace_id=record.trace_id,
        span_id=record.span_id,
        event_name=record.event_name,
        flags=record.flags,
    )


def _exemplar(exemplar: Exemplar) -> metrics.Exemplar:
    return metrics.Exemplar(
        as_double=exemplar.value,
        time_unix_nano=exemplar.time_ns,
        trace_id=exemplar.trace_id,
        span_id=exemplar.span_id,
        filtered_attributes=_attributes(exemplar.attributes),
    )


def _point(point: Point, kind: str) -> Any:
    shared: dict[str, Any] = {
        "attributes": _attributes(point.attributes),
        "start_time_unix_nano": point.start_ns,
        "time_unix_nano": point.time_ns,
        "flags": int(point.no_value),
    }
    if kind != "summary":
        shared["exemplars"] = [_exemplar(exemplar) for exemplar in point.exemplars]
    if kind in {"gauge", "sum"}:
        if point.value is not None:
            shared["as_int" if isinstance(point.value, int) else "as_double"] = point.value
        return metrics.NumberDataPoint(**shared)
    shared |= {"count": point.count or 0, "sum": point.sum}
    if kind == "summary":
        values = [
            metrics.SummaryDataPoint.ValueAtQuantile(quantile=quantile, value=value)
            for quantile, value in point.quantiles
        ]
        return metrics.SummaryDataPoint(**shared, quantile_values=values)
    shared |= {"min": point.min, "max": point.max}
    if kind == "histogram":
        return metrics.HistogramDataPoint(**shared, bucket_counts=point.counts, explicit_bounds=point.bounds)
    buckets = metrics.ExponentialHistogramDataPoint.Buckets
    return metrics.ExponentialHistogramDataPoint(
        **shared,
        scale=point.scale,
        zero_count=point.zero_count,
        zero_threshold=point.zero_threshold,
        positive=buckets(offset=point.positive.offset, bucket_counts=point.positive.counts),
        negative=buckets(offset=point.negative.offset, bucket_counts=point.negative.counts),
    )


def _metric(metric: Metric) -> metrics.Metric:
    points = [_point(point, metric.kind) for point in metric.points]
    data: Any
    if metric.kind == "gauge":
        data = metrics.Gauge(data_points=points)
    elif metric.kind == "sum":
        data = metrics.Sum(
            data_points=points,
            aggregation_temporality=metric.temporality,  # pyright: ignore[reportArgumentType] - the same
            is_monotonic=metric.monotonic,
        )
    elif metric.kind == "summary":
        data = metrics.Summary(data_points=points)
    else:
        of = metrics.Histogram if metric.kind == "histogram" else metrics.ExponentialHistogram
        data = of(data_points=points, aggregation_temporality=metric.temporality)  # pyright: ignore[reportArgumentType] - the same
    return metrics.Metric(
        name=metric.name, description=metric.description, unit=metric.unit, **{metric.kind: data}
    )
