"""Since when this process runs."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

_STARTTIME: Final = 19
"""Place of the start of a process in `/proc/self/stat` behind its name, in clock ticks since the machine's."""

_imported: Final = time.time()
_STEP: Final = 1.0
"""Seconds by which the clock of the machine was set, if the beginning seems to be elsewhere by as much."""

_known: tuple[int, float, float] | None = None
"""Of which process, when it began, and the same on the monotonic clock."""


def started() -> float:
    """When this process began, in seconds since 1970; as the clock says now, where it was set since."""
    global _known
    pid = os.getpid()
    now = time.time(), time.monotonic()
    if _known is None or _known[0] != pid:
        began = _began()
        _known = pid, began, now[1] - (now[0] - began)
    _, began, monotonic = _known
    as_of_now = now[0] - (now[1] - monotonic)
    if abs(as_of_now - began) > _STEP:
        began = as_of_now
        _known = pid, began, monotonic
    return began


def seconds_up() -> float:
    """For how many seconds this process has run."""
    return max(0.0, time.time() - started())


def _began() -> float:
    """Read it: a file on Linux, 50 us where importing psutil takes 10 ms."""
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        since_boot = float(Path("/proc/uptime").read_text().split()[0])
        return time.time() - since_boot + int(fields[_STARTTIME]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        pass
    try:
        import psutil

        return psutil.Process().create_time()
    except Exception:
        return _imported
