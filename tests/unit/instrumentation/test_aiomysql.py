"""aiomysql on a real MariaDB: one client span for each statement."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiomysql
import pymysql
import pytest
from support.statements import (
    assert_all_of,
    assert_children_of_the_caller,
    assert_failed,
    assert_silent_when_disabled,
    operations,
)

if TYPE_CHECKING:
    from support.captured import Captured
    from support.servers import Server


def options(server: Server) -> dict[str, Any]:
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "db": server.database,
    }


def test_statements_of_a_pool_have_stable_names(captured: Captured, mariadb: Server) -> None:
    async def run() -> Any:
        async with (
            aiomysql.create_pool(**options(mariadb), minsize=1, maxsize=1) as pool,
            pool.acquire() as connection,
            connection.cursor(aiomysql.DictCursor) as cursor,
        ):
            assert type(connection) is aiomysql.Connection
            await cursor.execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY, name text)")
            await cursor.executemany("INSERT INTO items VALUES (%s, %s)", [(1, "hat"), (2, "shoe")])
            await connection.commit()
            await cursor.execute("SELECT name FROM items ORDER BY id")
            rows = await cursor.fetchall()
            with pytest.raises(pymysql.err.IntegrityError):
                await cursor.execute("INSERT INTO items VALUES (1, 'hat')")
            return rows

    assert asyncio.run(run()) == [{"name": "hat"}, {"name": "shoe"}]
    assert operations(captured) == ["CREATE", "INSERT", "SELECT", "INSERT"]
    assert (captured.spans()[1].attributes or {})["db.operation.batch.size"] == 2
    assert_failed(captured.spans()[-1], "pymysql.err.IntegrityError", "1062")
    assert_all_of(captured, "mysql", mariadb, "shop")


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(
    captured: Captured, mariadb: Server
) -> None:
    async def whole() -> None:
        connection = await aiomysql.connect(**options(mariadb))
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT 1")
        connection.close()

    def run() -> None:
        asyncio.run(whole())

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "aiomysql", run)
