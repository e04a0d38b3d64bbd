"""How long the garbage collector stops the process.

CPython calls back before and after each collection, wherever an object is made: also while opentelemetry-sdk holds a
lock that a measurement needs. So what is seen there is only noted, 0.8 µs for each collection, and measured when
metrics are collected.
"""

from __future__ import annotations

import gc
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks, record
from otel_kpi.packs.runtime.instruments import GC_PAUSE, GC_TIME, SCOPE, SHORTEST_PAUSE
from otel_kpi.packs.runtime.speech import SPEECH

if TYPE_CHECKING:
    from collections.abc import Iterator

_GENERATIONS: Final = 3
_MOST_PAUSES: Final = 10_000
"""Pauses that wait for a collection; 10 s of nothing else. Older ones are in `kpi.runtime.gc.time` alone."""


class Pauses:
    """Notes the collector's pauses; hung into `gc.callbacks`.

    Attributes:
        seconds: In the collector since this process began, by generation.
        noted: Pauses of `SHORTEST_PAUSE` and longer that were not measured yet, with their generation.
    """

    def __init__(self) -> None:
        self.seconds = [0.0] * _GENERATIONS
        self.noted: deque[tuple[float, int]] = deque(maxlen=_MOST_PAUSES)
        self._began = 0.0

    # The clock is an argument: the interpreter collects once more when it has taken the modules apart.
    def __call__(self, phase: str, info: dict[str, Any], _now: Any = perf_counter) -> None:
        """Take the time at the beginning and at the end of a collection."""
        if phase == "start":
            self._began = _now()
        elif self._began:
            pause = _now() - self._began
            self._began = 0.0
            generation = info.get("generation", 0)
            if generation < _GENERATIONS:
                self.seconds[generation] += pause
                if pause >= SHORTEST_PAUSE:
                    self.noted.append((pause, generation))

    def forget(self) -> None:
        """Begin anew in a forked child."""
        self.__init__()


_pauses: Final = Pauses()
_histogram: record.HistogramHandle | None = None


def watch_garbage() -> None:
    """Have the pauses of this process noted from now on. Idempotent."""
    global _histogram
    if _histogram is None:
        _histogram = record.histogram(GC_PAUSE, SCOPE)
        record.observe(GC_TIME, _readings, SCOPE)
        forks.in_child(_pauses.forget)
    if _pauses not in gc.callbacks:
        gc.callbacks.append(_pauses)


def leave_garbage() -> None:
    """Note no more."""
    if _pauses in gc.callbacks:
        gc.callbacks.remove(_pauses)


def _readings() -> Iterator[tuple[float, int]]:
    if _pauses not in gc.callbacks:
        return
    if SPEECH.of(GC_PAUSE) and _histogram is not None:
        while _pauses.noted:
            pause, generation = _pauses.noted.popleft()
            _histogram.record(pause, generation)
        _histogram.fold()  # this collection has folded already
    if SPEECH.of(GC_TIME):
        for generation, seconds in enumerate(_pauses.seconds):
            yield seconds, generation
