"""Which process this is: `service.instance.id` as a stable base and a slot.

Processes of one service on one host take the lowest free slot: 0, 1, 2, … A worker that is replaced gives its
slot back to the next one, so the number of time series stays that of the processes that run at once, and two
that run at once never write the same series.

A slot is a record lock on one byte of a small file. The kernel frees it when the process ends, however it
ends, and does not pass it on to a forked child.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_SLOTS = 1024

PRIVATE_FOLDER = f"{tempfile.gettempdir()}/otel-kpi-{os.getuid() if hasattr(os, 'getuid') else 0}"
"""Where processes of this user meet; see `private_folder`."""

# Kept open for the life of the process: closing any descriptor of the file would free the slot. With the descriptor
# what it is a descriptor of, since a program that becomes a daemon closes all, and their numbers are used again.
_files: dict[str, tuple[int, tuple[int, int] | None]] = {}


def instance_id(service: str, base: str) -> str:
    """The `service.instance.id` of this process.

    Args:
        service: `service.name`.
        base: What the user gave, or the host's name.

    Returns:
        `base` for slot 0, else `base-<slot>`. Where no lock can be had, `base-p<pid>`.
    """
    slot = _take_slot(service, base)
    if slot is None:
        return f"{base}-p{os.getpid()}"
    return base if slot == 0 else f"{base}-{slot}"


def _take_slot(service: str, base: str) -> int | None:
    if fcntl is None:
        return None
    key = hashlib.sha256(f"{service}\0{base}".encode()).hexdigest()[:16]
    try:
        descriptor, identity = _files.get(key, (-1, None))
        if identity is None or _identity(descriptor) != identity:
            descriptor = _open(key)
            _files[key] = (descriptor, _identity(descriptor))
        for slot in range(_SLOTS):
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            except (BlockingIOError, PermissionError):
                continue
            return slot
    except OSError:
        pass  # a read-only or full file system, or one without locks
    return None


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def private_folder() -> Path:
    """The folder in which processes of this user meet, made if it is not there.

    Raises:
        PermissionError: Somebody else made it, or others can write in it.
        OSError: It cannot be made.
    """
    # Not that of the import: a server that was started by root may be somebody else by now.
    folder = Path(f"{PRIVATE_FOLDER.rpartition('-')[0]}-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o022:
        raise PermissionError(folder)
    return folder


def _open(key: str) -> int:
    folder = private_folder()
    return os.open(folder / f"{key}.slots", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
