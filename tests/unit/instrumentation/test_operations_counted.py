"""Every command of Redis and every statement is one measurement, by its name and how it ended: totals can be trusted."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import redis
import redis.asyncio
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from support.captured import Captured
    from support.servers import Server

Operations = Counter[tuple[Any, Any]]


def operations(captured: Captured, system: str) -> Operations:
    """How often there was `(operation, error type)`."""
    found: Operations = Counter()
    for point in captured.points("db.client.operation.duration"):
        if point.attributes["db.system.name"] == system:
            key = (point.attributes.get("db.operation.name"), point.attributes.get("error.type"))
            found[key] += point.count
    return found


WRONG_TYPE = "redis.exceptions.ResponseError"
DONE: Operations = Counter({
    ("SET", None): 20,
    ("GET", None): 30,
    ("LPUSH", WRONG_TYPE): 2,
    ("PIPELINE", None): 3,
    ("MULTI EXISTS", None): 4,
    ("MULTI", WRONG_TYPE): 1,
})  # fmt: skip


def test_each_command_of_redis_is_counted_once(captured: Captured, redis_server: Server) -> None:
    before = operations(captured, "redis")
    client: Any
    with redis.Redis(port=redis_server.port) as client:
        for number in range(20):
            client.set("counted", number)
        for _ in range(30):
            client.get("counted")
        for _ in range(2):
            with pytest.raises(redis.ResponseError):
                client.lpush("counted", 1)
        for _ in range(3):
            client.pipeline(transaction=False).get("counted").set("counted", 1).execute()
        for _ in range(4):
            client.pipeline().exists("counted").exists("counted").execute()
        with pytest.raises(redis.ResponseError):
            client.pipeline().get("counted").lpush("counted", 1).execute()
    assert operations(captured, "redis") - before == DONE


def test_each_command_of_an_asynchronous_client_is_counted_once(
    captured: Captured, redis_server: Server
) -> None:
    async def work() -> None:
        client: Any
        async with redis.asyncio.Redis(port=redis_server.port) as client:
            await asyncio.gather(*(client.set("counted", number) for number in range(20)))
            for _ in range(30):
                await client.get("counted")
            for _ in range(2):
                with pytest.raises(redis.ResponseError):
                    await client.lpush("counted", 1)
            for _ in range(3):
                await client.pipeline(transaction=False).get("counted").set("counted", 1).execute()
            for _ in range(4):
                await client.pipeline().exists("counted").exists("counted").execute()
            with pytest.raises(redis.ResponseError):
                await client.pipeline().get("counted").lpush("counted", 1).execute()

    before = operations(captured, "redis")
    asyncio.run(work())
    assert operations(captured, "redis") - before == DONE


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg"])
def test_each_statement_of_an_engine_is_counted_once(
    captured: Captured, postgresql: Server, driver: str
) -> None:
    url = f"postgresql+{driver}://{postgresql.address}"
    before = operations(captured, "postgresql")
    if driver == "asyncpg":
        asyncio.run(_statements(url))
    else:
        engine = create_engine(url, pool_pre_ping=True)
        for _ in range(7):
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        with pytest.raises(Exception, match="nowhere"), engine.connect() as connection:
            connection.execute(text("SELECT 1 FROM nowhere"))
        engine.dispose()
    done = operations(captured, "postgresql") - before
    assert {operation for operation, _ in done} == {"SELECT"}
    assert done["SELECT", None] == 7
    assert sum(done.values()) == 8


async def _statements(url: str) -> None:
    engine = create_async_engine(url, pool_pre_ping=True)
    for _ in range(7):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    with pytest.raises(Exception, match="nowhere"):
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1 FROM nowhere"))
    await engine.dispose()
