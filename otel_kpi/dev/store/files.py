"""The file of a store: opened only where it is ours and may be written, by one process at a time; or told what to do."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sqlite3
import time
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.store.schema import APPLICATION_ID, MIGRATIONS

if TYPE_CHECKING:
    from pathlib import Path

_HEADER: Final = b"SQLite format 3\0"
NAME: Final = "dev.db"
_MADE: Final = 60
"""Seconds in which a temporary store is made."""
BUSY: Final = 5.0
"""Seconds that a connection waits for another's lock."""
_JOURNAL: Final = 64 * 2**20
"""Bytes to which the write-ahead log shrinks after it has grown beyond them."""


class StoreError(Exception):
    """The store cannot be opened or written; the text says what to do."""


class InUseError(StoreError):
    """Another process writes it; the text says which."""


class Lock:
    """Held by the process that has a file open for writing; it goes with the process, however that ends.

    A file beside it, since SQLite's own locks on the file would go with any descriptor of ours that is closed.

    Args:
        path: Of the store's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-lock")
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise unwritable(path, error) from error
        if not _take(self._descriptor):
            holder = os.pread(self._descriptor, 500, 0).decode("utf-8", "replace").strip()
            os.close(self._descriptor)
            raise InUseError(
                f"{path} is in use by another otel-kpi{f' ({holder})' if holder else ''}: "
                "look at that one, stop it, or choose another file with --store"
            )
        self.tell("")

    def tell(self, address: str) -> None:
        """Write who holds it, for whoever comes second.

        Args:
            address: Where it is listening.
        """
        said = f"process {os.getpid()}{f', {address}' if address else ''}\n".encode()
        with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, said, 0)

    def release(self) -> None:
        """Let another process have it. The file stays: who has opened it before waits for the same one."""
        os.close(self._descriptor)


def _take(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks; SQLite's own are all there is
        return True
    return True


def sweep(folder: Path, prefix: str) -> None:
    """Delete temporary stores of processes that were killed: who keeps nothing wants nothing to be kept.

    Args:
        folder: Where temporary directories are.
        prefix: Of those of ours.
    """
    for lock in folder.glob(f"{prefix}*/{NAME}-lock"):
        try:
            # One that is being made has no lock yet, or a new one.
            if time.time() - lock.stat().st_mtime < _MADE or lock.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if _take(descriptor):
                shutil.rmtree(lock.parent, ignore_errors=True)
        finally:
            os.close(descriptor)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file has this name now; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def refuse_others(path: Path) -> None:
    """Look at a file that is there, without a trace of having looked.

    Raises:
        StoreError: It is not ours, or newer.
    """
    if not path.exists():
        return
    _look(path)
    # What is damaged is said by whoever opens it, with what can be done.
    with contextlib.suppress(sqlite3.Error):
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            _check(connection, path)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The connection that writes, with the tables of this version.

    The caller holds the `Lock`.

    Raises:
        StoreError: It is not ours, newer, damaged, or cannot be written.
    """
    _prepare(path)
    connection = None
    try:
        connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
        _check(connection, path)
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before there are tables, else it has no effect
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA journal_size_limit={_JOURNAL}")
        connection.execute("PRAGMA cache_size=-16384")
        _migrate(connection)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise explained(path, error) from error
    except StoreError:
        if connection is not None:
            connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, also of another process's store. It may be closed on any thread.

    Raises:
        StoreError: There is none, or it is not ours, newer or damaged.
    """
    if not path.exists():
        raise StoreError(f"{path} is not there: otel-kpi dev makes it")
    _look(path)
    # Beside a file that nobody can write SQLite cannot put what it needs to follow a writer, and there is none.
    still = (
        "&immutable=1" if os.statvfs(path.parent).f_flag & os.ST_RDONLY and not _log(path).exists() else ""
    )
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro{still}",
            uri=True,
            timeout=BUSY,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA query_only=1")
        _check(connection, path)
    except sqlite3.Error as error:
        raise explained(path, error) from error
    return connection


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def explained(path: Path, error: sqlite3.Error) -> StoreError:
    """What a person can do about an error of SQLite's."""
    # Codes of SQLite have more bits for details.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return _damaged(path, str(error))
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StoreError(
            f"{path} is locked by another program that writes to it: close that one, and try again"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
        return unwritable(path, error)
    if code == sqlite3.SQLITE_FULL:
        return StoreError(f"the disk of {path} is full: make room there, or choose another file with --store")
    if code == sqlite3.SQLITE_IOERR:
        return StoreError(
            f"the disk of {path} does not take it ({error}): look whether it is full or failing"
        )
    return StoreError(f"{path} cannot be written: {error}")


def unwritable(path: Path, error: Exception) -> StoreError:
    """What to say where a file or its directory cannot be written."""
    return StoreError(
        f"{path} cannot be written ({error}): make it and its directory writable, or choose another file with --store"
    )


def _damaged(path: Path, what: str) -> StoreError:
    quoted = shlex.quote(str(path))
    return StoreError(
        f"{path} is damaged ({what}): move it away (mv {quoted} {quoted}.damaged) and start again; "
        f"`sqlite3 {quoted}.damaged .recover` gives what can be read of it"
    )


def _prepare(path: Path) -> None:
    """Make the file, for nobody else to read, and its directory."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # What an earlier file has left would be played into the new one.
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
        _no_other_kind(path)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise unwritable(path, error) from error
    _look(path)


def _no_other_kind(path: Path) -> None:
    """Refuse what only has a name like a file: to open a pipe waits for its other end for ever."""
    if path.is_dir():
        raise StoreError(f"{path} is a directory: choose a file with --store")
    if path.exists() and not path.is_file():
        raise StoreError(f"{path} is a pipe, a socket or a device: choose a file with --store")


def _look(path: Path) -> None:
    _no_other_kind(path)
    try:
        with path.open("rb") as file:
            header = file.read(len(_HEADER))
    except OSError as error:
        raise unwritable(path, error) from error
    if header and not _HEADER.startswith(header) and header != _HEADER:
        raise StoreError(
            f"{path} is no file of otel-kpi's, and is left as it is: choose another with --store"
        )


def _check(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or tables):
        raise StoreError(
            f"{path} is another program's database, and is left as it is: choose another with --store"
        )
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise StoreError(
            f"{path} was written by a newer otel-kpi (version {version} of its tables, this one knows {len(MIGRATIONS)}): "
            "upgrade otel-kpi, or choose another file with --store"
        )


def _migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to this version, one migration a transaction."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for number, statements in enumerate(MIGRATIONS[version:], version + 1):
        try:
            connection.executescript(
                f"BEGIN IMMEDIATE;{statements};PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={number};COMMIT;"
            )
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
