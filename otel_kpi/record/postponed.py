"""What is recorded a little later: before somebody reads, or when a few have come together.

Ten recordings of a call of a language model take 9 µs when they follow each other, and four times that in between the
work of an SDK that has pushed everything out of the processor's caches. So they wait for each other.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Final

from otel_kpi import forks

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("otel_kpi.record")

_MOST: Final = 32
_waiting: Final[deque[Callable[[], object]]] = deque()


def postpone(record: Callable[[], object]) -> None:
    """Have something recorded by `record_waiting`, which is called here when enough of it waits."""
    _waiting.append(record)
    if len(_waiting) >= _MOST:
        record_waiting()


def record_waiting() -> None:
    """Record what waits."""
    while _waiting:
        try:
            record = _waiting.popleft()
        except IndexError:
            return  # another thread was quicker
        try:
            record()
        except Exception:
            _logger.debug("something was not recorded", exc_info=True)


def forget_waiting() -> None:
    """Record nothing of what waits."""
    _waiting.clear()


forks.in_child(forget_waiting)
