"""Pools of asyncpg on a real PostgreSQL say what they have, who waits and for how long."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from support.pools import alone, counts, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured
    from support.servers import Server


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with alone():
        yield


@pytest.fixture
def url(postgresql: Server) -> str:
    return f"postgresql://{postgresql.address}"


@pytest.fixture
def name(postgresql: Server) -> str:
    return f"{postgresql.host}:{postgresql.port}/{postgresql.database}"


def test_asyncpgs_pool(captured: Captured, url: str, name: str) -> None:
    before = {metric: number(captured, metric, name) for metric in ("wait_time", "use_time", "timeouts")}

    async def work() -> None:
        async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
            assert await pool.fetchval("SELECT 1") == 1
            assert counts(captured, name) == {"used": 0, "idle": 1}
            async with pool.acquire(), pool.acquire():
                assert counts(captured, name) == {"used": 2, "idle": 0}
                assert number(captured, "max", name) == 2
                with pytest.raises(TimeoutError):
                    await pool.acquire(timeout=0.05)
        assert number(captured, "pending_requests", name) == 0

    asyncio.run(work())
    assert number(captured, "wait_time", name) == before["wait_time"] + 3
    assert number(captured, "use_time", name) == before["use_time"] + 3
    assert number(captured, "timeouts", name) == before["timeouts"] + 1


def test_no_pool_is_kept_alive(captured: Captured, url: str) -> None:
    del captured

    async def work() -> weakref.ref[Any]:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            await pool.fetchval("SELECT 1")
            return weakref.ref(pool._queue)

    forgotten = asyncio.run(work())
    gc.collect()
    assert forgotten() is None
