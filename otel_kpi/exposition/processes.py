"""Processes of this machine: which one it is, whether it lives, and which ones belong together.

A number of a process is used again; number and start together are not. On Linux both are read from `/proc`, in some
15 µs; elsewhere psutil knows.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_FURTHEST = 16
"""Ancestors that are looked at; there are two or three."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process, now.

    Attributes:
        pid: Its number.
        start: When it started, in whatever unit the system has it.
        parent: The number of its parent; 0 for the first.
        group: The number of its process group.
        name: What the system calls it.
        program: The path of what it runs; empty where this user may not know.
    """

    pid: int
    start: int
    parent: int
    group: int
    name: str
    program: str = ""

    @property
    def key(self) -> str:
        """What no other process of this machine has, until it starts anew."""
        return f"{self.pid}-{self.start}"


def process(pid: int) -> Process | None:
    """Look at a process; None when there is none, or one that has ended and was not yet waited for.

    Raises:
        OSError: It cannot be seen, for want of a file descriptor or of the right to.
    """
    return _of_proc(pid) if sys.platform == "linux" else _of_psutil(pid)


def lives(key: str) -> bool:
    """Whether the process of this key still runs; one that cannot be seen is taken to."""
    pid, _, start = key.partition("-")
    try:
        found = process(int(pid))
    except OSError:
        return True
    return found is not None and str(found.start) == start


def root() -> Process | None:
    """The oldest of the processes that were started as one and run the same program; this one, if there is no other.

    Workers of gunicorn and uvicorn have their arbiter or supervisor there, and so have processes that they make.
    A shell, an init system or a supervisor in front runs another program or puts each service in a group of its own,
    so that two services, or two runs, are not taken for one.

    Raises:
        OSError: This process cannot be seen.
    """
    found = process(os.getpid())
    for _ in range(_FURTHEST):
        try:
            parent = process(found.parent) if found is not None and found.parent else None
        except OSError:
            break
        if found is None or parent is None or not _belong_together(found, parent):
            break
        found = parent
    return found


def _belong_together(one: Process, other: Process) -> bool:
    if one.group != other.group:
        return False
    if one.program and other.program:
        return one.program == other.program
    # One is somebody else's: an arbiter of root's, whose workers are not. Its name is theirs, since they were forked.
    return one.name == other.name


def machine() -> str:
    """What tells numbers of processes here from those elsewhere: the boot, and the container."""
    parts: list[str] = []
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        parts.append(os.uname().nodename)
    return " ".join(parts)


def _of_proc(pid: int) -> Process | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - each second
            stat = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold blanks and brackets; what follows the last bracket does not.
    name, _, rest = stat.rpartition(")")
    fields = rest.split()
    if fields[0] in {"Z", "X"}:
        return None
    try:
        program = str(Path(f"/proc/{pid}/exe").readlink()).removesuffix(" (deleted)")
    except OSError:
        program = ""
    return Process(pid, int(fields[19]), int(fields[1]), int(fields[2]), name.partition("(")[2], program)


def _of_psutil(pid: int) -> Process | None:
    import psutil

    try:
        found = psutil.Process(pid)
        if found.status() == psutil.STATUS_ZOMBIE:
            return None
        start = int(found.create_time() * 1_000_000)
        return Process(pid, start, found.ppid(), os.getpgid(pid), found.name())
    except (psutil.NoSuchProcess, ProcessLookupError):
        return None
    except psutil.Error as error:
        raise OSError(str(error)) from None
