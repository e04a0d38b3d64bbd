"""Where finished spans and log records enter their channel: queued, nothing else; the worker takes secrets out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

from otel_kpi.sdk.lent_context import LentContext

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadWriteLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span

    from otel_kpi.sdk.channel import Channel


class _Queue:
    """What ends in a channel.

    Args:
        channel: Where it goes.
        drain: Called by `force_flush`; takes a deadline and says whether everything went out.
    """

    def __init__(self, channel: Channel, drain: Callable[[float], bool]) -> None:
        self._channel = channel
        self._drain = drain

    def shutdown(self) -> None:
        """Send what waits; the worker itself ends with the process."""
        self._drain(time.monotonic() + 2.0)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits now."""
        return self._drain(time.monotonic() + timeout_millis / 1000.0)


class SpanQueue(_Queue, SpanProcessor):
    """Queues sampled spans when they end."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Link the first trace of a thread to what started the thread; else a span costs only when it ends."""
        if span.parent is None:
            lent = get_current() if parent_context is None else parent_context
            if type(lent) is LentContext and (origin := lent.take_origin()) is not None:
                span.add_link(origin)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span if it is sampled."""
        context = span.context
        if context is not None and context.trace_flags.sampled:
            self._channel.offer(span)


class LogQueue(_Queue, LogRecordProcessor):
    """Queues log records."""

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Queue the record."""
        self._channel.offer(log_record)
