"""A system under traffic, on a thread of its own: one that fails leaves the others alone."""

import subprocess
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo.systems import System

PAUSE = 1.0  # seconds between two rounds: a small machine shows its pages meanwhile


class Played(threading.Thread):
    """Starts a system, sends round after round, and ends it.

    Args:
        name: What it is called.
        system: How it is started and what is sent.
        stop: Set when it is to end.
    """

    def __init__(self, name: str, system: "System", stop: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._system = system
        self._stop_all = stop
        self.ready = threading.Event()
        self.first_round = threading.Event()
        self.problems: list[str] = []
        self.failed = False

    def run(self) -> None:
        """Until it is to end."""
        try:
            with self._system.running():
                self.ready.set()
                number = 0
                while not self._stop_all.is_set():
                    self._system.round(number)
                    self.first_round.set()
                    number += 1
                    self._stop_all.wait(PAUSE)
        except subprocess.CalledProcessError as error:
            self._fail(f"{error}: {error.stderr or error.stdout or ''}")
        except (Exception, SystemExit) as error:
            self._fail(repr(error))
        finally:
            self.ready.set()
            self.first_round.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until its services have ended; one that was never started has none."""
        if self.ident is not None:
            super().join(timeout)

    def _fail(self, problem: str) -> None:
        self.failed = True
        self.problems.append(problem)
