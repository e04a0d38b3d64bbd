"""One signal's way out: a bounded queue, at most one batch in flight, and a count of what became of it all.

A channel is fed by the application's threads and emptied by one worker thread (`worker.py`). What it holds is
bounded: `capacity` items and one encoded batch. What does not fit is dropped and counted, never waited for.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_logger = logging.getLogger("otel_kpi.export")

Signal = Literal["traces", "metrics", "logs"]

_FIRST_BACKOFF = 0.5  # seconds
_LONGEST_BACKOFF = 15.0  # seconds
_FINAL_BACKOFF = 0.1  # seconds, between attempts while a process ends
_FINAL_PATIENCE = 0.5  # seconds for which a failing receiver is tried again while a process ends


@dataclass(frozen=True, slots=True)
class Batch:
    """What is sent in one request.

    Attributes:
        payload: The encoded request, or the items themselves for an exporter that encodes on its own.
        items: Number of spans, data points or log records in it.
        skipped: Number of items that could not be encoded.
    """

    payload: Any
    items: int
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of one attempt to send a batch.

    Attributes:
        kind: `accepted`, `retry` (the receiver may take it later) or `rejected` (it never will).
        reason: One short line for a person.
        retry_after: Seconds that the receiver asked to wait.
        refused: Items of an accepted batch that the receiver did not take (partial success).
    """

    kind: Literal["accepted", "retry", "rejected"]
    reason: str = ""
    retry_after: float | None = None
    refused: int = 0


_TOO_LATE = Delivery("retry", "the deadline has passed")

LAST_COLLECTION = "last_collection"
"""Why metrics are lost of a process that ends before it could collect them."""


class Exporter(Protocol):
    """What a channel sends with. Called from one thread; neither method raises."""

    signal: Signal
    destination: str

    def encode(self, items: Sequence[Any]) -> Batch:
        """Turn items into what is sent."""
        ...

    def send(self, batch: Batch, deadline: float) -> Delivery:
        """Send a batch; return before `deadline` (seconds of `time.monotonic`)."""
        ...

    def abandon(self) -> None:
        """Forget the connection in a forked child without telling the other side."""
        ...

    def end(self) -> None:
        """The process ends: pass on what the exporter itself still holds. Called after the last batch."""
        ...


@dataclass(slots=True)
class Tally:
    """What became of the items of one signal since the process started.

    Attributes:
        sent: Items that the receiver took.
        lost: Items that were lost, by reason (`queue_full`, `rejected`, `invalid`, `exit`, …).
    """

    sent: int = 0
    lost: dict[str, int] = field(default_factory=dict[str, int])
    # A signal handler may come here while its own thread is inside.
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def lose(self, reason: str, count: int = 1) -> None:
        """Count lost items; from any thread."""
        if count > 0:
            with self._lock:
                self.lost[reason] = self.lost.get(reason, 0) + count

    def total_lost(self) -> int:
        """Items lost for whatever reason."""
        return sum(self.lost.values())


class Condition(Protocol):
    """Who is told how the attempts go (`condition.DestinationCondition`)."""

    def delivered(self, channel: Channel) -> None: ...  # noqa: D102 - see the implementation
    def answered(self, channel: Channel) -> None: ...  # noqa: D102 - the same
    def failed(self, channel: Channel, delivery: Delivery) -> None: ...  # noqa: D102 - the same
    def refused(self, channel: Channel, reason: str, count: int) -> None: ...  # noqa: D102 - the same
    def is_failing(self, signal: str) -> bool: ...  # noqa: D102 - the same


