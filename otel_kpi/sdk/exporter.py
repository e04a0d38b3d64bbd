"""What sends a batch: our own OTLP over HTTP, or an exporter that somebody else wrote."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from otel_kpi.sdk.channel import Batch, Delivery, Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
    from opentelemetry.sdk.metrics.export import MetricsData

    from otel_kpi.sdk.otlp import Encoded, Encoding
    from otel_kpi.sdk.transport import Endpoint, Transport

_logger = logging.getLogger("otel_kpi.export")


class OtlpExporter:
    """OTLP over HTTP, as protobuf or JSON.

    Args:
        signal: What is sent.
        endpoint: Where to, and how.
        destination: The endpoint's origin, as a person is shown it.
        encoding: How it is written.
        transport: The connection, which exporters of one destination share.
    """

    def __init__(
        self, signal: Signal, endpoint: Endpoint, destination: str, encoding: Encoding, transport: Transport
    ) -> None:
        self.signal: Signal = signal
        self.destination = destination
        self._endpoint = endpoint
        self._encoding = encoding
        self._transport = transport
        self._encode: Callable[[Sequence[Any]], Encoded] | None = None

    def encode(self, items: Sequence[Any]) -> Batch:
        """Write the request."""
        encoded = self._encoder()(items)
        return Batch(encoded.body, encoded.items, encoded.skipped)

    def send(self, batch: Batch, deadline: float) -> Delivery:
        """Send the request, and read what the receiver says of it."""
        outcome = self._transport.send(
            self._endpoint, batch.payload, self._encoding.content_type, deadline=deadline
        )
        if outcome.kind != "accepted":
            return Delivery(outcome.kind, outcome.reason, outcome.retry_after)
        from otel_kpi.sdk.otlp import decode_partial_success

        partial = decode_partial_success(self.signal, outcome.body, self._encoding)
        if partial is None or not partial.rejected:
            return Delivery("accepted")
        return Delivery(
            "accepted", partial.message or "partial success", refused=min(partial.rejected, batch.items)
        )

    def abandon(self) -> None:
        """Forget the connection; it is the parent's."""
        self._transport.abandon()

    def end(self) -> None:
        """Nothing: what was accepted has arrived."""

    def _encoder(self) -> Callable[[Sequence[Any]], Encoded]:
        if self._encode is None:
            from otel_kpi.sdk import otlp

            encoding = self._encoding
            if self.signal == "traces":
                self._encode = lambda items: otlp.encode_spans(items, encoding)
            elif self.signal == "logs":
                self._encode = lambda items: otlp.encode_logs(items, encoding)
            else:
                self._encode = lambda items: otlp.encode_metrics(items[0], encoding)
        return self._encode


class ForeignExporter:
    """An exporter of upstream's or a vendor's, which encodes and sends on its own.

    Args:
        signal: What is sent.
        exporter: A `SpanExporter`, `MetricExporter` or `LogRecordExporter`.
        destination: How it is named to a person.
    """

    def __init__(self, signal: Signal, exporter: Any, destination: str) -> None:
        self.signal: Signal = signal
        self.destination = destination
        self._exporter = exporter
        self._ended = False

    def encode(self, items: Sequence[Any]) -> Batch:
        """Count the items; the exporter encodes them itself."""
        if self.signal == "metrics":
            return Batch(items[0], _data_points(items[0]))
        if self.signal == "logs":
            return Batch(tuple(_readable(record) for record in items), len(items))
        return Batch(tuple(items), len(items))

    def send(self, batch: Batch, deadline: float) -> Delivery:
        """Hand the batch over. Such an exporter repeats on its own, so a failure is final."""
        try:
            if self.signal == "metrics":
                timeout = max(0.0, deadline - time.monotonic()) * 1000.0
                result = self._exporter.export(batch.payload, timeout_millis=timeout)
            else:
                result = self._exporter.export(batch.payload)
        except Exception as error:
            return Delivery("rejected", f"{type(error).__name__}: {error}")
        return (
            Delivery("accepted") if result.name == "SUCCESS" else Delivery("rejected", "the exporter failed")
        )

    def abandon(self) -> None:
        """Nothing: what a foreign exporter holds is its own affair."""

    def end(self) -> None:
        """Shut the exporter down, once: it may keep things of its own until then."""
        if self._ended:
            return
        self._ended = True
        try:
            self._exporter.shutdown()
        except Exception as error:
            _logger.debug("an exporter failed at shutdown: %s", error)


def _readable(record: ReadWriteLogRecord) -> ReadableLogRecord:
    """What an exporter is given: the record as upstream's processors hand it over."""
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource

    return ReadableLogRecord(
        log_record=record.log_record,
        resource=record.resource or Resource.get_empty(),
        instrumentation_scope=record.instrumentation_scope,
        limits=record.limits,
    )


def _data_points(data: MetricsData) -> int:
    return sum(
        len(metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    )
