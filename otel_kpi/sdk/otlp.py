"""OTLP requests, written directly: spans, metrics and log records to ``http/protobuf`` or ``http/json``.

This module is the face; what is behind it:

- ``otlp_spans``, ``otlp_metrics``, ``otlp_logs`` know the fields of each message,
- ``otlp_groups`` puts items under their scope and resource,
- ``otlp_protobuf`` and ``otlp_json`` know how a field is written (``otlp_writer`` is their contract),
- ``otlp_values`` makes any Python value one that OTLP can carry,
- ``otlp_response`` reads the answer.

Nothing here raises for what it was given: an attribute of a strange type becomes text, an item that cannot
be written is left out and counted.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from otel_kpi.sdk.otlp_groups import Frame, Groups
from otel_kpi.sdk.otlp_response import PartialSuccess, Signal, from_json, from_protobuf
from otel_kpi.sdk.otlp_writer import Piece, Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

__all__ = [
    "Encoded",
    "Encoding",
    "PartialSuccess",
    "Signal",
    "decode_partial_success",
    "encode_logs",
    "encode_metrics",
    "encode_spans",
]


class Encoding(enum.Enum):
    """How a request is written; the values are those of ``OTEL_EXPORTER_OTLP_PROTOCOL``."""

    PROTOBUF = "http/protobuf"
    JSON = "http/json"

    @property
    def content_type(self) -> str:
        """The ``Content-Type`` of a request."""
        return "application/x-protobuf" if self is Encoding.PROTOBUF else "application/json"


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request, and what is in it.

    Attributes:
        body: The body of the request, not compressed.
        items: Spans, data points or log records in it.
        skipped: Those that could not be written and are not in it.
    """

    body: bytes
    items: int
    skipped: int


def encode_spans(spans: Sequence[ReadableSpan], encoding: Encoding) -> Encoded:
    """Write an ``ExportTraceServiceRequest``."""
    return _encoder(encoding).spans(spans)


def encode_metrics(data: MetricsData, encoding: Encoding) -> Encoded:
    """Write an ``ExportMetricsServiceRequest``; its items are data points."""
    return _encoder(encoding).metrics(data)


def encode_logs(records: Sequence[ReadableLogRecord | ReadWriteLogRecord], encoding: Encoding) -> Encoded:
    """Write an ``ExportLogsServiceRequest``."""
    return _encoder(encoding).logs(records)


def decode_partial_success(signal: Signal, body: bytes, encoding: Encoding) -> PartialSuccess | None:
    """Read the answer to a request that was accepted.

    Args:
        signal: What the request carried.
        body: The body of the response, not compressed.
        encoding: How the request was written; the answer is written the same way.

    Returns:
        What was refused or said, or ``None`` when nothing was, or when the body cannot be read.
    """
    if not body:
        return None
    return from_protobuf(body) if encoding is Encoding.PROTOBUF else from_json(signal, body)


class _Encoder(Generic[Piece]):
    """Writes requests of all three signals with one writer, and remembers what repeats."""

    def __init__(self, writer: Writer[Piece]) -> None:
        self._writer = writer
        self._spans = Frame(writer, "spans", "spans")
        self._metrics = Frame(writer, "metrics", "metrics")
        self._logs = Frame(writer, "logs", "log_records")

    def spans(self, spans: Sequence[ReadableSpan]) -> Encoded:
        from otel_kpi.sdk.otlp_spans import encode_span

        writer = self._writer
        groups = Groups(self._spans)
        skipped = 0
        for span in spans:
            try:
                piece = encode_span(writer, span)
                groups.place(span.resource, span.instrumentation_scope).append(piece)
            except Exception:
                skipped += 1
        return Encoded(groups.body(), len(spans) - skipped, skipped)

    def logs(self, records: Sequence[ReadableLogRecord | ReadWriteLogRecord]) -> Encoded:
        from otel_kpi.sdk.otlp_logs import encode_log

        writer = self._writer
        groups = Groups(self._logs)
        skipped = 0
        for record in records:
            try:
                piece = encode_log(writer, record)
                groups.place(record.resource, record.instrumentation_scope).append(piece)
            except Exception:
                skipped += 1
        return Encoded(groups.body(), len(records) - skipped, skipped)

    def metrics(self, data: MetricsData) -> Encoded:
        from otel_kpi.sdk.otlp_metrics import encode_metric

        writer = self._writer
        groups = Groups(self._metrics)
        items = skipped = 0
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    try:
                        piece, written, left_out = encode_metric(writer, metric)
                        if piece is not None:
                            groups.place(resource.resource, scope.scope).append(piece)
                    except Exception:
                        written, left_out = 0, _data_points(metric)
                    items += written
                    skipped += left_out
        return Encoded(groups.body(), items, skipped)


def _data_points(metric: Any) -> int:
    """Data points of a metric that may be broken in any way; at least one."""
    try:
        return len(metric.data.data_points)
    except Exception:
        return 1


_encoders: dict[Encoding, _Encoder[bytes] | _Encoder[str]] = {}


def _encoder(encoding: Encoding) -> _Encoder[bytes] | _Encoder[str]:
    encoder = _encoders.get(encoding)
    if encoder is None:
        if encoding is Encoding.PROTOBUF:
            from otel_kpi.sdk.otlp_protobuf import ProtobufWriter

            encoder = _Encoder(ProtobufWriter())
        else:
            from otel_kpi.sdk.otlp_json import JsonWriter

            encoder = _Encoder(JsonWriter())
        _encoders[encoding] = encoder
    return encoder