class Channel:
    """The queue of one signal, and the batch in flight.

    Args:
        exporter: Sends the batches.
        condition: Is told of every attempt.
        capacity: Items kept while they cannot be sent.
        batch_size: Items in one request.
        delay: Longest wait of an item, in seconds.
        wake: Called when a full batch waits.
        prepare: Applied to each item before it is encoded; takes the secrets out.
    """

    def __init__(  # noqa: PLR0913 - the five facts that make a channel
        self,
        exporter: Exporter,
        condition: Condition,
        *,
        capacity: int,
        batch_size: int,
        delay: float,
        wake: Callable[[], None],
        prepare: Callable[[Any], Any] | None = None,
    ) -> None:
        self.exporter = exporter
        self.signal: Signal = exporter.signal
        self.capacity = max(capacity, batch_size)
        self.tally = Tally()
        self._condition = condition
        self._batch_size = batch_size
        self._delay = delay
        self._wake = wake
        self._prepare = prepare
        self._queue: deque[Any] = deque()
        self._pending: Batch | None = None
        self._attempts = 0
        self._not_before = 0.0
        self.next_due = time.monotonic() + delay
        self.late: Callable[[], None] | None = None  # called after each item that comes after the last flush

    # --- the application's side

    def offer(self, item: Any) -> None:
        """Take an item, or count it as lost; never raises, and never blocks before the last flush has begun."""
        queue = self._queue
        if len(queue) >= self.capacity:
            self.tally.lose("queue_full")
        else:
            queue.append(item)
            if len(queue) == self._batch_size:
                self._wake()
        if self.late is not None:
            self.late()

    # --- the worker's side

    def has_full_batch(self) -> bool:
        """Whether there is a reason to send before the delay is over."""
        return len(self._queue) >= self._batch_size

    def pump(self, now: float, timeout: float) -> None:
        """Send what is due, and say in `next_due` when to come again."""
        if now < self._not_before:
            self.next_due = self._not_before
            return
        while (batch := self._next()) is not None:
            if self._attempt(batch, time.monotonic() + timeout).kind == "retry":
                self.next_due = self._not_before
                return
        self.next_due = time.monotonic() + self._delay

    def drain(self, deadline: float, *, final: bool) -> bool:
        """Send everything that waits, before `deadline`; back-off is not waited for.

        Args:
            deadline: Seconds of `time.monotonic`.
            final: The process ends. What could not be sent is then lost, and counted as such.

        Returns:
            Whether the receiver took it all.
        """
        patience = min(deadline, time.monotonic() + (_FINAL_PATIENCE if self._attempts == 0 else 0.0))
        # No more than waits now: a thread that never stops recording would keep the other signals waiting.
        batches = (self._pending is not None) + math.ceil(len(self._queue) / self._batch_size)
        taken = True
        while batches > 0 and (batch := self._next()) is not None:
            delivery = self._attempt(batch, deadline) if time.monotonic() < deadline else _TOO_LATE
            if delivery.kind != "retry":
                taken = taken and delivery.kind == "accepted" and not delivery.refused
                batches -= 1
            elif final and time.monotonic() + _FINAL_BACKOFF < patience:
                time.sleep(_FINAL_BACKOFF)
            else:
                if final:
                    self.forfeit()
                return False
        return taken

    def forfeit(self) -> int:
        """Count everything that still waits as lost at exit; returns how much that was."""
        waiting = self.waiting()
        self._queue.clear()
        self._pending = None
        self.tally.lose("exit", waiting)
        return waiting

    @property
    def failing(self) -> bool:
        """Whether the destination did not take the last batch, which will be sent again or has been let go."""
        return self._condition.is_failing(self.signal)

    def waiting(self) -> int:
        """Items that were taken and neither sent nor lost yet."""
        pending = self._pending
        return len(self._queue) + (pending.items if pending is not None else 0)

    def forget(self) -> None:
        """Begin anew in a forked child: what waits here is the parent's, and the parent sends it."""
        self._queue = deque()
        self._pending = None
        self._attempts = 0
        self._not_before = 0.0
        self.tally = Tally()
        self.late = None
        self.next_due = time.monotonic() + self._delay
        self.exporter.abandon()

    def _next(self) -> Batch | None:
        """The batch in flight, or else a new one; None when nothing waits."""
        batch = self._pending
        while batch is None and self._queue:
            batch = self._pending = self._take()
        return batch

    def _take(self) -> Batch | None:
        queue = self._queue
        items = [queue.popleft() for _ in range(min(len(queue), self._batch_size))]
        try:
            batch = self.exporter.encode(
                items if self._prepare is None else [self._prepare(item) for item in items]
            )
        except (OSError, ImportError):
            # The encoder is imported with the first batch, and there are no files left to open: it waits.
            queue.extendleft(reversed(items))
            raise
        except Exception as error:
            # A defect of ours: these are lost, the next are not.
            self.tally.lose("invalid", len(items))
            _logger.warning(
                "%d items of %s could not be written (%s)", len(items), self.signal, type(error).__name__
            )
            return None
        self.tally.lose("invalid", batch.skipped)
        return batch if batch.items else None

    def _attempt(self, batch: Batch, deadline: float) -> Delivery:
        """Send once; anything but `retry` means that the batch is done with, for good or ill."""
        delivery = self.exporter.send(batch, deadline)
        if delivery.kind == "accepted":
            self._pending = None
            self._attempts = 0
            self._not_before = 0.0
            self.tally.sent += batch.items - delivery.refused
            self.tally.lose("refused", delivery.refused)
            self._condition.delivered(self)
            if delivery.refused:
                self._condition.refused(self, delivery.reason, delivery.refused)
            return delivery
        if delivery.kind == "rejected":
            self._pending = None
            self._attempts = 0
            self._not_before = 0.0
            self.tally.lose("rejected", batch.items)
            self._condition.answered(self)
            self._condition.refused(self, delivery.reason, batch.items)
            return delivery
        self._attempts += 1
        self._not_before = time.monotonic() + _backoff(self._attempts, delivery.retry_after)
        self._condition.failed(self, delivery)
        return delivery


def _backoff(attempts: int, retry_after: float | None) -> float:
    """Seconds to wait before attempt number `attempts` + 1: doubling, with jitter, or what was asked for."""
    if retry_after is not None:
        return retry_after
    longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** (attempts - 1))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret
