"""What a process says of itself: CPU, memory, threads, files, garbage collection.

Each process says it of itself, a forked child too, under the names of the conventions
(https://opentelemetry.io/docs/specs/semconv/system/process-metrics/ and `runtime/cpython-metrics`). Nothing is read
before a collection, which the export thread does. A process that has nothing else to tell says nothing of itself
either: helper processes, like the resource tracker of `multiprocessing`, ask no Collector to be there.

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
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import Observation, get_meter

from otel_kpi._version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.metrics import CallbackOptions

_logger: Final = logging.getLogger("otel_kpi.instrumentation")

SCOPE: Final = "otel_kpi.process"

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

    def instrument(
        self, *, host: bool = False, has_recorded: Callable[[], bool] = lambda: True, **_options: Any
    ) -> None:
        """Have this process say what it needs.

        Args:
            host: Whether it says the figures of the host, too.
            has_recorded: Whether this process has anything else to tell.
        """
        excluded = _excluded()
        _process.speak(has_recorded)
        meter = get_meter(SCOPE, __version__)
        for kind, name, unit, description, observe in _INSTRUMENTS:
            if not any(fnmatch.fnmatch(name, pattern) for pattern in excluded):
                create = getattr(meter, f"create_observable_{kind}")
                create(name, [_callback(observe)], unit, description)
        if host:
            self._instrument_host(excluded)

    def uninstrument(self) -> None:
        """Say no more."""
        _process.speak(lambda: False)
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
        self._has_recorded: Callable[[], bool] = lambda: False
        self._psutil: Any = None
        self._pid = 0
        self._at_fork: list[dict[str, int]] = []
        self._hooked = False

    def speak(self, has_recorded: Callable[[], bool]) -> None:
        """Say something whenever `has_recorded()` holds."""
        self._has_recorded = has_recorded
        if not self._hooked and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork_in_child)
        self._hooked = True

    def speaks(self) -> bool:
        return self._has_recorded()

    def psutil(self) -> Any:
        """Psutil's view of this very process; a child is another one than its parent."""
        if self._pid != os.getpid():
            import psutil

            self._psutil, self._pid = psutil.Process(), os.getpid()
        return self._psutil

    def garbage(self, key: str) -> Iterator[int]:
        """A figure of `gc.get_stats()` for each generation, since this process began."""
        for generation, stats in enumerate(gc.get_stats()):
            before = self._at_fork[generation][key] if self._at_fork else 0
            yield stats[key] - before

    def _after_fork_in_child(self) -> None:
        # The child goes on with its parent's figures; added up they would count twice.
        self._at_fork = gc.get_stats()


_process: Final = _Process()


def _callback(
    observe: Callable[[_Process], Iterable[Observation]],
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def callback(_: CallbackOptions) -> Iterable[Observation]:
        if not _process.speaks():
            return ()
        try:
            return tuple(observe(_process))
        except Exception as error:
            # Not every system has each figure, or shows it to every user.
            _logger.debug("%s: %r", observe.__name__, error)
            return ()

    return callback


def _cpu_time(process: _Process) -> Iterator[Observation]:
    times = process.psutil().cpu_times()
    yield Observation(times.user, {"cpu.mode": "user"})
    yield Observation(times.system, {"cpu.mode": "system"})


def _memory_usage(process: _Process) -> Iterator[Observation]:
    yield Observation(process.psutil().memory_info().rss)


def _memory_virtual(process: _Process) -> Iterator[Observation]:
    yield Observation(process.psutil().memory_info().vms)


def _threads(process: _Process) -> Iterator[Observation]:
    yield Observation(process.psutil().num_threads())


def _file_descriptors(process: _Process) -> Iterator[Observation]:
    yield Observation(process.psutil().num_fds())


def _context_switches(process: _Process) -> Iterator[Observation]:
    switches = process.psutil().num_ctx_switches()
    yield Observation(switches.voluntary, {"process.context_switch.type": "voluntary"})
    yield Observation(switches.involuntary, {"process.context_switch.type": "involuntary"})


def _disk_io(process: _Process) -> Iterator[Observation]:
    counters = process.psutil().io_counters()
    yield Observation(counters.read_bytes, {"disk.io.direction": "read"})
    yield Observation(counters.write_bytes, {"disk.io.direction": "write"})


def _collections(process: _Process) -> Iterator[Observation]:
    yield from _by_generation(process.garbage("collections"))


def _collected_objects(process: _Process) -> Iterator[Observation]:
    yield from _by_generation(process.garbage("collected"))


def _uncollectable_objects(process: _Process) -> Iterator[Observation]:
    yield from _by_generation(process.garbage("uncollectable"))


def _by_generation(counts: Iterable[int]) -> Iterator[Observation]:
    for generation, count in enumerate(counts):
        yield Observation(count, {"cpython.gc.generation": generation})


_INSTRUMENTS: Final = (
    ("counter", "process.cpu.time", "s", "CPU seconds by mode.", _cpu_time),
    ("up_down_counter", "process.memory.usage", "By", "Physical memory in use.", _memory_usage),
    ("up_down_counter", "process.memory.virtual", "By", "Virtual memory.", _memory_virtual),
    ("up_down_counter", "process.thread.count", "{thread}", "Threads.", _threads),
    (
        "up_down_counter",
        "process.unix.file_descriptor.count",
        "{file_descriptor}",
        "Open file descriptors.",
        _file_descriptors,
    ),
    (
        "counter",
        "process.context_switches",
        "{context_switch}",
        "Context switches by type.",
        _context_switches,
    ),
    ("counter", "process.disk.io", "By", "Bytes read from and written to disks.", _disk_io),
    ("counter", "cpython.gc.collections", "{collection}", "Collections by generation.", _collections),
    (
        "counter",
        "cpython.gc.collected_objects",
        "{object}",
        "Objects collected by generation.",
        _collected_objects,
    ),
    (
        "counter",
        "cpython.gc.uncollectable_objects",
        "{object}",
        "Objects found to be uncollectable, by generation.",
        _uncollectable_objects,
    ),
)


def _excluded() -> tuple[str, ...]:
    """Patterns of upstream's own setting."""
    setting = os.environ.get("OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS", "")
    return tuple(pattern for part in setting.split(",") if (pattern := part.strip()))
