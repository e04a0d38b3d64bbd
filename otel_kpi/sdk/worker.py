"""The thread that sends: one for each destination, for all signals that go there.

The application's threads only append to queues. This thread encodes and sends; it is a daemon, so a slow
receiver never keeps a process alive, and `drain()` waits for it no longer than its caller allows.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_kpi import _compat, forks
from otel_kpi.sdk.drain import Bell, Drain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_kpi.sdk.channel import Channel
    from otel_kpi.sdk.condition import DestinationCondition
    from otel_kpi.sdk.metrics import MetricChannel

_logger = logging.getLogger("otel_kpi.export")

_LONGEST_IMPORT = 1.0  # seconds that a fork waits for
_LONGEST_STOP = 1.0  # seconds that the program waits for the thread's end before gevent takes its place
_LONGEST_SLEEP = 3600.0  # seconds; a lock cannot be waited for without end and with a timeout


class _Life:
    """Of one thread: another may have begun before it saw that it should end."""

    __slots__ = ("ended",)

    def __init__(self) -> None:
        self.ended = False


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
        # Called at each wake-up; kept over a fork.
        self.look: Callable[[], None] | None = None
        self.look_due = math.inf  # seconds of `time.monotonic`; at the latest then
        self._renew()

    def _renew(self) -> None:
        self._bell = Bell()
        self._drains: deque[Drain] = deque()
        self._closed = False
        self._thread: threading.Thread | None = None
        self._life = _Life()

    @property
    def channels(self) -> tuple[Channel | MetricChannel, ...]:
        """The channels that this thread empties."""
        return tuple(self._channels)

    def add(self, channel: Channel | MetricChannel) -> None:
        """Give the worker one more channel; before `start`."""
        self._channels.append(channel)
        # Metrics last: to collect them calls the application, which may take its time or never come back. And what
        # they say of the spans and log records sent is then true at the end.
        self._channels.sort(key=lambda each: each.signal == "metrics")

    def wake(self) -> None:
        """A full batch waits."""
        self._bell.ring()

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(
            target=self._run, args=(self._life,), name="otel-kpi-export", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it for a moment; what waits to be sent goes on waiting."""
        self._life.ended = True
        self._bell.ring()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_LONGEST_STOP)

    def restart(self) -> None:
        """Begin again with a thread of the kind that there is now, and a bell that it can wait for."""
        self._life = _Life()
        self._bell = Bell()
        self.start()

    def drain(self, deadline: float, *, final: bool) -> bool:
        """Have everything sent that waits now, and wait for it; see `begin_drain`."""
        return self.begin_drain(deadline, final=final)()

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        """Ask the thread to send everything that waits now; may be called from a signal handler.

        Args:
            deadline: Seconds of `time.monotonic`.
            final: The process ends: what cannot be sent is counted as lost. What comes later is sent at once by who
                brings it, until the deadline.

        Returns:
            What waits for the end, at most until the deadline, and says whether everything was sent.
        """
        if final:
            self._close(deadline)
        drain = Drain(deadline, final=final)
        self._drains.append(drain)
        self._bell.ring()
        return lambda: self._end_drain(drain)

    def waiting(self) -> int:
        """Items that were taken and neither sent nor lost yet."""
        return sum(channel.waiting() for channel in self._channels)

    def before_fork(self) -> None:
        """Let an import of the thread end; the child could never do the same one."""
        deadline = time.monotonic() + _LONGEST_IMPORT
        thread = self._thread
        while (
            thread is not None and thread is not threading.current_thread() and _compat.is_importing(thread)
        ):
            if time.monotonic() > deadline:
                break
            time.sleep(0.001)  # an import has no event that tells its end

    def after_fork_in_child(self) -> None:
        """Begin anew: the thread, the locks and the connection belong to the parent."""
        self._renew()
        self._condition.forget()
        for channel in self._channels:
            channel.forget()
        forks.start(self.start)

    def _end_drain(self, drain: Drain) -> bool:
        thread = self._thread
        if thread is threading.current_thread():
            return False  # a callback of the application flushes while it is asked for its metrics
        if thread is None or not thread.is_alive():
            self._serve()  # it could not be started, or was lost in a fork by C code
        sent = drain.wait()
        if drain.final:
            if sent is None:
                for channel in self._channels:
                    channel.forfeit()
            self._condition.ended(self._channels)
        return bool(sent)

    def _run(self, life: _Life) -> None:
        failing = False
        with suppress_instrumentation():  # what is done for telemetry is not itself worth a span
            while not life.ended:
                try:
                    self._step()
                    failing = False
                except Exception as error:
                    # Say so once, keep sending what can be sent, and do not spin.
                    if not failing:
                        defect = not isinstance(error, (OSError, ImportError))
                        _logger.warning("telemetry waits, the exporter failed: %s", error, exc_info=defect)
                    failing = True
                    time.sleep(1.0)

    def _step(self) -> None:
        now = time.monotonic()
        due = min(now + _LONGEST_SLEEP, self.look_due)
        if not self._closed:
            due = min([due, *(channel.next_due for channel in self._channels)])
        self._bell.wait(due - now)
        if self.look is not None:
            self.look()
        if self._drains:
            self._serve()
            return
        if self._closed:
            return
        for channel in self._channels:
            now = time.monotonic()
            if now >= channel.next_due or channel.has_full_batch():
                channel.pump(now, self._timeout)

    def _serve(self) -> None:
        while self._drains:
            drains = [self._drains.popleft() for _ in range(len(self._drains))]
            deadline = max(drain.deadline for drain in drains)
            final = any(drain.final for drain in drains)
            sent = False
            try:
                sent = min([channel.drain(deadline, final=final) for channel in self._channels])
                if final:
                    for channel in self._channels:
                        channel.exporter.end()
            finally:
                for drain in drains:
                    drain.finish(sent=sent)

    def _close(self, deadline: float) -> None:
        """From now on who brings an item waits for it: threads that never stop leave the interpreter to this one."""
        self._closed = True
        for channel in self._channels:
            channel.late = lambda: self._send_late(deadline)

    def _send_late(self, deadline: float) -> None:
        """An item came after the last flush, from another `atexit` handler or a thread that still runs."""
        if self._thread is threading.current_thread():
            return
        if time.monotonic() < deadline:
            self.drain(deadline, final=True)
        else:
            for channel in self._channels:
                channel.forfeit()


def begin_drain_together(
    workers: Iterable[ExportWorker], deadline: float, *, final: bool
) -> Callable[[], bool]:
    """Ask several destinations at once, so that they send side by side; see `ExportWorker.begin_drain`."""
    ends = [worker.begin_drain(deadline, final=final) for worker in workers]
    return lambda: min([end() for end in ends], default=True)
