"""This process as one of several: it leaves its figures for the others, and adds theirs up when it is asked.

The thread that exports does the work between requests, each second: if something was counted since, it writes a
snapshot. Who has no such thread gets one. A process that ends writes a last one; a forked child begins anew.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_kpi import _compat
from otel_kpi import process as process_of_telemetry
from otel_kpi.exposition import processes
from otel_kpi.exposition.folder import Folder
from otel_kpi.exposition.source import OnDemandReader, Source
from otel_kpi.exposition.totals import Member, Totals, add_up
from otel_kpi.instance import private_folder
from otel_kpi.model.prometheus import series_name
from otel_kpi.sdk.drain import Bell

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricReader, MetricsData

    from otel_kpi.exposition.families import Families
    from otel_kpi.pipeline import Pipeline

_logger = logging.getLogger("otel_kpi.exposition")

_EVERY: Final = 1.0
"""Seconds between two snapshots, at least; also between two questions to callbacks when somebody wants to see them."""
_SHARE: Final = 0.01
"""Of a processor, at most, for snapshots: with thousands of series they come less often."""
_PATIENCE: Final = 0.2
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
    """One process; a forked child is another."""

    def __init__(self, binding: Binding) -> None:
        self.pid = os.getpid()
        self._binding = binding
        self._source = Source(binding.provider, binding.reader, exported=binding.exported)
        self._folder: Folder | None = None
        self._alone = False
        self._written: Families = {}
        self._due = 0.0
        self._writing = threading.Lock()
        self._failing = False
        self._spent = 0.0
        self._begun = time.monotonic()
        self._wishes: deque[Bell] = deque()

    def exporting(self, data: MetricsData) -> None:
        """See what is about to be sent."""
        self._source.exporting(data)

    def look(self) -> None:
        """What there is to do between requests; called about each second, and when somebody wants to see callbacks."""
        now = time.monotonic()
        wishes = [self._wishes.popleft() for _ in range(len(self._wishes))]
        if wishes or now - max(self._source.asked_at, self._begun) >= self._binding.interval:
            self._source.ask()
            for wish in wishes:
                wish.ring()
        if now >= self._due:
            before = time.thread_time()
            self.write()
            spent = time.thread_time() - before
            # The first takes its time for imports and for what others have left; that is not what they cost.
            self._due = now + max(_EVERY, min(spent, self._spent) / _SHARE)
            self._spent = spent

    def write(self) -> None:
        """Leave a snapshot, if something was counted since the last one, and fold what ended processes have left."""
        if not self._writing.acquire(timeout=_PATIENCE):
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
        if time.monotonic() - self._source.asked_at < _EVERY:
            return
        wish = Bell()
        self._wishes.append(wish)
        self._binding.wake()
        wish.wait(_PATIENCE)

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


@dataclass(slots=True)
class _Here:
    """What there is in this program."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    active: bool = False
    binding: Binding | None = None
    participant: Participant | None = None
    said: bool = False


_here = _Here()


def activate() -> None:
    """Begin to take part: now, or when telemetry is configured. Needs no undoing, and no second call.

    Never raises.
    """
    try:
        with _here.lock:
            if _here.active:
                return
            _here.active = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
        process_of_telemetry.when_configured(_bind)
        _bind()
    except Exception:
        _logger.exception("metrics are not exposed; the application is not affected")


def totals() -> Totals:
    """What the processes of this service have measured.

    Raises:
        LookupError: There is nothing to read; says why.
    """
    activate()
    if _here.binding is None:
        _bind()
    participant = _participant()
    if participant is None:
        raise LookupError(_reason())
    return participant.totals()


def prefix() -> str | None:
    """That of the compatibility series as Prometheus has it, if there are any."""
    configured = process_of_telemetry.configured()
    given = configured.resolved.settings.chat_prefix if configured is not None else None
    return series_name(given.lower(), "", "gauge") if given else None


def _reason() -> str:
    configured = process_of_telemetry.configured()
    if configured is not None and configured.pipeline is None:
        return "telemetry is switched off (OTEL_SDK_DISABLED)"
    if configured is None:
        return (
            "telemetry is not configured: start with opentelemetry-instrument, or call otel_kpi.configure()"
        )
    return "the MeterProvider of the application is not opentelemetry-sdk's and cannot be read"


