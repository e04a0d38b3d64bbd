"""OTLP by gRPC: upstream's exporter, driven so that it fails like ours.

Left alone it repeats a failed request on its own for the whole timeout, holds up the export thread meanwhile, writes
a line for each attempt and then gives the batch up. Here each attempt is one, the channel keeps the batch and
repeats, and the reason reaches the one line that says that the destination is down.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_kpi.sdk.channel import Batch, Delivery, Signal
from otel_kpi.sdk.exporter import ForeignExporter

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.sdk.transport import Endpoint

# https://opentelemetry.io/docs/specs/otlp/#failures
_RETRY = frozenset(
    {
        "ABORTED",
        "CANCELLED",
        "DATA_LOSS",
        "DEADLINE_EXCEEDED",
        "OUT_OF_RANGE",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
    }
)
_MAX_SAID = 120  # characters of gRPC's own words


class GrpcExporter(ForeignExporter):
    """Upstream's gRPC exporter, made at the first request and again in a forked child.

    Args:
        signal: What is sent.
        endpoint: Where to, and how; the address has no path.
        destination: How it is named to a person.

    Raises:
        ImportError: `otel-kpi[otlp]` is not installed.
    """

    def __init__(self, signal: Signal, endpoint: Endpoint, destination: str) -> None:
        self._make = _exporter_class(signal)
        self._endpoint = endpoint
        super().__init__(signal, None, destination)

    def send(self, batch: Batch, deadline: float) -> Delivery:
        """Send once."""
        if self._exporter is None:
            try:
                self._exporter = self._make(**_arguments(self._endpoint))
            except Exception as error:
                return Delivery("rejected", f"{type(error).__name__}: {error}")
        _failure.clear()
        delivery = super().send(batch, deadline)
        if delivery.kind == "accepted" or not _failure.code:
            return delivery
        reason = f"{_failure.code}: {_failure.details.rpartition('last error: ')[2][:_MAX_SAID]}"
        return Delivery("retry" if _failure.code in _RETRY else "rejected", reason)

    def abandon(self) -> None:
        """Leave the channel to the parent; gRPC's threads are not in a forked child."""
        self._exporter = None

    def end(self) -> None:
        """Nothing: each request was answered, and upstream's shutdown would wait for a retry that is not made."""


def _exporter_class(signal: Signal) -> Callable[..., Any]:
    try:
        if signal == "traces":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

            made: Callable[..., Any] = OTLPSpanExporter
        elif signal == "metrics":
            from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

            made = OTLPMetricExporter
        else:
            from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

            made = OTLPLogExporter
    except ImportError as error:
        raise ImportError("OTLP by gRPC needs: pip install 'otel-kpi[otlp]'") from error
    logger = logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter")
    if _failure not in logger.filters:
        logger.filters.insert(0, _failure)  # before upstream's, which passes the same text once a minute
    return made


def _arguments(endpoint: Endpoint) -> dict[str, Any]:
    import grpc

    credentials = None
    if endpoint.url.startswith("https"):
        files = (endpoint.certificate, endpoint.client_key, endpoint.client_certificate)
        credentials = grpc.ssl_channel_credentials(
            *(Path(name).read_bytes() if name else None for name in files)
        )
    return {
        "endpoint": endpoint.url,
        "insecure": credentials is None,
        "credentials": credentials,
        "headers": endpoint.headers,
        "timeout": endpoint.timeout,  # upstream takes OpenTelemetry's milliseconds in the environment for seconds
        "compression": grpc.Compression.Gzip if endpoint.gzip == "always" else grpc.Compression.NoCompression,
        "retryable_error_codes": [grpc.StatusCode.OK],  # none of those that fail
    }


class _Failure(logging.Filter):
    """Takes the reason of a failure out of upstream's line, the only place where it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.clear()

    def clear(self) -> None:
        self.code = self.details = ""

    def filter(self, record: logging.LogRecord) -> bool:
        if threading.current_thread().name != "otel-kpi-export":
            return True  # an exporter of the application's own
        arguments = record.args
        if isinstance(arguments, tuple) and len(arguments) == 4:  # noqa: PLR2004 - what, where, code, details
            self.code = str(getattr(arguments[2], "name", arguments[2]))
            self.details = str(arguments[3])
        return False


_failure = _Failure()
