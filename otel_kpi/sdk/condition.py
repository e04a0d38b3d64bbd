"""What a person is told about a destination: one line when it fails, one when it works again.

Several channels (traces, metrics, logs) share a destination, and they fail together. The destination is down
from the first failure of any of them until none fails any more.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from otel_kpi.sdk.channel import LAST_COLLECTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.sdk.channel import Channel, Delivery, Signal

_logger = logging.getLogger("otel_kpi.export")

_NOUNS = {"traces": "spans", "metrics": "data points", "logs": "log records"}


def _say(message: str, *arguments: object) -> None:
    """Write a line that may come at the end, when the stream behind a handler of the application is closed.

    `logging` would print a traceback on standard error then, which the application alone does not.
    """
    before, logging.raiseExceptions = logging.raiseExceptions, False
    try:
        _logger.warning(message, *arguments)
    finally:
        logging.raiseExceptions = before


class DestinationCondition:
    """The state of one destination as a person would describe it.

    Args:
        destination: The address, as it is shown.
    """

    def __init__(self, destination: str) -> None:
        self._destination = destination
        self.forget()

    def forget(self) -> None:
        """Begin anew in a forked child; a thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._failing: set[Signal] = set()
        self._refusing: dict[Signal, str] = {}
        self._said_down = False
        # Items of each signal that were lost before its last delivery: what is lost since then is news.
        self._told: dict[Signal, int] = {}
        self._lost_meanwhile = 0
        self._said_at_exit: list[str] = []
        self._said_uncollected = False

    def delivered(self, channel: Channel) -> None:
        """The receiver took a batch."""
        self._refusing.pop(channel.signal, None)
        self.answered(channel)

    def answered(self, channel: Channel) -> None:
        """The receiver is there: it took a batch, or refused it for good."""
        with self._lock:
            lost = channel.tally.total_lost()
            lost_since = lost - self._told.get(channel.signal, 0)
            self._told[channel.signal] = lost
            if channel.signal not in self._failing:
                return
            self._failing.remove(channel.signal)
            self._lost_meanwhile += lost_since
            if self._failing:
                return
            self._said_down = False
        meanwhile = (
            f"{self._lost_meanwhile} items were lost meanwhile"
            if self._lost_meanwhile
            else "nothing was lost"
        )
        _logger.warning("%s takes telemetry again; %s", self._destination, meanwhile)

    def is_failing(self, signal: str) -> bool:
        """Whether the last attempt of a signal failed."""
        return signal in self._failing

    def failed(self, channel: Channel, delivery: Delivery) -> None:
        """An attempt failed and will be repeated."""
        with self._lock:
            if not self._failing:
                self._lost_meanwhile = 0
            self._failing.add(channel.signal)
            if self._said_down:
                return
            self._said_down = True
        _say(
            "%s does not take telemetry (%s); the application goes on, what fits in the queues is sent later",
            self._destination,
            delivery.reason,
        )

    def refused(self, channel: Channel, reason: str, count: int) -> None:
        """The receiver refused a batch or a part of it, for good."""
        if self._refusing.get(channel.signal) == reason:
            return
        self._refusing[channel.signal] = reason
        _logger.warning(
            "%s refuses %s (%s); %d are lost, and more may follow without another line",
            self._destination,
            _NOUNS[channel.signal],
            reason,
            count,
        )

    def ended(self, channels: Sequence[Channel]) -> None:
        """The process ends; say what could not be sent, once."""
        lost = [
            f"{count} {_NOUNS[channel.signal]}"
            for channel in channels
            if (count := self._lost_for_want_of_it(channel))
        ]
        if lost and lost != self._said_at_exit:
            self._said_at_exit = lost
            _say("the process ends, %s did not take %s", self._destination, ", ".join(lost))
        if not self._said_uncollected and any(LAST_COLLECTION in each.tally.lost for each in channels):
            self._said_uncollected = True
            _say(
                "the process ends, there was no time to collect its metrics once more; OTEL_KPI_EXIT_BUDGET gives it more"
            )

    def _lost_for_want_of_it(self, channel: Channel) -> int:
        """Items that found no place or no time since the last delivery; those that were refused had a line."""
        lost = channel.tally.lost
        since = channel.tally.total_lost() - self._told.get(channel.signal, 0)
        return min(since, lost.get("exit", 0) + lost.get("queue_full", 0))
