"""Where the processes of one service leave what they have measured, for the one that is asked.

Each writes a file of its own, in place of the one before; nobody waits for anybody. A process that has ended leaves
its last file: the counters and histograms in it stay part of every answer. So that files do not pile up with the
workers that come and go, they are folded into one, `ended.json`, which says whom it has: a file that is in it and
still there is not counted twice, whenever the one that folds may be killed. Only one folds at a time.

The folder is that of the group (`processes.root`), so two runs of a service are two folders. It goes when a process
of the same user starts after the whole group has ended.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import re
import stat
import time
from typing import TYPE_CHECKING, Final

from otel_kpi.exposition import processes
from otel_kpi.exposition.families import Family, added, said_once
from otel_kpi.exposition.snapshot import LARGEST, Snapshot, decode, encode
from otel_kpi.exposition.totals import KEPT, Member

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

_logger = logging.getLogger("otel_kpi.exposition")

_ENDED: Final = "ended.json"
_FILE: Final = re.compile(r"(\d{1,10}-\d{1,20})\.json")
_FOLDER: Final = re.compile(r"exposition-([0-9a-f]{8})-(\d{1,10}-\d{1,20})-[0-9a-f]{16}")
_OURS: Final = re.compile(r"\.?[\d-]+\.(json|new)|\.?ended\.(json|new)|fold\.lock")
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EAGAIN})
"""Errors that say nothing of the file."""
_ATTEMPTS: Final = 5
_FORGOTTEN: Final = 7 * 24 * 3600.0
"""Seconds after which files of another boot or container go; whether their processes live cannot be seen here."""

Signature = tuple[int, int, int]


class Folder:
    """The folder of one group.

    Args:
        private: Where processes of this user meet.
        service: `service.name`.
        base: The stable part of `service.instance.id`.
        root: The oldest process of the group.
        own: The key of this process.
    """

    def __init__(self, private: Path, service: str, base: str, root: str, own: str) -> None:
        machine = hashlib.sha256(processes.machine().encode()).hexdigest()[:8]
        service_key = hashlib.sha256(f"{service}\0{base}".encode()).hexdigest()[:16]
        self.path = private / f"exposition-{machine}-{root}-{service_key}"
        self.own = own
        self._read: dict[str, tuple[Signature, Snapshot | None]] = {}

    def write(self, member: Member) -> None:
        """Leave what this process has measured.

        Raises:
            OSError: It cannot be written.
        """
        self._make()
        self._replace(f"{self.own}.json", Snapshot((member,)))

    def others(self) -> list[Member]:
        """What the other processes have left; those that have ended are not `alive`. Changes nothing."""
        found: list[Member] = []
        for _ in range(_ATTEMPTS):
            before = self._signature(_ENDED)
            ended = self._seen(_ENDED)
            found = [*self._ended_parts(ended)]
            complete = True
            keys = self._keys()
            for gone in self._read.keys() - {_ENDED, *(f"{key}.json" for key in keys)}:
                self._read.pop(gone, None)
            for key in keys:
                if key == self.own or (ended is not None and key in ended.folded):
                    continue
                snapshot = self._seen(f"{key}.json")
                complete = complete and (snapshot is not None or self._signature(f"{key}.json") is not None)
                alive = processes.lives(key)
                found += [
                    Member(part.identity, part.families, part.time, alive)
                    for part in (snapshot.parts if snapshot is not None else ())
                ]
            # What was folded meanwhile would be missing, or counted twice.
            if complete and self._signature(_ENDED) == before:
                break
        return found

    def fold(self) -> int:
        """Fold the files of processes that have ended into one; returns how many. None while another is at it."""
        ended = [key for key in self._keys() if key != self.own and not processes.lives(key)]
        if not ended:
            return 0
        with self._alone() as alone:
            return self._fold(ended) if alone else 0

    def _fold(self, keys: Iterable[str]) -> int:
        before = self._load(_ENDED) or Snapshot(())
        parts = list(before.parts)
        folded = {key for key in before.folded if self._signature(f"{key}.json") is not None}
        taken = [key for key in keys if self._signature(f"{key}.json") is not None]
        for key in taken:
            snapshot = self._load(f"{key}.json") if key not in folded else None
            for part in snapshot.parts if snapshot is not None else ():
                _merge(parts, part)
            folded.add(key)
        self._replace(_ENDED, Snapshot(tuple(parts), frozenset(folded)))
        for key in taken:
            self._remove(f"{key}.json")
            self._remove(f".{key}.new")
        return len(taken)

    def sweep(self) -> None:
        """Remove the folders of groups that have ended."""
        ours = self.path.name.split("-")[1]
        for folder in self.path.parent.glob("exposition-*"):
            found = _FOLDER.fullmatch(folder.name)
            if found is None or folder == self.path:
                continue
            with contextlib.suppress(OSError):
                if found[1] == ours:
                    over = not processes.lives(found[2]) and not any(
                        processes.lives(each[1])
                        for name in os.listdir(folder)  # noqa: PTH208 - names, not paths
                        if (each := _FILE.fullmatch(name))
                    )
                else:
                    over = time.time() - folder.stat().st_mtime > _FORGOTTEN
                if over:
                    _remove_folder(folder)

    def _make(self) -> None:
        try:
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            return
        self.sweep()

    def _keys(self) -> list[str]:
        try:
            names = os.listdir(self.path)  # noqa: PTH208 - names, not paths
        except OSError:
            return []
        return sorted(found[1] for name in names if (found := _FILE.fullmatch(name)))

    def _signature(self, name: str) -> Signature | None:
        try:
            status = os.stat(self.path / name, follow_symlinks=False)  # noqa: PTH116 - each second
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _ended_parts(self, ended: Snapshot | None) -> Iterator[Member]:
        for part in ended.parts if ended is not None else ():
            yield Member(part.identity, part.families, part.time, alive=False)

    def _seen(self, name: str) -> Snapshot | None:
        """Read a file, if it has changed; None where that is not possible."""
        try:
            return self._load(name)
        except OSError as error:
            said_once(f"what other workers have left cannot be read now: {error.strerror}")
            return None

    def _load(self, name: str) -> Snapshot | None:
        """Read a file, if it has changed; None, and one line, if it is not what it should be.

        Raises:
            OSError: It cannot be read now, for want of a file descriptor for one. Who folds must not take that for
                nothing: what processes that have ended counted would be gone.
        """
        signature = self._signature(name)
        if signature is None:
            self._read.pop(name, None)
            return None
        known = self._read.get(name)
        if known is not None and known[0] == signature:
            return known[1]
        snapshot = None
        try:
            body, signature = self._body(name)
            snapshot = decode(body)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _PASSING:
                raise
            _logger.warning("%s is not read: %s", self.path / name, error)
        self._read[name] = (signature, snapshot)
        return snapshot

    def _body(self, name: str) -> tuple[bytes, Signature]:
        descriptor = os.open(self.path / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
                raise ValueError("it is not a file of this user")
            if status.st_size > LARGEST:
                raise ValueError(f"it has {status.st_size} bytes")
            return file.read(LARGEST), (status.st_ino, status.st_mtime_ns, status.st_size)

    def _replace(self, name: str, snapshot: Snapshot) -> None:
        new = self.path / f".{name.removesuffix('.json')}.new"
        body = encode(snapshot)
        if len(body) > LARGEST:
            raise OSError(f"{len(body)} bytes are more than a snapshot may have")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(body)
            # The system's clock for files may stand still for ten milliseconds, and inodes are used again.
            now = time.time_ns()
            os.utime(descriptor, ns=(now, now))
        # Whoever reads has the old file or the new one. No fsync: the group does not outlive the machine.
        os.replace(new, self.path / name)  # noqa: PTH105 - each second

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.path / name).unlink()
        self._read.pop(name, None)

    @contextlib.contextmanager
    def _alone(self) -> Generator[bool]:
        if fcntl is None:
            yield False
            return
        descriptor = os.open(self.path / "fold.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)


def _merge(parts: list[Member], ended: Member) -> None:
    """Add what stays true of an ended process to the part of the same labels."""
    kept = {name: family for name, family in ended.families.items() if family.kind in KEPT}
    for at, part in enumerate(parts):
        if part.identity.labels == ended.identity.labels:
            families = dict(part.families)
            for name, family in kept.items():
                before = families.get(name)
                if before is None or before.kind != family.kind:
                    families[name] = family
                    continue
                series = dict(before.series)
                for text, value in family.series.items():
                    series[text] = added(series[text], value) if text in series else value
                families[name] = Family(name, family.kind, family.brief, family.unit, series)
            parts[at] = Member(ended.identity, families, max(part.time, ended.time), alive=False)
            return
    parts.append(Member(ended.identity, kept, ended.time, alive=False))


def _remove_folder(folder: Path) -> None:
    for path in folder.iterdir():
        if _OURS.fullmatch(path.name):
            path.unlink()
    folder.rmdir()
