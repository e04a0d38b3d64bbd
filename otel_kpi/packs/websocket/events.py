"""Events of the application: published, delivered to so many clients, in so much time; and what clients subscribe to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind

from otel_kpi.packs.faults import failed
from otel_kpi.packs.outcome import error_type
from otel_kpi.packs.spans import mark
from otel_kpi.packs.websocket import handles

if TYPE_CHECKING:
    from types import TracebackType

EVENT_TYPE = "kpi.websocket.event.type"


def published(event_type: str, model_name: str | None = None, count: int = 1) -> None:
    """Count an event that was published, whoever receives it.

    Args:
        event_type: Its kind, for example `"kpi_update"`; at most 30 distinct values.
        model_name: The KPI model that it is about; at most 40 distinct values.
        count: How many of the kind, where several are published at once.

    Exported as `kpi_websocket_events_published_total`.
    """
    handles.events_published.add(count, event_type, model_name)


def delivered(event_type: str, model_name: str | None = None, recipients: int = 1) -> None:
    """Count the clients that an event was delivered to.

    Args:
        event_type: Its kind, as `published()` was told.
        model_name: The KPI model that it is about.
        recipients: How many clients.

    Exported as `kpi_websocket_events_delivered_total`.
    """
    handles.events_delivered.add(recipients, event_type, model_name)


def subscription(operation: str) -> None:
    """Count what a client did with its subscriptions.

    Args:
        operation: `"subscribe"`, `"unsubscribe"` or another word; at most 10 distinct values.

    Exported as `kpi_websocket_subscriptions_total`.
    """
    handles.subscriptions.add(1, operation)


def batch(size: int) -> None:
    """Record how many events were sent together.

    Args:
        size: In `{event}`.

    Exported as the histogram `kpi_websocket_batch_size`.
    """
    handles.batch_size.record(size)


def delivery_duration(event_type: str, seconds: float) -> None:
    """Record how long a delivery took that was measured elsewhere.

    Args:
        event_type: Its kind.
        seconds: From the first recipient to the last.

    Exported as the histogram `kpi_websocket_delivery_duration_seconds`.
    """
    handles.delivery_duration.record(seconds, event_type)


class delivery:  # noqa: N801 - a context manager, used as `with delivery(...)`
    """The delivery of an event to all its recipients, for `with` and `async with`; what it raises goes on.

    Args:
        event_type: Its kind; at most 30 distinct values.

    Its duration is the histogram `kpi_websocket_delivery_duration_seconds`. Inside of a trace that is recorded it is
    a PRODUCER span, too, which `inject()` hands on; it begins no trace of its own, since events come without end.
    """

    __slots__ = ("_event_type", "_span", "_start", "_token")

    def __init__(self, event_type: str) -> None:
        self._event_type = event_type

    def __enter__(self) -> None:
        """Begin."""
        self._span: trace.Span | None = None
        self._token: Any = None
        try:
            if trace.get_current_span().is_recording():
                self._span = handles.tracer.start_span(
                    f"deliver {self._event_type}",
                    kind=SpanKind.PRODUCER,
                    attributes={EVENT_TYPE: str(self._event_type)},
                )
                self._token = context.attach(trace.set_span_in_context(self._span))
        except Exception as error:
            failed("a delivery", error)
        self._start = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        handles.delivery_duration.record(time.perf_counter() - self._start, self._event_type)
        if self._token is not None:
            context.detach(self._token)
        if self._span is not None:
            end_with(self._span, error)

    async def __aenter__(self) -> None:
        """Begin."""
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        self.__exit__(kind, error, traceback)


def end_with(span: trace.Span, error: BaseException | None) -> None:
    """End a span with what was raised in it; a task that is cancelled is no error. Never raises."""
    try:
        if isinstance(error, Exception):
            mark(span, error_type(error), error)
        span.end()
    except Exception as fault:
        failed("the end of a span", fault)
