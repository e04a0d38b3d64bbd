"""Pools of asyncpg on a real PostgreSQL say what they have, who waits and for how long."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from otel_kpi.packs.database.pools import pools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured
    from support.servers import Server

COUNT = "db.client.connection.count"
NAME, STATE = "db.client.connection.pool.name", "db.client.connection.state"


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    gc.collect()
    pools().forget()
    yield
    pools().forget()


@pytest.fixture
def url(postgresql: Server) -> str:
    return f"postgresql://{postgresql.address}"


@pytest.fixture
def name(postgresql: Server) -> str:
    return f"{postgresql.host}:{postgresql.port}/{postgresql.database}"


def counts(captured: Captured, name: str) -> dict[str, int]:
    return {
        point.attributes[STATE]: point.value
        for point in captured.points(COUNT)
        if point.attributes[NAME] == name
    }


def value(captured: Captured, metric: str, name: str) -> Any:
    """The value; of a histogram how many; 0 when there is none."""
    for point in captured.points(f"db.client.connection.{metric}"):
        if point.attributes[NAME] == name:
            return point.value if hasattr(point, "value") else point.count
    return 0


def test_asyncpgs_pool(captured: Captured, url: str, name: str) -> None:
    before = {metric: value(captured, metric, name) for metric in ("wait_time", "use_time", "timeouts")}

    async def work() -> None:
        async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
            assert await pool.fetchval("SELECT 1") == 1
            assert counts(captured, name) == {"used": 0, "idle": 1}
            async with pool.acquire(), pool.acquire():
                assert counts(captured, name) == {"used": 2, "idle": 0}
                assert value(captured, "max", name) == 2
                with pytest.raises(TimeoutError):
                    await pool.acquire(timeout=0.05)
        assert value(captured, "pending_requests", name) == 0

    asyncio.run(work())
    assert value(captured, "wait_time", name) == before["wait_time"] + 3
    assert value(captured, "use_time", name) == before["use_time"] + 3
    assert value(captured, "timeouts", name) == before["timeouts"] + 1


def test_no_pool_is_kept_alive(captured: Captured, url: str) -> None:
    del captured

    async def work() -> weakref.ref[Any]:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            await pool.fetchval("SELECT 1")
            return weakref.ref(pool._queue)

    forgotten = asyncio.run(work())
    gc.collect()
    assert forgotten() is None
