"""Start, fork, signals, exit: nothing that was finished is lost, and nobody waits longer than the budget.

A process ends in one of these ways, and each passes here once:

- the last line, `sys.exit`, an unhandled exception, Ctrl-C: `atexit`;
- SIGTERM, or SIGINT where Python's own handler is not installed: our handler sends, restores the default and
  raises the signal again, so that whoever waits sees the same status as without us;
- a `multiprocessing` child, which leaves by `os._exit`: a finalizer of `multiprocessing.util`;
- a child of a Celery worker, which leaves by `os._exit` and asks no finalizer: Celery's own signal;
- a forked child that leaves by `os._exit`, as RQ's do after each job: a wrapper of that function, which holds up
  nobody who has nothing to send;
- another program that takes its place: a flush before `os.exec*`.

What another `atexit` handler records after ours is sent at once, within what is left of the budget. What ends in
no way that Python sees (SIGKILL, `os._exit` in a process that was not forked) loses what was not yet sent, and a signal is seen
only when the main thread returns to Python: a long call into C delays it, as it delays every handler in Python.
"""

from __future__ import annotations

import _thread
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
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_set_handler = signal.signal


class Drainable(Protocol):
    """What has to send something before the process ends."""

    def begin_drain(self, deadline: float, *, final: bool) -> Callable[[], bool]:
        """Begin to send, and return what waits until all is sent or the deadline over, and says which."""
        ...

    def waiting(self) -> int:
        """How much there is to send."""
        ...


class Forkable(Protocol):
    """What takes part in a fork."""

    def before_fork(self) -> None:
        """In the parent, before."""
        ...

    def after_fork_in_child(self) -> None:
        """In the child: begin anew."""
        ...


