"""What a process says of itself: CPU, memory, threads, files, garbage collection, event loops.

Each process says it of itself, a forked child too. Nothing is read before a collection, which the export thread does.
What there is, and its names: `otel_kpi.packs.runtime`; a process that has nothing else to tell says nothing of itself.

Upstream's instrumentor does not do for this: after a fork it goes on to read the figures of the parent, it speaks in
every process, and its attributes are not those of the conventions. It does for `system.*`, the figures of the host.
They are the same in each process of a host, so they are said only by setting; the Collector's `hostmetrics` receiver
says them once. `process.cpu.utilization` is left out: it is the rate of `process.cpu.time`.
"""

from __future__ import annotations

import fnmatch
import gc
import logging
import os
import time
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks, record
from otel_kpi.instrumentation.runtime.event_loop import EventLoops
from otel_kpi.packs.runtime import garbage, instruments
from otel_kpi.packs.runtime.speech import SPEECH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otel_kpi.model import Instrument

    Reading = tuple[Any, ...]
    """A value, then the values of the attributes in declared order."""

_logger: Final = logging.getLogger("otel_kpi.instrumentation")

_HOST: Final[dict[str, list[str] | None]] = {
    "system.cpu.time": ["idle", "user", "system", "irq"],
    "system.cpu.utilization": ["idle", "user", "system", "irq"],
    "system.memory.usage": ["used", "free", "cached"],
    "system.memory.utilization": ["used", "free", "cached"],
    "system.swap.usage": ["used", "free"],
    "system.swap.utilization": ["used", "free"],
    "system.disk.io": ["read", "write"],
    "system.disk.operations": ["read", "write"],
    "system.disk.time": ["read", "write"],
    "system.network.dropped.packets": ["transmit", "receive"],
    "system.network.packets": ["transmit", "receive"],
    "system.network.errors": ["transmit", "receive"],
    "system.network.io": ["transmit", "receive"],
}
"""Upstream's, without `system.thread_count`, which is of the process, and the walk over every socket of the host."""


class Instrumentor:
    """Registers the observable instruments; they can be silenced, not taken back."""

    is_instrumented_by_opentelemetry: Final = False

    def __init__(self) -> None:
        self._host: Any = None
        self._loops = EventLoops()

    def instrument(
        self, *, host: bool = False, has_recorded: Callable[[], bool] = lambda: True, **_options: Any
    ) -> None:
        """Have this process say what it needs.

        Args:
            host: Whether it says the figures of the host, too.
            has_recorded: Whether this process has anything else to tell.
        """
        excluded = _excluded()
        SPEECH.allow(has_recorded, excluded)
        _process.observe()
        if not (SPEECH.excludes(instruments.GC_PAUSE) and SPEECH.excludes(instruments.GC_TIME)):
            garbage.watch_garbage()
        lags = (instruments.EVENT_LOOP_LAG, instruments.EVENT_LOOP_LONGEST_LAG)
        if not all(SPEECH.excludes(lag) for lag in lags):
            self._loops.instrument()
        if host:
            self._instrument_host(excluded)

    def uninstrument(self) -> None:
        """Say no more."""
        SPEECH.allow(lambda: False)
        self._loops.uninstrument()
        garbage.leave_garbage()
        if self._host is not None:
            self._host.uninstrument()

    def _instrument_host(self, excluded: tuple[str, ...]) -> None:
        from opentelemetry.instrumentation.system_metrics import SystemMetricsInstrumentor

        config = {
            name: states
            for name, states in _HOST.items()
            if not any(fnmatch.fnmatch(name, pattern) for pattern in excluded)
        }
        self._host = SystemMetricsInstrumentor(config=config)
        self._host.instrument(skip_dep_check=True)


