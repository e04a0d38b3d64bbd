"""One process as one of several: what it does between requests, and when it is asked.

The thread that exports looks in each second: if something was counted since, it writes a snapshot for the others.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_kpi.exposition import processes
from otel_kpi.exposition.folder import Folder
from otel_kpi.exposition.source import Source
from otel_kpi.exposition.totals import Member, Totals, add_up
from otel_kpi.instance import private_folder
from otel_kpi.sdk.drain import Bell

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

    from otel_kpi.exposition.families import Families

_logger = logging.getLogger("otel_kpi.exposition")

EVERY: Final = 1.0
"""Seconds between two snapshots, at least; also between two questions to callbacks when somebody wants to see them."""
_SHARE: Final = 0.01
"""Of a processor, at most, for snapshots: with thousands of series they come less often."""
PATIENCE: Final = 0.2
"""Seconds that an answer waits for callbacks of the application; then it says what they said last."""
_INTERVAL: Final = 10.0
"""Seconds between two questions to callbacks where nothing is exported."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Whose figures are told, for the life of the program.

    Attributes:
        provider: The MeterProvider.
        reader: Whose sums are read.
        service: `service.name`, and the stable part of `service.instance.id`.
        exported: Whether the reader exports.
        interval: Seconds after which callbacks are asked if no export has asked them.
        wake: Has the thread look now.
        has_recorded: Whether this process has anything to tell beside itself.
    """

    provider: MeterProvider
    reader: MetricReader
    service: tuple[str, str]
    exported: bool = False
    interval: float = _INTERVAL
    wake: Callable[[], None] = lambda: None
    has_recorded: Callable[[], bool] = lambda: True


class Participant:
    """One process; a forked child is another.

    Args:
        binding: Whose figures it tells.
        forked: Whether it has just been forked: other libraries may not have forgotten yet what the parent counted.
    """

    def __init__(self, binding: Binding, *, forked: bool = False) -> None:
        self.pid = os.getpid()
        self._binding = binding
        self._source = Source(binding.provider, binding.reader, exported=binding.exported)
        self._folder: Folder | None = None
        self._alone = False
        self._written: Families = {}
        self._due = time.monotonic() + EVERY if forked else 0.0
        self._writing = threading.RLock()  # a signal may end the process while its thread writes
        self._failing = False
        self._spent = 0.0
        self._begun = time.monotonic()
        self._wishes: deque[Bell] = deque(maxlen=64)

    def exporting(self, data: MetricsData) -> None:
        """See what is about to be sent."""
        self._source.exporting(data)

    def look(self) -> float:
        """Do what there is to do between requests, and when somebody wants to see callbacks.

        Returns:
            When to look again, in seconds of `time.monotonic`.
        """
        now = time.monotonic()
        wishes, self._wishes = self._wishes, deque(maxlen=64)
        if wishes or now - max(self._source.asked_at, self._begun) >= self._binding.interval:
            self._source.ask()
            for wish in wishes:
                wish.ring()
        if now >= self._due:
            before = time.thread_time()
            self.write()
            spent = time.thread_time() - before
            # The first takes its time for imports and for what others have left; that is not what they cost.
            self._due = now + max(EVERY, min(spent, self._spent) / _SHARE)
            self._spent = spent
        return self._due

    def write(self, patience: float = PATIENCE) -> None:
        """Leave a snapshot, if something was counted since the last one, and fold what ended processes have left.

        Args:
            patience: Seconds to wait for another thread that is at it, with figures that may be older.
        """
        if not self._writing.acquire(timeout=patience):
            return
        try:
            folder = self._own_folder()
            if folder is None:
                return
            families = self._source.families()
            if families != self._written and (self._written or self._binding.has_recorded()):
                folder.write(Member(self._source.identity(), families, time.time()))
                self._written = families
            folder.fold()
            self._say(None)
        except OSError as error:
            self._say(error)
        finally:
            self._writing.release()

    def totals(self) -> Totals:
        """Add up what this process and its siblings have measured."""
        self._ask()
        own = Member(self._source.identity(), self._source.shown(), time.time())
        folder = self._own_folder()
        return add_up([own, *(folder.others() if folder is not None else ())])

    def _ask(self) -> None:
        """Have callbacks asked by their thread, and wait for a moment; what they said before will do otherwise."""
        if time.monotonic() - self._source.asked_at < EVERY:
            return
        wish = Bell()
        self._wishes.append(wish)
        self._binding.wake()
        wish.wait(PATIENCE)

    def _own_folder(self) -> Folder | None:
        if self._folder is None and not self._alone:
            try:
                self._folder = _folder_of(*self._binding.service)
            except Exception as error:
                # Windows, or a temporary directory that is somebody else's.
                self._alone = True
                _logger.warning("metrics of several workers are not added up: %s", error)
        return self._folder

    def _say(self, error: OSError | None) -> None:
        if error is not None and not self._failing:
            _logger.warning("metrics of this worker are missing from the answers of others: %s", error)
        elif error is None and self._failing:
            _logger.info("metrics of this worker are in the answers of others again")
        self._failing = error is not None


def _folder_of(service: str, base: str) -> Folder:
    own, root = processes.process(os.getpid()), processes.root()
    if own is None or root is None:
        raise OSError("this system does not say which processes there are")
    return Folder(private_folder(), service, base, root.key, own.key)
