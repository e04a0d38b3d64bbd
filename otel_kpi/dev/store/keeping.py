"""The store: one connection that writes, one for each thread that reads."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otel_kpi.dev.store import files
from otel_kpi.dev.store.files import Lock, StoreError
from otel_kpi.dev.store.readers import Readers
from otel_kpi.dev.store.retention import Retention
from otel_kpi.dev.store.writing import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_kpi.dev.intake import Committed
    from otel_kpi.dev.store.tally import Tally
    from otel_kpi.dev.telemetry import Request

_TEMPORARY = "otel-kpi-store-"


class Store:
    """A store that is open.

    Args:
        path: The file; None is a temporary one that goes with the store.
        most_bytes: Of the file; the oldest traces, logs and points are forgotten beyond it.
        most_seconds: Age of what is kept, since it came.
        now: Seconds since 1970.

    Attributes:
        path: The file.
        most_bytes: As it was made; pages say so.
        most_seconds: The same.
        tally: What became of what was sent; written with the next commit.

    Raises:
        StoreError: The file is not ours, newer than this program, damaged, or cannot be written; its text says what to do.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        most_bytes: int = 2 * 2**30,
        most_seconds: float = 7 * 86_400,
        now: Callable[[], float] = time.time,
    ) -> None:
        # SQLite's own memory would make readers wait for the writer, or see what is not committed.
        self._temporary = None
        if path is None:
            files.sweep(Path(tempfile.gettempdir()), _TEMPORARY)
            self._temporary = tempfile.TemporaryDirectory(prefix=_TEMPORARY)
            path = Path(self._temporary.name) / files.NAME
        self.path = path
        self.most_bytes = most_bytes
        self.most_seconds = most_seconds
        self._readers = Readers(path)
        self._guard = threading.Lock()
        self._closed = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise files.unwritable(self.path, error) from error
        files.refuse_others(self.path)  # before anything of ours lies beside it
        self._lock = Lock(self.path)
        try:
            self._connection = files.open_for_writing(self.path)
            try:
                self._writer = Writer(self._connection, now)
                self._retention = Retention(
                    self._connection,
                    self._writer.forget,
                    most_bytes=most_bytes,
                    most_seconds=most_seconds,
                    now=now,
                )
            except sqlite3.Error as error:
                self._connection.close()
                raise files.explained(self.path, error) from error
        except BaseException:
            self._lock.release()
            raise
        self.tally: Tally = self._writer.tally
        self._file = files.identity(path)

    def tell(self, address: str) -> None:
        """Let a second instance know where this one listens."""
        self._lock.tell(address)

    def write(self, requests: Sequence[Request[Any]]) -> Committed:
        """Commit requests in one transaction; on one thread only.

        Raises:
            StoreError: They cannot be written now; the text says what to do.
            MalformedError: There is something in them that cannot be written ever.
        """
        from otel_kpi.dev.intake import Committed  # it imports the store
        from otel_kpi.dev.telemetry import MalformedError

        try:
            written = self._writer.write(requests)
        except sqlite3.InterfaceError as error:
            raise MalformedError(f"cannot be kept: {error}") from error
        except sqlite3.Error as error:
            raise files.explained(self.path, error) from error
        except (ValueError, TypeError, OverflowError, AttributeError) as error:
            raise MalformedError(f"cannot be kept: {error}") from error
        # What is written to a file without a name goes with this process: nobody may take it for kept.
        if files.identity(self.path) != self._file:
            raise StoreError(f"{self.path} has been taken away: start otel-kpi dev again")
        return Committed(list(requests), written.traces, written.spans, written.logs, written.points)

    def write_counts(self) -> None:
        """Commit what was counted, and wait for nobody's lock meanwhile: what comes would wait behind it.

        Raises:
            StoreError: It cannot be written now, and stays counted.
        """
        try:
            self._connection.execute("PRAGMA busy_timeout=0")
            self.write([])
        finally:
            self._connection.execute(f"PRAGMA busy_timeout={files.BUSY * 1_000:.0f}")

    def tidy(self) -> bool:
        """Forget a little of what is too old or too much; on the thread that writes.

        Returns:
            Whether there is more to forget.

        Raises:
            StoreError: It cannot be written now.
        """
        try:
            return self._retention.step()
        except sqlite3.Error as error:
            raise files.explained(self.path, error) from error

    def reader(self) -> sqlite3.Connection:
        """A connection of the calling thread's own that cannot write; the same each time."""
        return self._readers.reader()

    def close(self) -> None:
        """End, with everything written."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        self._readers.close()
        self._connection.close()
        self._lock.release()
        if self._temporary is not None:
            self._temporary.cleanup()
