"""Connections that read, one for each thread that asks."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from otel_kpi.dev.store import files

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path


class Readers:
    """Of a file; those of threads that have ended are closed when another thread comes.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._open: dict[threading.Thread, sqlite3.Connection] = {}
        self._guard = threading.Lock()
        self._closed = False

    def reader(self) -> sqlite3.Connection:
        """A connection of the calling thread's own that cannot write; the same each time.

        Raises:
            StoreError: There is no file, or it is not ours, newer or damaged; or all of them are closed.
        """
        thread = threading.current_thread()
        found = self._open.get(thread)
        if found is not None:
            return found
        connection = files.open_for_reading(self._path)
        with self._guard:
            if self._closed:
                connection.close()
                raise files.StoreError(f"{self._path} is closed")
            for gone in [each for each in self._open if not each.is_alive()]:
                self._open.pop(gone).close()
            self._open[thread] = connection
        return connection

    def close(self) -> None:
        """Close all of them."""
        with self._guard:
            self._closed = True
            open_ = list(self._open.values())
            self._open.clear()
        for each in open_:
            each.close()
