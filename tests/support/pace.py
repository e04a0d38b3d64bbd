"""How slow this machine is just now, so that a limit in microseconds means the same on a busy one."""

from __future__ import annotations

import statistics
import time
from functools import cache
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import TracerProvider

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Tracer

_AT_REST: Final = 14e-6
"""Seconds for a span of the stock SDK on the machine that the figures of `benchmarks/` are from."""
_MOST: Final = 5.0
"""A machine that is slower than that tells nothing of our code; with a limit that grew further nothing would fail."""


@cache
def _tracer() -> Tracer:
    return TracerProvider(shutdown_on_exit=False).get_tracer(__name__)


def _span() -> float:
    """Seconds for one span, of fifty."""
    tracer = _tracer()
    began = time.perf_counter()
    for _ in range(50):
        tracer.start_span("a", attributes={"a": 1, "b": "c"}).end()
    return (time.perf_counter() - began) / 50


def slowdown() -> float:
    """What to multiply a limit with: 1 on the machine of the figures at rest, more where Python is slower now."""
    return min(_MOST, max(1.0, statistics.median(_span() for _ in range(21)) / _AT_REST))


def best(work: Callable[[], object], number: int = 25, rounds: int = 200) -> float:
    """Seconds of one call: of many short rounds the one that nothing else has disturbed."""
    least = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(number):
            work()
        least = min(least, time.perf_counter() - began)
    return least / number