class Lifecycle:
    """Sends what is left when the process ends, once, within one budget.

    Args:
        budget: Seconds that the end of the process may take because of us.
        forkable: Is told of forks.
    """

    def __init__(self, budget: float, forkable: Forkable) -> None:
        self._budget = budget
        self._forkable = forkable
        self._drainables: list[Drainable] = []
        self._before_end: list[Callable[[int | None], None]] = []
        self._deadline: float | None = None  # of the end, once it has begun
        self._ended = False
        self._forked = False

    def add(self, drainable: Drainable) -> None:
        """Have `drainable` asked at each flush and at the end."""
        self._drainables.append(drainable)

    def before_end(self, callback: Callable[[int | None], None]) -> None:
        """Have `callback` called once, with the signal that ends the process if one does, before the last drain."""
        self._before_end.append(callback)

    def install(self) -> None:
        """Take part in exit, signals, forks, `exec` and `multiprocessing`."""
        atexit.register(self._at_exit)
        if hasattr(os, "register_at_fork"):
            # Registered after the providers' own hooks, and so run after them: what we set stays.
            os.register_at_fork(before=self._before_fork, after_in_child=self._after_fork_in_child)
        self._install_signals()
        _compat.before_exec(self._before_exec)
        wrapt.wrap_function_wrapper(os, "_exit", self._before_exit_of_child)
        wrapt.register_post_import_hook(self._hook_multiprocessing, "multiprocessing.util")
        wrapt.register_post_import_hook(self._hook_celery, "celery.signals")
        wrapt.register_post_import_hook(self._hook_gevent, "gevent.events")

    def flush(self, timeout: float) -> bool:
        """Send what waits now; returns whether everything was sent in `timeout` seconds."""
        return self._drain(time.monotonic() + timeout, final=False)

    def end(self, number: int | None = None) -> None:
        """Send what is left, for the last time. A call while another is at it waits with it; later ones do nothing.

        A signal handler comes here while its own thread is inside, so nothing here takes a lock.

        Args:
            number: The signal that ends the process, if one does.
        """
        if self._ended:
            return
        if self._deadline is None:
            self._deadline = time.monotonic() + self._budget
            self._finish(number)
        self._drain(self._deadline, final=True)
        self._ended = True

    def _finish(self, number: int | None) -> None:
        for callback in self._before_end:
            try:
                callback(number)
            except Exception:
                _logger.exception("a span was not ended; the application is not affected")

    def _drain(self, deadline: float, *, final: bool) -> bool:
        done = True
        ends: list[Callable[[], bool]] = []
        try:
            ends += [drainable.begin_drain(deadline, final=final) for drainable in self._drainables]
            for end in ends:
                done = end() and done
        except Exception:
            _logger.exception("telemetry was not sent; the application is not affected")
            return False
        return done

    def _at_exit(self) -> None:
        interrupted = getattr(sys, "last_type", None) is KeyboardInterrupt
        try:
            self.end()
        except KeyboardInterrupt:
            interrupted = True  # somebody is tired of waiting
        if interrupted:
            _compat.remember_keyboard_interrupt()

    def _before_exec(self) -> None:
        if not self._forked:
            self._finish(None)
        # A child that was forked only to become another program has nothing to tell, and is not held up.
        if not self._forked or any(drainable.waiting() for drainable in self._drainables):
            self.flush(self._budget)

    def _before_exit_of_child(self, wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        # Elsewhere it is the emergency exit, and in a hurry.
        if self._forked and any(drainable.waiting() for drainable in self._drainables):
            self.end()
        return wrapped(*args, **kwargs)

    # --- signals

    def _install_signals(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # configured in a thread: Python allows signal handlers in the main thread only
        for number in _SIGNALS:
            try:
                # A handler of the application's stays; Python's own for SIGINT ends in `atexit` anyway.
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._on_signal)
            except (ValueError, OSError):  # a subinterpreter, or a signal that this system does not have
                continue
        # A server may reset signals after us: uvicorn's worker class for gunicorn does, and dies of the default.
        wrapt.wrap_function_wrapper(signal, "signal", self._in_place_of_default)

    def _in_place_of_default(self, wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        if len(args) == 2 and args[0] in _SIGNALS and args[1] == signal.SIG_DFL:  # noqa: PLR2004 - number, handler
            return wrapped(args[0], self._on_signal)
        return wrapped(*args, **kwargs)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if _compat.holds_metric_lock(frame):
            # The export thread will need that lock: let this one go on for a moment.
            try:
                _thread.start_new_thread(_signal_again, (number,))
            except RuntimeError:
                pass  # the interpreter goes down, or the system has no more threads: now, then
            else:
                return
        try:
            # A second signal meanwhile waits for the same end: many senders signal the group and the process.
            self.end(number)
        finally:
            _set_handler(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    # --- children

    def _before_fork(self) -> None:
        try:
            self._forkable.before_fork()
        except Exception:
            _logger.exception("a fork was not prepared for; the application is not affected")

    def _after_fork_in_child(self) -> None:
        self._forked = True
        self._ended = False
        self._deadline = None
        try:
            self._forkable.after_fork_in_child()
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

    def _hook_gevent(self, events: Any) -> None:
        # A thread that was started before gevent puts greenlets in the place of threads goes on with sockets and
        # locks of greenlets: it hangs, or the process ends in a segmentation fault.
        events.subscribers.append(self._on_gevent)

    def _on_gevent(self, event: Any) -> None:
        kind = type(event).__name__
        if kind not in {"GeventWillPatchAllEvent", "GeventDidPatchAllEvent"}:
            return
        try:
            for each in self._drainables:
                action = getattr(each, "stop" if kind == "GeventWillPatchAllEvent" else "restart", None)
                if action is not None:
                    action()
        except Exception:
            _logger.exception("telemetry does not work under gevent; the application is not affected")

    def _hook_celery(self, signals: Any) -> None:
        # billiard's pool calls what Celery registered for the end of a child, and then `os._exit`. So a child that
        # is recycled after each task lost every span (opentelemetry-python-contrib#4916).
        signals.worker_process_shutdown.connect(self._end_with_celery, weak=False)

    def _end_with_celery(self, **_signal: Any) -> None:
        self.end()


def _signal_again(number: int) -> None:
    time.sleep(0.001)  # lets the interrupted code get out of the SDK's lock; nothing tells when it has
    os.kill(os.getpid(), number)
