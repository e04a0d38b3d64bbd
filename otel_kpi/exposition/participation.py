"""How this process comes to take part: bound to a MeterProvider, to a thread that looks in, to forks and to the end.

The thread is that which exports; where none does there is one of ours. A process that ends writes a last snapshot; a
forked child begins anew.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from otel_kpi import _compat, forks
from otel_kpi import process as process_of_telemetry
from otel_kpi.exposition.participant import EVERY, PATIENCE, Binding, Participant
from otel_kpi.exposition.source import OnDemandReader
from otel_kpi.model.prometheus import series_name
from otel_kpi.sdk.drain import Bell

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import MetricsData

    from otel_kpi.exposition.totals import Totals
    from otel_kpi.pipeline import Pipeline

_logger = logging.getLogger("otel_kpi.exposition")


@dataclass(slots=True)
class _Here:
    """What there is in this program."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    active: bool = False
    binding: Binding | None = None
    participant: Participant | None = None
    pid: int = field(default_factory=os.getpid)
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
        forks.in_child(_after_fork)
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
        _here.pid = os.getpid()


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
        worker.look_due = _look()

    worker.look = look
    worker.look_due = time.monotonic()
    worker.wake()
    return Binding(
        pipeline.meter_provider,
        own,
        service,
        exported=reader is not None,
        # An export that is a little late should not be anticipated.
        interval=interval + (EVERY if reader is not None else 0.0),
        wake=worker.wake,
        has_recorded=pipeline.has_recorded,
    )


def _bind_foreign(provider: MeterProvider) -> Binding:
    """A provider that the application made; what it counted before is not known."""
    reader = OnDemandReader()
    provider.add_metric_reader(reader)
    resource = _compat.resource_of_metrics(provider).attributes
    atexit.register(lambda: _write_last(time.monotonic() + EVERY))
    service = (str(resource.get("service.name", "")), str(resource.get("service.instance.id", "")))
    return Binding(provider, reader, service, wake=_Ticker().wake)


def _participant() -> Participant | None:
    """That of this process; a thread may come here in a forked child before the fork's own hook has."""
    binding, participant = _here.binding, _here.participant
    if binding is not None and (participant is None or participant.pid != os.getpid()):
        forked = _here.pid != os.getpid()
        if forked and not binding.exported:
            # The pipeline empties its own.
            _compat.empty_metric_state(binding.provider, binding.reader)
        _here.pid = os.getpid()
        participant = _here.participant = Participant(binding, forked=forked)
    return participant


def _exporting(data: MetricsData) -> None:
    participant = _participant()
    if participant is not None:
        try:
            participant.exporting(data)
        except Exception as error:
            _say_defect(error)


def _look() -> float:
    """Have this process do its part; returns when the next time is."""
    participant = _participant()
    if participant is not None:
        try:
            return participant.look()
        except Exception as error:
            _say_defect(error)
    return time.monotonic() + EVERY


def _write_last(deadline: float) -> None:
    participant = _participant()
    if participant is not None:
        try:
            participant.write(max(PATIENCE, deadline - time.monotonic()))
        except Exception as error:
            _say_defect(error)


def _say_defect(error: Exception) -> None:
    if not _here.said:
        _here.said = True
        _logger.warning("metrics of this worker may be missing from the answers of others: %r", error)


class _Last:
    """Leaves the last snapshot, and one at each flush."""

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        del final

        def end() -> bool:
            _write_last(deadline)
            return True

        return end

    def waiting(self) -> int:
        return 0


class _Ticker:
    """A thread that looks each second, where none exports."""

    def __init__(self) -> None:
        self.start()
        forks.in_child(lambda: forks.start(self.start))

    def start(self) -> None:
        self._bell = Bell()
        threading.Thread(
            target=self._run, args=(self._bell,), name="otel-kpi-exposition", daemon=True
        ).start()

    def wake(self) -> None:
        self._bell.ring()

    def _run(self, bell: Bell) -> None:
        while True:
            bell.wait(_look() - time.monotonic())


def _after_fork() -> None:
    _here.lock = threading.Lock()
    _participant()
