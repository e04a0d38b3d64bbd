"""Hears what the providers of this process record. The application's pipeline stays as it is: this stands beside it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace
from opentelemetry._logs import get_logger_provider
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span


class Heard:
    """What was recorded while somebody listened.

    A span is heard where it began while somebody listened: what an earlier test left running is not this test's.
    """

    def __init__(self) -> None:
        self._begun: set[int] = set()
        self.spans: list[ReadableSpan] = []
        self.logs: list[ReadWriteLogRecord] = []

    def begin(self, span: Span) -> None:
        """A span has begun."""
        self._begun.add(span.get_span_context().span_id)

    def end(self, span: ReadableSpan) -> None:
        """A span has ended; one that is not sampled is not sent either."""
        context = span.context
        if context is not None and context.span_id in self._begun and context.trace_flags.sampled:
            self._begun.discard(context.span_id)
            self.spans.append(span)

    @property
    def unfinished(self) -> int:
        """Spans that have begun and not ended, or that are not sampled."""
        return len(self._begun)


listeners: list[Heard] = []
"""Who listens now."""


class _Spans(SpanProcessor):
    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        del parent_context
        for heard in listeners:
            heard.begin(span)

    def on_end(self, span: ReadableSpan) -> None:
        for heard in listeners:
            heard.end(span)


class _Logs(LogRecordProcessor):
    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        for heard in listeners:
            heard.logs.append(log_record)

    def shutdown(self) -> None:
        """Nothing is held here."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        del timeout_millis
        return True


_heard_by: Final[WeakKeyDictionary[Any, object]] = WeakKeyDictionary()
"""Providers that have a processor of ours: there is no way to take one away again, and two would hear twice."""


def attend() -> Any:
    """Stand beside the providers of this process; configure it, sending nowhere, where it has none.

    Returns:
        The meter provider, which readers can be added to.

    Raises:
        RuntimeError: Telemetry is switched off, or the providers are not opentelemetry-sdk's.
    """
    if not hasattr(trace.get_tracer_provider(), "add_span_processor"):
        configure_silently()
    tracers, loggers, meters = (
        trace.get_tracer_provider(),
        get_logger_provider(),
        metrics.get_meter_provider(),
    )
    if not hasattr(tracers, "add_span_processor"):
        raise RuntimeError(
            f"nothing can be captured: the tracer provider is {type(tracers).__name__}"
            + (
                "; OTEL_SDK_DISABLED is set"
                if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
                else ""
            )
        )
    _hear(tracers, "add_span_processor", _Spans)
    if hasattr(loggers, "add_log_record_processor"):
        _hear(loggers, "add_log_record_processor", _Logs)
    return meters


def _hear(provider: Any, add: str, processor: Callable[[], object]) -> None:
    if provider not in _heard_by:
        _heard_by[provider] = made = processor()
        getattr(provider, add)(made)


def configure_silently() -> None:
    """Configure this process as `otel_kpi.configure()` does, but for sending: nothing leaves, and Sentry is not started."""
    import otel_kpi

    dsn = os.environ.pop("SENTRY_DSN", None)
    try:
        otel_kpi.configure(exporters=("none",), host_metrics=False, script_span=False)
    finally:
        if dsn is not None:
            os.environ["SENTRY_DSN"] = dsn
