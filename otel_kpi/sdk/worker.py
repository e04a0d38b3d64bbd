"""The thread that sends: one for each destination, for all signals that go there.

The application's threads only append to queues. This thread encodes and sends; it is a daemon, so a slow
receiver never keeps a process alive, and `drain()` waits for it no longer than its caller allows.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import suppress_instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_kpi.sdk.channel import Channel
    from otel_kpi.sdk.condition import DestinationCondition
    from otel_kpi.sdk.metrics import MetricChannel

_logger = logging.getLogger("otel_kpi.export")


@dataclass(frozen=True, slots=True)
class _Drain:
    deadline: float
    final: bool


class ExportWorker:
    """Sends what the channels of one destination hold.

    Args:
        condition: Says how the destination does.
        timeout: Longest time of one request, in seconds.
    """

    def __init__(self, condition: DestinationCondition, timeout: float) -> None:
        self._condition = condition
        self._timeout = timeout
        self._channels: list[Channel | MetricChannel] = []
        self._renew()

    def _renew(self) -> None:
        self._wake = threading.Event()
        self._drain_lock = threading.Lock()
        self._drained = threading.Event()
        self._asked: _Drain | None = None  # the newest wish
        self._drain: _Drain | None = None  # the same, until the thread takes it
        self._stopped = False
        self._thread: threading.Thread | None = None

    @property
    def channels(self) -> tuple[Channel | MetricChannel, ...]:
        """The channels that this thread empties."""
        return tuple(self._channels)

    def add(self, channel: Channel | MetricChannel) -> None:
        """Give the worker one more channel; before `start`."""
        self._channels.append(channel)

    def wake(self) -> None:
        """A full batch waits."""
        self._wake.set()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="otel-kpi-export", daemon=True)
        self._thread.start()

    def drain(self, deadline: float, *, final: bool) -> bool:
        """Have everything sent that waits now; `begin_drain` and `end_drain` in one."""
        self.begin_drain(deadline, final=final)
        return self.end_drain()

    def begin_drain(self, deadline: float, *, final: bool) -> None:
        """Ask the thread to send everything that waits now.

        Args:
            deadline: Seconds of `time.monotonic`; `end_drain` returns by then, whatever the receiver does.
            final: The process ends: what cannot be sent is counted as lost, and the worker stops.
        """
        if self._stopped:
            return
        with self._drain_lock:
            self._drained.clear()
            self._asked = self._drain = _Drain(deadline, final)
        self._wake.set()

    def end_drain(self) -> bool:
        """Wait for what `begin_drain` asked; returns whether it was done in time."""
        drain = self._asked
        if self._stopped or drain is None:
            return True
        thread = self._thread
        if thread is not None and thread.is_alive():
            done = self._drained.wait(max(0.0, drain.deadline - time.monotonic()))
        else:
            # No thread to ask: the interpreter is going down, or the process was forked by C code.
            self._drain_channels(drain)
            done = True
        if drain.final:
            self._stopped = True
            self._wake.set()
            if not done:
                for channel in self._channels:
                    channel.forfeit()
            self._condition.ended([*self._channels])
        return done

    def after_fork_in_child(self) -> None:
        """Begin anew: the thread, the locks and the connection belong to the parent."""
        self._renew()
        for channel in self._channels:
            channel.forget()
        self.start()

    def _run(self) -> None:
        with suppress_instrumentation():  # what is done for telemetry is not itself worth a span
            while not self._stopped:
                try:
                    self._step()
                except Exception:
                    # A defect of ours: keep sending what can be sent, and do not spin.
                    _logger.exception("the exporter failed; the application is not affected")
                    time.sleep(1.0)

    def _step(self) -> None:
        due = min((channel.next_due for channel in self._channels), default=time.monotonic() + 3600.0)
        self._wake.wait(max(0.0, due - time.monotonic()))
        self._wake.clear()
        with self._drain_lock:
            drain, self._drain = self._drain, None
        if drain is not None:
            try:
                self._drain_channels(drain)
            finally:
                self._drained.set()
            return
        for channel in self._channels:
            now = time.monotonic()
            if now >= channel.next_due or channel.has_full_batch():
                channel.pump(now, self._timeout)

    def _drain_channels(self, drain: _Drain) -> None:
        for channel in self._channels:
            channel.drain(drain.deadline, final=drain.final)


def drain_together(workers: Iterable[ExportWorker], deadline: float) -> bool:
    """Have several destinations send what waits, side by side and by one deadline."""
    asked = tuple(workers)
    for worker in asked:
        worker.begin_drain(deadline, final=False)
    return min([worker.end_drain() for worker in asked], default=True)
