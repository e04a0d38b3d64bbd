"""The processes of one stack, found by the mark in their environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psutil

from otel_kpi.stack.supervision import MARK

if TYPE_CHECKING:
    from otel_kpi.stack.directories import Home


def members(home: Home) -> list[psutil.Process]:
    """Every live process of the stack of this home: supervisor, services and their children."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(home.root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def end(processes: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """End processes: politely, then not.

    Args:
        processes: Whom.
        seconds: How long each may take to end before it is killed.

    Returns:
        Those that live on all the same.
    """
    for process in processes:
        try:
            process.terminate()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return psutil.wait_procs(alive, timeout=seconds)[1]
