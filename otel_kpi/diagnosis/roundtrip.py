"""A span, a metric and a log record to where they would go, by the real exporters, and what the receiver says.

All three are marked: they belong to the service `otel-kpi-doctor`, so that nothing of it stands among what the
application says. The metric has no attributes, and so is one series. To Sentry goes an envelope without an event.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from otel_kpi._version import __version__
from otel_kpi.config import SIGNALS, PerSignal
from otel_kpi.diagnosis.address import without_user
from otel_kpi.diagnosis.report import Trip

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.config import Settings
    from otel_kpi.parts import Outlet, Parts
    from otel_kpi.sdk.channel import Signal

SERVICE = "otel-kpi-doctor"
_SCOPE = "otel_kpi.doctor"
_METRIC = "otel_kpi.doctor.round_trip"


def round_trips(parts: Parts, mark: str, timeout: float) -> tuple[Trip, ...]:
    """Send one item of each signal to each of its destinations; never raises.

    Args:
        parts: The exporters.
        mark: Attribute `otel_kpi.doctor` of the span and the log record.
        timeout: Seconds for each answer.
    """
    trips: list[Trip] = []

    def work() -> None:
        for signal in SIGNALS:
            trips.extend(_trip(outlet, mark, timeout) for outlet in parts.of(signal))

    # gRPC's reason for a failure is read from upstream's log line, and only on a thread that is called so.
    thread = threading.Thread(target=work, name="otel-kpi-export", daemon=True)
    thread.start()
    thread.join(timeout * (len(parts.outlets) + 1))
    return tuple(trips)


def _trip(outlet: Outlet, mark: str, timeout: float) -> Trip:
    from otel_kpi.pipeline import otlp_address, otlp_exporter
    from otel_kpi.sdk.transport import Transport

    signal = cast("Signal", outlet.signal)
    if outlet.name != "otlp" or outlet.make is not None:
        return Trip(signal, f"exporter {outlet.name}", "", "not tried", "it is not one of ours")
    settings = _hasty(outlet.settings, timeout)
    address = without_user(otlp_address(signal, settings))
    protocol = settings.protocol.of(signal)
    what = _WORDS[signal].format(mark=mark)
    began = time.monotonic()
    transport = Transport()
    try:
        exporter = otlp_exporter(signal, settings, transport)
        batch = exporter.encode(_items(signal, mark))
        began = time.monotonic()
        delivery = exporter.send(batch, began + timeout)
    except Exception as error:
        return Trip(signal, address, protocol, "failed", str(error), time.monotonic() - began)
    finally:
        transport.close()
    took = time.monotonic() - began
    if delivery.kind == "accepted" and delivery.refused:
        return Trip(signal, address, protocol, "partial", delivery.reason, took, what)
    if delivery.kind == "accepted":
        return Trip(signal, address, protocol, "accepted", "", took, what)
    answer = "refused" if delivery.kind == "rejected" else "failed"
    return Trip(signal, address, protocol, answer, delivery.reason, took)


_WORDS = {
    "traces": f"span `{_SCOPE}` of service `{SERVICE}`, attribute otel_kpi.doctor={{mark}}",
    "metrics": f"gauge `{_METRIC}` of service `{SERVICE}`",
    "logs": f"log record of service `{SERVICE}`, attribute otel_kpi.doctor={{mark}}",
}


def _hasty(settings: Settings, timeout: float) -> Settings:
    longest = int(timeout * 1000.0)
    return replace(
        settings, timeout=PerSignal(*(min(settings.timeout.of(signal), longest) for signal in SIGNALS))
    )


def _items(signal: str, mark: str) -> list[Any]:
    from opentelemetry.sdk.resources import Resource

    resource = Resource({"service.name": SERVICE, "service.version": __version__})
    items: list[Any] = []
    if signal == "traces":
        _record_span(resource, mark, items.append)
    elif signal == "logs":
        _record_log(resource, mark, items.append)
    else:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader

        reader = InMemoryMetricReader()
        provider = MeterProvider([reader], resource, shutdown_on_exit=False)
        provider.get_meter(_SCOPE).create_gauge(_METRIC, "{round_trip}").set(1)
        items.append(reader.get_metrics_data())
    return items


def _record_span(resource: Any, mark: str, take: Callable[[Any], None]) -> None:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    class Taking(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            take(span)

    provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(Taking())
    attributes = {"otel_kpi.doctor": mark}
    provider.get_tracer(_SCOPE).start_span(_SCOPE, Context(), attributes=attributes).end()


def _record_log(resource: Any, mark: str, take: Callable[[Any], None]) -> None:
    from opentelemetry._logs import SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor

    class Taking(LogRecordProcessor):
        def on_emit(self, log_record: Any) -> None:
            take(log_record)

        def shutdown(self) -> None:
            pass

        def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - as upstream calls it
            return True

    provider = LoggerProvider(resource, shutdown_on_exit=False)
    provider.add_log_record_processor(Taking())
    provider.get_logger(_SCOPE).emit(
        timestamp=time.time_ns(),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body="otel-kpi doctor was here",
        attributes={"otel_kpi.doctor": mark},
    )


def sentry_trip(dsn: str, timeout: float) -> Trip:
    """Ask Sentry whether it knows the DSN, with an envelope in which there is no event; never raises."""
    import json
    from urllib.parse import urlsplit

    from otel_kpi.sdk.transport import Endpoint, Transport

    try:
        parts = urlsplit(dsn)
        path, _, project = parts.path.strip("/").rpartition("/")
        host = parts.hostname
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        host = None
        parts, path, project, port = urlsplit(""), "", "", ""
    if parts.scheme not in {"http", "https"} or not host or not parts.username or not project.isdigit():
        return Trip("errors", "SENTRY_DSN", "envelope", "failed", "the DSN is malformed")
    origin = f"{parts.scheme}://{host}{port}"
    url = f"{origin}/{path + '/' if path else ''}api/{project}/envelope/"
    auth = f"Sentry sentry_version=7, sentry_client=otel-kpi/{__version__}, sentry_key={parts.username}"
    report = json.dumps({"timestamp": time.time(), "discarded_events": []})
    body = "\n".join(["{}", json.dumps({"type": "client_report"}), report, ""]).encode()
    endpoint = Endpoint(url, (("X-Sentry-Auth", auth),), timeout, "never")
    began = time.monotonic()
    transport = Transport()
    outcome = transport.send(
        endpoint, body, "application/x-sentry-envelope", deadline=time.monotonic() + timeout
    )
    transport.close()
    took = time.monotonic() - began
    answer = {"accepted": "accepted", "rejected": "refused"}.get(outcome.kind, "failed")
    sent = "an envelope without an event"
    return Trip(
        "errors", origin, "envelope", answer, outcome.reason, took, sent if answer == "accepted" else ""
    )
