"""One line that moves while something takes long, or a line every ten seconds where nobody watches."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TextIO

_QUIET_INTERVAL = 10.0


def elapsed(seconds: float) -> str:
    """A duration for people: ``43 s`` or ``2 min 05 s``."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


@dataclass(slots=True)
class Progress:
    """Writes what is being done and for how long to a terminal or a log.

    Args:
        stream: Usually standard error.
    """

    stream: TextIO
    _began: float = field(default_factory=time.monotonic)
    _written: float = 0.0
    _open_line: bool = False

    def begin(self, message: str) -> None:
        """Say what starts now, and start the clock."""
        self._began = self._written = time.monotonic()
        if self.stream.isatty():
            self._line(message)
        else:
            self.say(message)

    def tick(self, message: str) -> None:
        """Say that it goes on; at most once a second on a terminal, else once in ten."""
        now = time.monotonic()
        interval = 1.0 if self.stream.isatty() else _QUIET_INTERVAL
        if now - self._written < interval:
            return
        self._written = now
        text = f"{message}, {elapsed(now - self._began)}"
        if self.stream.isatty():
            self._line(text)
        else:
            self.say(text)

    def say(self, message: str) -> None:
        """Write one whole line."""
        if self._open_line:
            self.stream.write("\r\x1b[K")
            self._open_line = False
        self.stream.write(f"{message}\n")
        self.stream.flush()

    def _line(self, text: str) -> None:
        # Erase before and not after: a shorter text leaves nothing of a longer one.
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()
        self._open_line = True

    @property
    def seconds(self) -> float:
        """Since the last `begin`."""
        return time.monotonic() - self._began
