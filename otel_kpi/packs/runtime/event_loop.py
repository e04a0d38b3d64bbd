"""How late event loops run what they have to run: a coroutine that blocks holds up all the others.

A timer in each running loop, about twice a second, notes by how much it is late: what any callback would have waited
at that moment. It is no task, has no context of the application's, and ends with the run of its loop. The times are
measured when metrics are collected, by the thread that exports; it sees a loop that hangs now, too.

A block that begins and ends between two ticks is not seen: this is a sample, like that of Node.js. A trace shows
which request it was.
"""

from __future__ import annotations

import threading
import weakref
from collections import deque
from contextvars import Context
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks, record
from otel_kpi.packs.runtime.instruments import EVENT_LOOP_LAG, EVENT_LOOP_LONGEST_LAG, SCOPE
from otel_kpi.packs.runtime.speech import SPEECH

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Iterator

PERIOD: Final = 0.5
"""Seconds between two ticks, on average."""
_SPREAD: Final = 0.2
_GOLDEN: Final = 0.6180339887498949
_WINDOW: Final = 15.0
"""Seconds: half of the time for which a lag is the longest."""
_MOST_LAGS: Final = 10_000
"""Lags that wait for a collection: an hour of one loop."""


class _Loops:
    """The event loops that are watched in this process."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child: the loops are the parent's."""
        self.lock = threading.RLock()
        self.watched: weakref.WeakKeyDictionary[Any, Watch] = weakref.WeakKeyDictionary()
        self.lags: deque[float] = deque(maxlen=_MOST_LAGS)
        self._longest = self._before = 0.0
        self._until = 0.0

    def note(self, lag: float, now: float) -> None:
        self.lags.append(lag)
        self._turn(now)
        self._longest = max(self._longest, lag)

    def longest(self, now: float) -> float | None:
        """The longest lag of the last half minute, or of a loop that is late right now; None without a loop."""
        with self.lock:
            running = [watch for loop, watch in self.watched.items() if loop.is_running()]
        if not running:
            return None
        self._turn(now)
        return max(self._longest, self._before, *(now - watch.due for watch in running))

    def _turn(self, now: float) -> None:
        if now >= self._until:
            self._before = self._longest if now < self._until + _WINDOW else 0.0
            self._longest = 0.0
            self._until = now + _WINDOW


_loops: Final = _Loops()
_histogram: record.HistogramHandle | None = None
_preparing: Final = threading.Lock()


class Watch:
    """The timer of one loop.

    Attributes:
        due: When it is to run next, by `time.perf_counter()`.
    """

    __slots__ = ("__weakref__", "_left", "_loop", "_phase", "_timer", "due")

    def __init__(self, loop: AbstractEventLoop) -> None:
        # A loop that is forgotten without being closed is to go, with its timers.
        self._loop = weakref.ref(loop)
        self._phase = 0.0
        self._left = False
        self._arm()

    def _arm(self) -> None:
        loop = self._loop()
        if loop is None or loop.is_closed():
            return
        # Never in step with a task of the application's that runs every second.
        self._phase = (self._phase + _GOLDEN) % 1.0
        delay = PERIOD * (1 + _SPREAD * (2 * self._phase - 1))
        self.due = perf_counter() + delay
        self._timer = loop.call_later(delay, self._tick, context=Context())

    def _tick(self) -> None:
        if self._left:
            return
        # uvloop counts from the beginning of its iteration, so it may be early.
        now = perf_counter()
        _loops.note(max(0.0, now - self.due), now)
        self._arm()

    def leave(self) -> None:
        """Note nothing more. In any thread."""
        self._left = True

    def stop(self) -> None:
        """Take the timer back. In the thread of the loop, or while it does not run."""
        self._timer.cancel()


def watch_loop(loop: AbstractEventLoop | None = None) -> None:
    """Measure the lag of an event loop that nobody watches yet.

    Loops of asyncio and uvloop are watched without it, while they run. This is for a loop of another kind, and for
    one that runs already when telemetry is configured; it is to be one that runs until it is closed.

    Args:
        loop: The loop; None is the one that runs. To be called in its thread.

    Exported as the histogram `kpi_runtime_event_loop_lag_seconds` and the gauge
    `kpi_runtime_event_loop_longest_lag_seconds`. Never raises.
    """
    try:
        if loop is None:
            import asyncio

            loop = asyncio.get_running_loop()
        begin_watch(loop)
    except Exception:
        return  # no loop runs here, or it is none of asyncio's kind


def prepare() -> None:
    """Make the instruments: not when a loop begins to run, since that may wait for a collection to end."""
    global _histogram
    with _preparing:
        if _histogram is None:
            histogram = record.histogram(EVENT_LOOP_LAG, SCOPE)
            record.observe(EVENT_LOOP_LONGEST_LAG, _readings, SCOPE)
            forks.in_child(_loops.forget)
            _histogram = histogram


def begin_watch(loop: AbstractEventLoop) -> Watch:
    """Watch a loop, once.

    Raises:
        RuntimeError: The loop is closed.
    """
    prepare()
    end_watch(loop)
    watch = Watch(loop)
    with _loops.lock:
        _loops.watched[loop] = watch
    return watch


def end_watch(loop: AbstractEventLoop) -> None:
    """Watch a loop no more; it may not have been watched."""
    with _loops.lock:
        watch = _loops.watched.pop(loop, None)
    if watch is not None:
        watch.stop()


def leave_loops() -> None:
    """Say no more of the loops that are watched; their timers come to nothing."""
    with _loops.lock:
        watched = list(_loops.watched.values())
        _loops.watched.clear()
    for watch in watched:
        watch.leave()


def _readings() -> Iterator[tuple[float]]:
    if SPEECH.of(EVENT_LOOP_LAG) and _histogram is not None:
        while _loops.lags:
            _histogram.record(_loops.lags.popleft())
        _histogram.fold()  # this collection has folded already
    if SPEECH.of(EVENT_LOOP_LONGEST_LAG):
        longest = _loops.longest(perf_counter())
        if longest is not None:
            yield (max(0.0, longest),)
