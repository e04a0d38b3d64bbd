"""One SQLite file, or memory: one writer, any number of readers.

`schema.py` has the tables, `writing.py` fills them, `reading/` asks them, `retention.py` forgets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from otel_kpi.dev.intake import Committed
    from otel_kpi.dev.telemetry import Request


class Store:
    """A store that is open.

    Args:
        path: The file; None is memory.
        most_bytes: Of the file; the oldest traces, logs and points are forgotten beyond it.
        most_seconds: Age of what is kept.

    Raises:
        StoreError: The file is not ours, newer than this program, damaged, or cannot be written; its text says what to do.
    """

    def __init__(
        self, path: Path | None, *, most_bytes: int = 2 * 2**30, most_seconds: float = 7 * 86_400
    ) -> None:
        raise NotImplementedError

    def write(self, requests: Sequence[Request[Any]]) -> Committed:
        """Commit requests in one transaction; on one thread only."""
        raise NotImplementedError

    def reader(self) -> sqlite3.Connection:
        """A connection of the calling thread's own that cannot write; the same each time."""
        raise NotImplementedError

    def close(self) -> None:
        """End, with everything written."""
        raise NotImplementedError
