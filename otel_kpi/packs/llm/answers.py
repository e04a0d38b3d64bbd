"""Answers that may be spoken of later: which span a response came with.

Feedback comes minutes after an answer and in another request. The last answers are remembered, so that what is said of
one stands in its trace; of an older one, or of one that another process gave, the response's id tells.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from otel_kpi import forks

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

_MOST: Final = 1024
_LONGEST: Final = 256
"""Characters of an id."""


class _Remembered:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: OrderedDict[str, SpanContext] = OrderedDict()

    def add(self, response_id: str, span: SpanContext) -> None:
        with self._lock:
            self._spans[response_id] = span
            self._spans.move_to_end(response_id)
            while len(self._spans) > _MOST:
                self._spans.popitem(last=False)

    def of(self, response_id: str) -> SpanContext | None:
        with self._lock:
            return self._spans.get(response_id)

    def after_fork(self) -> None:
        """Have a lock that nobody holds: one of the parent's threads may have held it."""
        self._lock = threading.Lock()


_answers: Final = _Remembered()
forks.in_child(_answers.after_fork)


def remember(response_id: str | None, span: SpanContext) -> None:
    """Note with which span a response came."""
    if type(response_id) is str and 0 < len(response_id) <= _LONGEST and span.is_valid:
        _answers.add(response_id, span)


def span_of(response_id: str | None) -> SpanContext | None:
    """The span of one of the last 1,024 responses; None of any other."""
    return _answers.of(response_id) if type(response_id) is str else None
