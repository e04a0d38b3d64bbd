"""aiosqlite: the statements of its thread are in the trace of the coroutine that awaits them."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING

import aiosqlite
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind
from support.statements import (
    assert_all_of,
    assert_children_of_the_caller,
    assert_failed,
    assert_silent_when_disabled,
    operations,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.captured import Captured


def test_statements_have_stable_names(captured: Captured, tmp_path: Path) -> None:
    path = str(tmp_path / "shop.db")

    async def run() -> None:
        async with aiosqlite.connect(path) as connection:
            assert isinstance(connection, aiosqlite.Connection)
            connection.row_factory = aiosqlite.Row
            await connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
            await connection.executemany("INSERT INTO items VALUES (?, ?)", [(1, "hat"), (2, "shoe")])
            await connection.commit()
            async with connection.execute("SELECT name FROM items ORDER BY id") as cursor:
                assert [row["name"] async for row in cursor] == ["hat", "shoe"]
            with pytest.raises(sqlite3.IntegrityError):
                await connection.execute("INSERT INTO items VALUES (1, 'hat')")
            await connection.executescript("DELETE FROM items")

    asyncio.run(run())
    assert operations(captured) == ["CREATE", "INSERT", "SELECT", "INSERT", "DELETE"]
    assert_all_of(captured, "sqlite", None, path)
    assert_failed(captured.spans()[3], "sqlite3.IntegrityError", "SQLITE_CONSTRAINT_PRIMARYKEY")


def test_coroutines_that_share_a_connection_each_have_their_own_parent(
    captured: Captured, tmp_path: Path
) -> None:
    async def run() -> dict[str, int]:
        async with aiosqlite.connect(tmp_path / "shop.db") as connection:

            async def ask(name: str) -> tuple[str, int]:
                with trace.get_tracer("test").start_as_current_span(name) as span:
                    await connection.execute(f"SELECT '{name}'")
                    return f"SELECT '{name}'", span.get_span_context().span_id

            return dict(await asyncio.gather(*(ask(f"coroutine-{number}") for number in range(10))))

    parents = asyncio.run(run())
    for span in captured.spans(SpanKind.CLIENT):
        assert span.parent is not None
        assert parents[str((span.attributes or {})["db.query.text"])] == span.parent.span_id
    assert len(captured.spans(SpanKind.CLIENT)) == 10


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(captured: Captured, tmp_path: Path) -> None:
    async def whole() -> None:
        async with aiosqlite.connect(tmp_path / "shop.db") as connection:
            await connection.execute("SELECT 1")

    def run() -> None:
        asyncio.run(whole())

    assert_children_of_the_caller(captured, run)
    # The statements are sqlite3's; this row gives them their parent.
    assert_silent_when_disabled(captured, "sqlite3", run)
