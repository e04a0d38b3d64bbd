"""Start, fork, signals, exit: nothing that was finished is lost, and nobody waits longer than the budget.

A process ends in one of these ways, and each passes here once:

- the last line, `sys.exit`, an unhandled exception, Ctrl-C: `atexit`;
- SIGTERM, or SIGINT where Python's own handler is not installed: our handler sends, restores the default and
  raises the signal again, so that whoever waits sees the same status as without us;
- a `multiprocessing` child, which leaves by `os._exit`: a finalizer of `multiprocessing.util`.

What ends in no way that Python sees (SIGKILL, `os._exit` in the application) loses what was not yet sent.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import wrapt

from otel_kpi import _compat

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_logger = logging.getLogger("otel_kpi")


class Drainable(Protocol):
    """What has to send something before the process ends."""

    def begin_drain(self, deadline: float, *, final: bool) -> None:
        """Begin to send; do not wait."""
        ...

    def end_drain(self) -> bool:
        """Wait until it is done or its deadline is over."""
        ...


class Lifecycle:
    """Sends what is left when the process ends, once, within one budget.

    Args:
        budget: Seconds that the end of the process may take because of us.
        renew: Called in a forked child.
    """

    def __init__(self, budget: float, renew: Callable[[], None]) -> None:
        self._budget = budget
        self._renew = renew
        self._drains: list[Drainable] = []
        self._ended = False
        self._ending = threading.Lock()

    def add(self, drainable: Drainable) -> None:
        """Have `drainable` asked at each flush and at the end."""
        self._drains.append(drainable)

    def install(self) -> None:
        """Take part in exit, signals, forks and `multiprocessing`."""
        atexit.register(self._at_exit)
        if hasattr(os, "register_at_fork"):
            # Registered after the providers' own hooks, and so run after them: what we set stays.
            os.register_at_fork(after_in_child=self._after_fork_in_child)
        self._install_signals()
        wrapt.register_post_import_hook(self._hook_multiprocessing, "multiprocessing.util")

    def flush(self, timeout: float) -> bool:
        """Send what waits now; returns whether everything was sent in `timeout` seconds."""
        return self._drain(timeout, final=False)

    def end(self) -> None:
        """Send what is left, for the last time. Later calls do nothing."""
        with self._ending:
            if self._ended:
                return
            self._ended = True
        self._drain(self._budget, final=True)

    def _drain(self, timeout: float, *, final: bool) -> bool:
        deadline = time.monotonic() + timeout
        done = True
        for drain in self._drains:
            drain.begin_drain(deadline, final=final)
        for drain in self._drains:
            try:
                done = drain.end_drain() and done
            except Exception:
                _logger.exception("telemetry was not sent; the application is not affected")
                done = False
        return done

    def _at_exit(self) -> None:
        interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
        self.end()
        if interrupted:
            _compat.remember_keyboard_interrupt()

    # --- signals

    def _install_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # configured in a thread: Python allows signal handlers in the main thread only
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                # A handler of the application's stays; Python's own for SIGINT ends in `atexit` anyway.
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._on_signal)
            except (ValueError, OSError):  # a subinterpreter, or a signal that this system does not have
                continue

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as `signal` calls it
        signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        self.end()
        os.kill(os.getpid(), number)

    # --- children

    def _after_fork_in_child(self) -> None:
        self._ended = False
        self._ending = threading.Lock()
        try:
            self._renew()
        except Exception:
            _logger.exception(
                "telemetry does not work in this child process; the application is not affected"
            )

    def _hook_multiprocessing(self, util: Any) -> None:
        # A child first forgets all finalizers, then calls what was registered here, so ours is the one it keeps.
        util.register_after_fork(self, Lifecycle._end_with_multiprocessing)

    def _end_with_multiprocessing(self) -> None:
        from multiprocessing import util

        # The lowest priority: after the application's own finalizers, which may still record something.
        util.Finalize(None, self.end, exitpriority=-1_000_000)
