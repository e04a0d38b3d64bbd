"""From a request to its commit: a bounded queue before the one writer. Acknowledged means committed."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakSet

from otel_kpi.dev.telemetry import MalformedError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from otel_kpi.dev.store import Store
    from otel_kpi.dev.store.tally import Outcome
    from otel_kpi.dev.telemetry import Metric, Request, Signal

_logger = logging.getLogger("otel_kpi.dev.intake")

MOST_ITEMS: Final = 512
"""Spans, records and points of a commit, unless one request has more."""
LONGEST_WAIT: Final = 0.05
"""Seconds that a request waits for others to be committed with, unless as many as last time are there already: senders
that wait for their answer send no more until they have it."""
TIDY_AFTER: Final = 1.0
"""Seconds between two looks at what is too old or too much, while something comes."""
_LISTENED: Final = 32
"""Commits that wait for a listener; then the oldest are missed."""
_ITEM: Final = 1024
"""Bytes that an item takes at least once it is decoded, however few it was sent as."""


class FullError(Exception):
    """The queue is full; the sender comes again after `retry_after` seconds."""

    retry_after = 1


class ClosedError(Exception):
    """Nothing is taken any more: the process is ending."""


@dataclass(slots=True)
class Committed:
    """What one commit brought, for whoever follows what is going on.

    Attributes:
        requests: What was decoded.
        traces: Rows of the traces that are new or have changed.
        spans: How many.
        logs: How many.
        points: How many.
        missed: Commits before this one that the listener did not get, since it was too slow.
    """

    requests: list[Request[Any]]
    traces: list[int]
    spans: int = 0
    logs: int = 0
    points: int = 0
    missed: int = 0


def items_of(request: Request[Any]) -> int:
    """Spans, records or points of a request."""
    if request.signal != "metrics":
        return sum([len(group.items) for group in request.groups])
    metrics = [metric for group in request.groups for metric in cast("list[Metric]", group.items)]
    return sum([len(metric.points) for metric in metrics])


@dataclass(slots=True)
class _Waiting:
    request: Request[Any]
    done: Future[None]
    items: int
    size: int


class Intake:
    """Takes requests from any thread of asyncio's loop and has them written together.

    Args:
        store: Where they are written.
        most_bytes: Of requests that wait; more are refused.
    """

    def __init__(self, store: Store, *, most_bytes: int = 64 * 2**20) -> None:
        self._store = store
        self._most = most_bytes
        self._waiting: deque[_Waiting] = deque()
        self._size = self._items = 0
        self._together = 1
        self._changed = threading.Condition()
        self._closing = False
        self._failing = self._unforgotten = ""
        self._tidied = time.monotonic()
        self._listeners: WeakSet[_Listener] = WeakSet()
        self._thread = threading.Thread(target=self._run, name="otel-kpi-writer", daemon=True)
        self._thread.start()

    @property
    def failing(self) -> str:
        """Why nothing can be written at present; empty while it can."""
        return self._failing

    async def submit(self, request: Request[Any]) -> None:
        """Have a request committed.

        Raises:
            FullError: Too much waits.
            ClosedError: The process is ending.
            StoreError: It cannot be written now.
            MalformedError: It cannot be written ever.
        """
        await asyncio.wrap_future(self.put(request))

    def put(self, request: Request[Any]) -> Future[None]:
        """The same from any thread; the future is done with the commit.

        Raises:
            FullError: Too much waits.
            ClosedError: The process is ending.
        """
        items = items_of(request)
        size = max(request.size, items * _ITEM)
        done: Future[None] = Future()
        with self._changed:
            if self._closing:
                raise ClosedError
            # A request that is larger than all of the queue is taken when nothing else waits, or it never would be.
            if self._size and self._size + size > self._most:
                self.count(request.signal, "refused", items)
                raise FullError
            self._waiting.append(_Waiting(request, done, items, size))
            self._size += size
            self._items += items
            if self._is_enough() or len(self._waiting) == 1:
                self._changed.notify()
        return done

    def count(self, signal: Signal, outcome: Outcome, items: int = 1, problem: str = "") -> None:
        """Count what never becomes a request: a body that is malformed, a request that is refused.

        Args:
            signal: Of what.
            outcome: What became of it.
            items: How many; requests where nobody knows of how many items.
            problem: The sentence that the sender is told.
        """
        self._store.tally.add(signal, outcome, items, last=problem, now=time.time())

    def follow(self) -> AsyncIterator[Committed]:
        """Each commit from now on, on the running loop; who does not keep up misses some, and is told how many."""
        listener = _Listener(asyncio.get_running_loop())
        with self._changed:
            if self._closing:
                listener.end()
            self._listeners.add(listener)
        return listener

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, and end; call it on another thread than the loop's, or after the loop.

        Args:
            timeout: Seconds to wait for the writer.
        """
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            batch = self._next()
            if batch:
                self._write(batch)
                batch.clear()
            elif self._closing:
                break
            self._tidy()
        self._write_counts()
        with self._changed:
            listeners = list(self._listeners)
        for listener in listeners:
            listener.end()

    def _is_enough(self) -> bool:
        return self._items >= MOST_ITEMS or len(self._waiting) >= self._together or self._closing

    def _next(self) -> list[_Waiting]:
        """What is written together; nothing where nothing comes for a while, or no more."""
        with self._changed:
            if not self._waiting and not self._closing:
                self._changed.wait(TIDY_AFTER)
            if not self._waiting:
                return []
            until = time.monotonic() + LONGEST_WAIT
            while not self._is_enough() and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            batch: list[_Waiting] = []
            items = 0
            while self._waiting and (not batch or items + self._waiting[0].items <= MOST_ITEMS):
                waiting = self._waiting.popleft()
                self._items -= waiting.items
                items += waiting.items
                if waiting.done.set_running_or_notify_cancel():
                    batch.append(waiting)
                else:
                    self._size -= waiting.size
            self._together = len(batch)
        return batch

    def _write(self, batch: list[_Waiting]) -> None:
        try:
            try:
                committed = self._store.write([waiting.request for waiting in batch])
            finally:
                self._release(batch)
        except MalformedError as error:
            if len(batch) > 1:  # the others are not to blame
                for waiting in batch:
                    self._write([waiting])
                return
            self._count_lost(batch, "malformed", str(error))
            batch[0].done.set_exception(error)
        except BaseException as error:  # whatever it is, the sender is told and the next is tried
            self._failed(batch, error)
        else:
            self._goes_on()
            with self._changed:
                listeners = list(self._listeners)
            for listener in listeners:  # first, so that who has sent something sees it
                listener.give(committed)
            for waiting in batch:
                waiting.done.set_result(None)

    def _goes_on(self) -> None:
        if self._failing:
            self._failing = ""
            _logger.warning("What comes is written again")

    def _release(self, batch: list[_Waiting]) -> None:
        """Make room again; what was being written was in memory, too."""
        with self._changed:
            for waiting in batch:
                self._size -= waiting.size
                waiting.size = 0

    def _failed(self, batch: list[_Waiting], error: BaseException) -> None:
        said = str(error) or type(error).__name__
        if self._failing != said:
            self._failing = said
            _logger.error("What comes is not written and not acknowledged: %s", said)
        self._count_lost(batch, "failed", said)
        for waiting in batch:
            waiting.done.set_exception(error)

    def _count_lost(self, batch: list[_Waiting], outcome: Outcome, said: str) -> None:
        for waiting in batch:
            self.count(waiting.request.signal, outcome, waiting.items, said)

    def _tidy(self) -> None:
        now = time.monotonic()
        if now - self._tidied < TIDY_AFTER:
            return
        try:
            # One piece between two commits while requests wait, which is more than a commit brings; all of it while none does.
            while self._store.tidy():
                if self._waiting or self._closing:
                    return
        except Exception as error:  # what comes may be written all the same
            if str(error) not in {self._failing, self._unforgotten}:
                self._unforgotten = str(error)
                _logger.error("What is too old cannot be forgotten: %s", error)
        else:
            if self._unforgotten:
                self._unforgotten = ""
                _logger.warning("What is too old is forgotten again")
        self._write_counts()
        self._tidied = time.monotonic()

    def _write_counts(self) -> None:
        """Write what was counted while nothing else was written."""
        if not self._store.tally.is_empty:
            try:
                self._store.write_counts()
            except Exception:  # it was said when the last request failed, and stays counted
                return
            self._goes_on()


class _Listener:
    """The commits that wait for one who follows."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._commits: deque[Committed] = deque()
        self._missed = 0
        self._ended = False
        self._some = asyncio.Event()

    def give(self, committed: Committed) -> None:
        """Take a commit, on the writer's thread."""
        with self._lock:
            if len(self._commits) >= _LISTENED:
                self._missed += 1 + self._commits.popleft().missed
            if self._missed:
                # What was missed stands at the oldest that is left: there is the gap.
                self._commits.append(committed)
                first = self._commits.popleft()
                self._commits.appendleft(replace(first, missed=first.missed + self._missed))
                self._missed = 0
            else:
                self._commits.append(committed)
        self._wake()

    def end(self) -> None:
        """Give nothing any more."""
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._some.set)
        except RuntimeError:  # its loop is closed
            pass

    def __aiter__(self) -> AsyncIterator[Committed]:
        return self

    async def __anext__(self) -> Committed:
        while True:
            with self._lock:
                if self._commits:
                    return self._commits.popleft()
                if self._ended:
                    raise StopAsyncIteration
                self._some.clear()
            await self._some.wait()