def _bind() -> None:
    from opentelemetry import metrics
    from opentelemetry.sdk.metrics import MeterProvider

    with _here.lock:
        if _here.binding is not None:
            return
        provider = metrics.get_meter_provider()
        configured = process_of_telemetry.configured()
        pipeline = configured.pipeline if configured is not None else None
        if configured is not None and pipeline is not None and provider is pipeline.meter_provider:
            interval = configured.resolved.settings.metric_interval / 1000.0
            _here.binding = _bind_pipeline(pipeline, interval)
        elif isinstance(provider, MeterProvider):
            _here.binding = _bind_foreign(provider)


def _bind_pipeline(pipeline: Pipeline, interval: float) -> Binding:
    reader = next((each for each in pipeline.readers if each.cumulative), None)
    service = (pipeline.service, pipeline.instance_base)
    process_of_telemetry.add_drainable(_Last())
    if reader is not None:
        reader.watch = _exporting
    own = reader if reader is not None else OnDemandReader()
    if reader is None:
        pipeline.meter_provider.add_metric_reader(own)
    if not pipeline.workers:
        return Binding(
            pipeline.meter_provider, own, service, wake=_Ticker().wake, has_recorded=pipeline.has_recorded
        )
    worker = pipeline.workers[0]
    before = worker.look

    def look() -> None:
        if before is not None:
            before()
        _look()

    worker.look = look
    worker.look_every = _EVERY
    worker.wake()
    return Binding(
        pipeline.meter_provider,
        own,
        service,
        exported=reader is not None,
        # An export that is a little late should not be anticipated.
        interval=interval + (_EVERY if reader is not None else 0.0),
        wake=worker.wake,
        has_recorded=pipeline.has_recorded,
    )


def _bind_foreign(provider: MeterProvider) -> Binding:
    """A provider that the application made; what it counted before is not known."""
    reader = OnDemandReader()
    provider.add_metric_reader(reader)
    resource = _compat.resource_of_metrics(provider).attributes
    atexit.register(_write_last)
    service = (str(resource.get("service.name", "")), str(resource.get("service.instance.id", "")))
    return Binding(provider, reader, service, wake=_Ticker().wake)


def _participant() -> Participant | None:
    """That of this process; a thread may come here in a forked child before the fork's own hook has."""
    binding, participant = _here.binding, _here.participant
    if binding is not None and (participant is None or participant.pid != os.getpid()):
        participant = _here.participant = Participant(binding)
    return participant


def _exporting(data: MetricsData) -> None:
    participant = _participant()
    if participant is not None:
        try:
            participant.exporting(data)
        except Exception as error:
            _say_defect(error)


def _look() -> None:
    participant = _participant()
    if participant is not None:
        try:
            participant.look()
        except Exception as error:
            _say_defect(error)


def _write_last() -> None:
    participant = _participant()
    if participant is not None:
        try:
            participant.write()
        except Exception as error:
            _say_defect(error)


def _say_defect(error: Exception) -> None:
    if not _here.said:
        _here.said = True
        _logger.warning("metrics of this worker may be missing from the answers of others: %r", error)


class _Last:
    """Leaves the last snapshot, and one at each flush."""

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        del deadline, final

        def end() -> bool:
            _write_last()
            return True

        return end

    def waiting(self) -> int:
        return 0


class _Ticker:
    """A thread that looks each second, where none exports."""

    def __init__(self) -> None:
        self.start()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.start)

    def start(self) -> None:
        self._bell = Bell()
        threading.Thread(
            target=self._run, args=(self._bell,), name="otel-kpi-exposition", daemon=True
        ).start()

    def wake(self) -> None:
        self._bell.ring()

    def _run(self, bell: Bell) -> None:
        while True:
            bell.wait(_EVERY)
            _look()


def _after_fork() -> None:
    _here.lock = threading.Lock()
    binding = _here.binding
    if binding is None:
        return
    if not binding.exported:
        # The pipeline empties its own.
        _compat.empty_metric_state(binding.provider, binding.reader)
    _participant()
