"""Asks the collectors of prometheus_client's registry, each for itself: one that raises or hangs costs its own series.

Counters, gauges and histograms of the library itself are read where they are exported. Another collector is code of
the application's (a `Collector`, a `Gauge.set_function`), and may ask a database. So a thread asks, and who exports
waits for a second at most. A collector that takes longer is left out until it has answered; the others are asked by
another thread.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger("otel_kpi.metrics")

_PATIENCE: Final = 1.0
"""Seconds that an export waits for all collectors of the application's together."""
_MOST_HANGING: Final = 4
"""Threads that may wait for collectors that hang; then no further one is asked."""
_LIBRARY: Final = "prometheus_client"


class Collection:
    """Asks the collectors of `prometheus_client.REGISTRY`.

    Args:
        failed: Is told of what a collector raises.
        patience: Seconds to wait.
    """

    def __init__(self, failed: Callable[[object, BaseException], None], patience: float = _PATIENCE) -> None:
        self._failed = failed
        self._patience = patience
        self._pid = os.getpid()
        self._hanging: dict[int, _Round] = {}
        self._said: set[str] = set()
        self._asker: _Asker | None = None

    def collect(self) -> list[Any]:
        """The metrics of all collectors that answer in time; empty when the application has no prometheus_client."""
        if not _compat.import_ended(_LIBRARY):
            return []
        if self._pid != os.getpid():
            self._pid, self._hanging, self._asker = os.getpid(), {}, None
        self._hanging = {key: asked for key, asked in self._hanging.items() if asked.hangs}
        collectors = application_collectors()
        plain = _Round([each for each in collectors if _is_plain(each)], self._failed)
        plain.run()
        waiting = [each for each in collectors if not _is_plain(each) and id(each) not in self._hanging]
        found = plain.metrics
        deadline = time.monotonic() + self._patience
        while waiting and len(self._hanging) < _MOST_HANGING:
            asked = self._ask(waiting, deadline)
            if asked is None:
                break
            found = [*found, *asked.metrics]
            waiting = waiting[asked.answered :]
            if not waiting:
                break
            self._leave(waiting.pop(0), asked)
            if time.monotonic() >= deadline:
                break
        return found

    def _ask(self, collectors: list[Any], deadline: float) -> _Round | None:
        asked = _Round(collectors, self._failed)
        if self._asker is None:
            try:
                self._asker = _Asker()
            except RuntimeError:
                return None  # the interpreter is ending and starts no thread: nobody could be waited for
        self._asker.rounds.put(asked)
        asked.done.wait(max(deadline - time.monotonic(), 0.0))
        return asked

    def _leave(self, collector: Any, asked: _Round) -> None:
        self._hanging[id(collector)] = asked
        asked.abandoned = True
        if self._asker is not None:
            self._asker.rounds.put(None)
        self._asker = None
        name = _name(collector)
        if name not in self._said:
            self._said.add(name)
            _logger.warning(
                "prometheus_client: %s does not answer; its series are missing until it does", name
            )


class _Round:
    """Collectors that are asked, one after the other."""

    def __init__(self, collectors: list[Any], failed: Callable[[object, BaseException], None]) -> None:
        self.collectors = collectors
        self.metrics: list[Any] = []
        self.answered = 0
        self.abandoned = False
        self.done = threading.Event()
        self._failed = failed

    @property
    def hangs(self) -> bool:
        """Whether a collector was asked and has not answered."""
        return not self.done.is_set()

    def run(self) -> None:
        for collector in self.collectors:
            if self.abandoned:
                break
            try:
                metrics = list(collector.collect())
            except BaseException as error:  # SystemExit, too: it is one collector's
                metrics = []
                self._failed(_name(collector), error)
            self.metrics = [*self.metrics, *metrics]
            self.answered += 1
        self.done.set()


class _Asker:
    """A thread that asks."""

    def __init__(self) -> None:
        self.rounds: queue.SimpleQueue[_Round | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="otel-kpi-prometheus-client", daemon=True).start()

    def _run(self) -> None:
        while (asked := self.rounds.get()) is not None:
            asked.run()


def application_collectors() -> list[Any]:
    """The collectors of the registry without those that say what we say ourselves."""
    library = sys.modules.get(_LIBRARY)
    if library is None:
        return []
    return [
        each
        for each in _compat.prometheus_collectors(library.REGISTRY)
        if type(each).__name__ not in _OWN and not type(each).__module__.startswith("opentelemetry.")
    ]


_OWN: Final = frozenset({
    # `process_*`, `python_gc_*` and `python_info`: every process of otel-kpi's says them, the last in its resource.
    "GCCollector", "PlatformCollector", "ProcessCollector",
    # The sum over all workers; each of them would say it.
    "MultiProcessCollector",
})  # fmt: skip


def _is_plain(collector: Any) -> bool:
    """Whether it is a counter, gauge or histogram of prometheus_client itself, which asks no function."""
    return type(collector).__module__.startswith(f"{_LIBRARY}.") and not _compat.asks_a_function(collector)


def plain_collectors() -> list[Any]:
    """Those that answer at once."""
    return [each for each in application_collectors() if _is_plain(each)]


def _name(collector: Any) -> str:
    named = getattr(collector, "_name", None)
    return f"collector {named}" if isinstance(named, str) else f"collector {type(collector).__qualname__}"
