"""How a thread is asked to send everything, and how its answer is waited for.

Asked from anywhere, a signal handler included: no lock of Python is taken.
"""

from __future__ import annotations

import threading
import time


class Bell:
    """Wakes a waiting thread; a ring before the wait is not lost.

    May be rung from a signal handler that interrupted another ring: it is one call into C. `threading.Event` takes
    a lock in Python, for which such a handler would wait for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake who waits, or who will."""
        try:
            self._lock.release()
        except RuntimeError:
            pass  # rung already

    def wait(self, timeout: float) -> bool:
        """Whether it rang within `timeout` seconds."""
        return self._lock.acquire(timeout=max(0.0, timeout))


class Drain:
    """One wish to have everything sent.

    Attributes:
        deadline: Seconds of `time.monotonic`.
        final: The process ends.
    """

    def __init__(self, deadline: float, *, final: bool) -> None:
        self.deadline = deadline
        self.final = final
        self._bell = Bell()
        self._sent = False

    def finish(self, *, sent: bool) -> None:
        """Tell who waits whether everything was sent."""
        self._sent = sent
        self._bell.ring()

    def wait(self) -> bool | None:
        """Whether everything was sent; None when that is not known by the deadline."""
        if not self._bell.wait(self.deadline - time.monotonic()):
            return None
        self._bell.ring()  # for whoever else waits
        return self._sent