class _Process:
    """This process, as psutil and the interpreter see it."""

    def __init__(self) -> None:
        self._psutil: Any = None
        self._pid = 0
        self._at_fork: list[dict[str, int]] = []
        self._observed = False

    def observe(self) -> None:
        """Have its figures asked for at each collection, once."""
        if self._observed:
            return
        self._observed = True
        forks.in_child(self._after_fork_in_child)
        for declaration, read in _READ.items():
            record.observe(declaration, _callback(declaration, read), instruments.SCOPE)

    def psutil(self) -> Any:
        """Psutil's view of this very process; a child is another one than its parent."""
        if self._pid != os.getpid():
            import psutil

            self._psutil, self._pid = psutil.Process(), os.getpid()
        return self._psutil

    def garbage(self, key: str) -> Iterator[Reading]:
        """A figure of `gc.get_stats()` for each generation, since this process began."""
        for generation, stats in enumerate(gc.get_stats()):
            before = self._at_fork[generation][key] if self._at_fork else 0
            yield stats[key] - before, generation

    def _after_fork_in_child(self) -> None:
        # The child goes on with its parent's figures; added up they would count twice.
        self._at_fork = gc.get_stats()


_process: Final = _Process()


def _callback(
    declaration: Instrument, read: Callable[[_Process], Iterable[Reading]]
) -> Callable[[], Iterable[Reading]]:
    def callback() -> Iterable[Reading]:
        if not SPEECH.of(declaration):
            return ()
        try:
            return tuple(read(_process))
        except Exception as error:
            # Not every system has each figure, or shows it to every user.
            _logger.debug("%s: %r", declaration.name, error)
            return ()

    return callback


def _cpu_time(process: _Process) -> Iterator[Reading]:
    times = process.psutil().cpu_times()
    yield times.user, "user"
    yield times.system, "system"


def _cpu(process: _Process) -> Iterator[Reading]:
    times = process.psutil().cpu_times()
    yield (times.user + times.system,)


def _memory_usage(process: _Process) -> Iterator[Reading]:
    yield (process.psutil().memory_info().rss,)


def _memory_virtual(process: _Process) -> Iterator[Reading]:
    yield (process.psutil().memory_info().vms,)


def _threads(process: _Process) -> Iterator[Reading]:
    yield (process.psutil().num_threads(),)


def _file_descriptors(process: _Process) -> Iterator[Reading]:
    yield (process.psutil().num_fds(),)


def _context_switches(process: _Process) -> Iterator[Reading]:
    switches = process.psutil().num_ctx_switches()
    yield switches.voluntary, "voluntary"
    yield switches.involuntary, "involuntary"


def _disk_io(process: _Process) -> Iterator[Reading]:
    counters = process.psutil().io_counters()
    yield counters.read_bytes, "read"
    yield counters.write_bytes, "write"


def _uptime(process: _Process) -> Iterator[Reading]:
    # The clock may be set back.
    yield (max(0.0, time.time() - process.psutil().create_time()),)


_READ: Final[dict[Instrument, Callable[[_Process], Iterable[Reading]]]] = {
    instruments.CPU_TIME: _cpu_time,
    instruments.MEMORY_USAGE: _memory_usage,
    instruments.MEMORY_VIRTUAL: _memory_virtual,
    instruments.THREAD_COUNT: _threads,
    instruments.FILE_DESCRIPTORS: _file_descriptors,
    instruments.CONTEXT_SWITCHES: _context_switches,
    instruments.DISK_IO: _disk_io,
    instruments.UPTIME: _uptime,
    instruments.GC_COLLECTIONS: lambda process: process.garbage("collections"),
    instruments.GC_COLLECTED_OBJECTS: lambda process: process.garbage("collected"),
    instruments.GC_UNCOLLECTABLE_OBJECTS: lambda process: process.garbage("uncollectable"),
    instruments.RESIDENT_MEMORY: _memory_usage,
    instruments.CPU: _cpu,
}


def _excluded() -> tuple[str, ...]:
    """Patterns of upstream's own setting."""
    setting = os.environ.get("OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS", "")
    return tuple(pattern for part in setting.split(",") if (pattern := part.strip()))
