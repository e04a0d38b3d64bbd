"""Connections that read: one for each thread, and none for a thread that is gone."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from otel_kpi.dev.store import Store
from otel_kpi.dev.store.files import StoreError
from otel_kpi.dev.stores import ReadStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("how", ["kept", "looked at"])
def test_the_connection_of_a_thread_that_ended_is_closed_when_another_comes(tmp_path: Path, how: str) -> None:
    path = tmp_path / "dev.db"
    store: Store = Store(path)
    if how == "looked at":
        store.close()
        store = ReadStore(path)
    found: list[sqlite3.Connection] = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: found.append(store.reader()))
        thread.start()
        thread.join()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        found[0].execute("SELECT 1")
    assert found[1].execute("SELECT 1").fetchone() == (1,)
    assert store.reader() is store.reader() is not found[1]

    store.close()
    with pytest.raises(StoreError, match="is closed"):
        store.reader()
