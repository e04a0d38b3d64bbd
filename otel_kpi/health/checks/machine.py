"""The machine under the process: memory, processors, disk.

Figures are written as the document has them: `"128MB"`, `"50.00%"`. A megabyte is 2**20 bytes.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, Final

from otel_kpi.health.checks.check import Check
from otel_kpi.health.result import Result, Status

_MEGABYTE: Final = 1 << 20
_CGROUP: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 60
"""Version 1 of control groups writes a number near 2**63 where there is no limit."""


def memory(*, degraded: float = 0.9, unhealthy: float = 0.97) -> Check:
    """Look at the memory of this process, and at what is left to it.

    Python has no heap with a size of its own. In the answer `heap.total` is what this process and its siblings may
    have (the limit of the control group, else the machine's memory) and `heap.used` what this process alone holds;
    the status hangs on how much of the whole is in use, by whomever.

    Args:
        degraded: Share of the whole in use from which it is degraded, 0 to 1.
        unhealthy: The same for unhealthy.
    """
    return Check("memory", lambda _timeout: _memory(degraded, unhealthy))


def _memory(degraded: float, unhealthy: float) -> Result:
    import psutil

    process = psutil.Process()
    resident = process.memory_info().rss
    try:
        own = process.memory_full_info().uss
    except psutil.Error:
        own = resident
    whole = psutil.virtual_memory()
    total, used = _group_memory() or (whole.total, whole.total - whole.available)
    heap = {"total": _megabytes(total), "used": _megabytes(own), "usage": _percent(own / total)}
    details: dict[str, Any] = {
        "heap": heap,
        "rss": _megabytes(resident),
        "usage": _percent(used / total),
    }
    return Result(_graded(used / total, degraded, unhealthy), details)


def _group_memory() -> tuple[int, int] | None:
    """Give limit and use of the control group of a container, without the cache that it would give back."""
    for limit, usage, inactive in (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "total_inactive_file"),
    ):
        try:
            total, used = int((_CGROUP / limit).read_text()), int((_CGROUP / usage).read_text())
            statistics = ((_CGROUP / limit).parent / "memory.stat").read_text().split()
        except (OSError, ValueError):
            continue  # another version, no container, or `max`
        if not 0 < total < _UNLIMITED:
            continue
        figures = dict(zip(statistics[::2], statistics[1::2], strict=False))
        return total, max(0, used - int(figures.get(inactive, 0)))
    return None


def disk(path: str = "/", *, degraded: float = 0.9, unhealthy: float = 0.97) -> Check:
    """Look at the space that is left on the file system of a path.

    Args:
        path: Where the application writes. It is in no answer.
        degraded: Share in use from which it is degraded, 0 to 1.
        unhealthy: The same for unhealthy.
    """

    def look(_timeout: float) -> Result:
        usage = shutil.disk_usage(path)
        # What is reserved for the administrator is neither used nor free to us.
        share = usage.used / (usage.used + usage.free)
        return Result(
            _graded(share, degraded, unhealthy),
            {"total": _megabytes(usage.total), "free": _megabytes(usage.free), "usage": _percent(share)},
        )

    return Check("disk", look)


def cpu(*, degraded: float = 0.9) -> Check:
    """Look at the processor time of this process since it was looked at last.

    100 % is one processor; the status hangs on the share of all that the process may use.

    Args:
        degraded: Share of all processors from which it is degraded, 0 to 1. Busy is never unhealthy.
    """
    return Check("cpu", _Processors(degraded).look)


class _Processors:
    def __init__(self, degraded: float) -> None:
        self._degraded = degraded
        self._last: tuple[int, float, float, float] | None = None

    def look(self, _timeout: float) -> Result:
        times = os.times()
        now = os.getpid(), time.monotonic(), times.user, times.system
        last, self._last = self._last, now
        is_first = last is None or last[0] != now[0]
        if last is None or is_first:
            # The first look: since the process began, which is when it had used no processor.
            from otel_kpi.health.uptime import seconds_up

            last = now[0], now[1] - seconds_up(), 0.0, 0.0
        passed = max(now[1] - last[1], 1e-3)
        user, system = (now[2] - last[2]) / passed, (now[3] - last[3]) / passed
        details = {
            "user": _percent(user),
            "system": _percent(system),
            "total": _percent(user + system),
        }
        # A start is busy, and no sign of anything.
        is_busy = not is_first and (user + system) / _processors() >= self._degraded
        return Result("degraded" if is_busy else "healthy", details)


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return max(1, len(affinity(0)) if affinity is not None else os.cpu_count() or 1)


def _graded(share: float, degraded: float, unhealthy: float) -> Status:
    return "unhealthy" if share >= unhealthy else "degraded" if share >= degraded else "healthy"


def _megabytes(volume: float) -> str:
    return f"{volume / _MEGABYTE:.0f}MB"


def _percent(share: float) -> str:
    return f"{max(0.0, share) * 100:.2f}%"
