"""One signal's way out: a bounded queue, at most one batch in flight, and a count of what became of it all.

A channel is fed by the application's threads and emptied by one worker thread (`worker.py`). What it holds is
bounded: `capacity` items and one encoded batch. What does not fit is dropped and counted, never waited for.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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

    def close(self) -> None:
        """Close the connection."""
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
    _lock: threading.Lock = field(default_factory=threading.Lock)

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
    def failed(self, channel: Channel, delivery: Delivery) -> None: ...  # noqa: D102
    def refused(self, channel: Channel, reason: str, count: int) -> None: ...  # noqa: D102


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

    # --- the application's side

    def offer(self, item: Any) -> None:
        """Take an item, or count it as lost; never blocks, never raises."""
        queue = self._queue
        if len(queue) >= self.capacity:
            self.tally.lose("queue_full")
            return
        queue.append(item)
        if len(queue) == self._batch_size:
            self._wake()

    # --- the worker's side

    def has_full_batch(self) -> bool:
        """Whether there is a reason to send before the delay is over."""
        return len(self._queue) >= self._batch_size

    def pump(self, now: float, timeout: float) -> None:
        """Send what is due, and say in `next_due` when to come again."""
        if now < self._not_before:
            self.next_due = self._not_before
            return
        while self._pending is not None or self._queue:
            if self._pending is None:
                self._pending = self._take()
                continue
            if not self._attempt(self._pending, time.monotonic() + timeout):
                self.next_due = self._not_before
                return
        self.next_due = time.monotonic() + self._delay

    def drain(self, deadline: float, *, final: bool) -> None:
        """Send everything that waits, before `deadline`; back-off is not waited for.

        Args:
            deadline: Seconds of `time.monotonic`.
            final: The process ends. What could not be sent is then lost, and counted as such.
        """
        patience = min(deadline, time.monotonic() + (_FINAL_PATIENCE if self._attempts == 0 else 0.0))
        left = len(self._queue)
        while time.monotonic() < deadline:
            if self._pending is not None:
                if self._attempt(self._pending, deadline):
                    continue
                if not final or time.monotonic() + _FINAL_BACKOFF >= patience:
                    break
                time.sleep(_FINAL_BACKOFF)
            elif self._queue if final else left > 0:
                left -= self._batch_size
                self._pending = self._take()
            else:
                break
        if final:
            self.forfeit()

    def forfeit(self) -> int:
        """Count everything that still waits as lost at exit; returns how much that was."""
        waiting = len(self._queue) + (self._pending.items if self._pending is not None else 0)
        self._queue.clear()
        self._pending = None
        self.tally.lose("exit", waiting)
        return waiting

    def waiting(self) -> int:
        """Items that were taken and neither sent nor lost yet."""
        return len(self._queue) + (self._pending.items if self._pending is not None else 0)

    def forget(self) -> None:
        """Begin anew in a forked child: what waits here is the parent's, and the parent sends it."""
        self._queue = deque()
        self._pending = None
        self._attempts = 0
        self._not_before = 0.0
        self.tally = Tally()
        self.next_due = time.monotonic() + self._delay
        self.exporter.abandon()

    def _take(self) -> Batch | None:
        queue = self._queue
        items = [queue.popleft() for _ in range(min(len(queue), self._batch_size))]
        if self._prepare is not None:
            items = list(map(self._prepare, items))
        batch = self.exporter.encode(items)
        self.tally.lose("invalid", batch.skipped)
        return batch if batch.items else None

    def _attempt(self, batch: Batch, deadline: float) -> bool:
        """Send once; True when the batch is done with, for good or ill."""
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
            return True
        if delivery.kind == "rejected":
            self._pending = None
            self._attempts = 0
            self.tally.lose("rejected", batch.items)
            self._condition.refused(self, delivery.reason, batch.items)
            return True
        self._attempts += 1
        self._not_before = time.monotonic() + _backoff(self._attempts, delivery.retry_after)
        self._condition.failed(self, delivery)
        return False


def _backoff(attempts: int, retry_after: float | None) -> float:
    """Seconds to wait before attempt number `attempts` + 1: doubling, with jitter, or what was asked for."""
    if retry_after is not None:
        return retry_after
    longest = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** (attempts - 1))
    return longest * (0.5 + random.random() / 2)  # noqa: S311 - jitter is no secret
