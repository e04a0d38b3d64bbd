"""A context that is lent to a thread, and given back when the work that lent it is over.

A thread may live longer than the request that happened to start it: a pool's worker, a consumer, a timer. Were it to
keep the request's context, every later span in it would stand in the trace of that request, every later call would
carry its baggage. A lent context is that of the lender as long as the lender's span is open, and empty afterwards.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from opentelemetry import trace
from opentelemetry.context import Context

if TYPE_CHECKING:
    from typing import Any

    from opentelemetry.trace import SpanContext

_UNKNOWN: Final = 60.0
"""Seconds for which a span lends that does not tell when it ends: one that is not sampled, or not of this process."""


class LentContext(Context):
    """A copy of the lender's context until its span has ended.

    Args:
        lender: The context of the work that starts the thread.
        grace: Seconds after the end of the lender's span for which the context is lent on.
    """

    def __init__(self, lender: Context, grace: float = 0.0) -> None:
        super().__init__(lender)
        self._span: trace.Span | None = trace.get_current_span(lender)
        self._since = time.time()
        self._grace = grace
        self._origin: SpanContext | None = None

    def is_open(self) -> bool:
        """Whether it still is the context of the lender."""
        span = self._span
        if span is None:
            return False
        if span.is_recording():
            return True
        ended: int | None = getattr(span, "end_time", None)  # nanoseconds; opentelemetry-sdk's spans have it
        limit = self._since + _UNKNOWN if ended is None else ended / 1e9 + self._grace
        if time.time() < limit:
            return True
        self._origin = span.get_span_context()
        self._span = None
        dict.clear(
            self
        )  # so that neither the span nor what else was in it is kept for the life of the thread
        return False

    def take_origin(self) -> SpanContext | None:
        """Give what lent it, once, when that is over: the first span that begins then is linked to it."""
        if self.is_open():
            return None
        origin, self._origin = self._origin, None
        return origin if origin is not None and origin.is_valid else None

    def get(self, key: str, default: Any = None) -> Any:
        """Give a value of the lender's, while it is lent."""
        return super().get(key, default) if self.is_open() else default

    def __getitem__(self, key: str) -> object:
        self.is_open()
        return super().__getitem__(key)

    def copy(self) -> dict[str, object]:
        """Copy what is lent now; OpenTelemetry makes a new context of it for each span."""
        self.is_open()
        return super().copy()
