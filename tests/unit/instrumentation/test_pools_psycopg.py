"""Pools of psycopg on a real PostgreSQL say what they have, who waits and for how long."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from support.pools import alone, counts, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured
    from support.servers import Server

psycopg_pool = pytest.importorskip("psycopg_pool")


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


def test_psycopgs_pool(captured: Captured, url: str, name: str) -> None:
    before = {metric: number(captured, metric, name) for metric in ("wait_time", "use_time", "timeouts")}
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=2, timeout=0.2) as pool:
        with pool.connection() as connection:
            connection.execute("SELECT 1")
            assert counts(captured, name)["used"] == 1
            with pool.connection(), pytest.raises(psycopg_pool.PoolTimeout):
                pool.getconn()
        assert counts(captured, name) == {"used": 0, "idle": 2}
        assert number(captured, "max", name) == 2
        assert number(captured, "pending_requests", name) == 0
    assert counts(captured, name) == {}  # closed
    assert number(captured, "wait_time", name) == before["wait_time"] + 2
    assert number(captured, "use_time", name) == before["use_time"] + 2
    assert number(captured, "timeouts", name) == before["timeouts"] + 1


def test_psycopgs_pool_by_the_name_that_it_was_given_and_who_waits(captured: Captured, url: str) -> None:
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1, name="reports") as pool:
        got: list[Any] = []
        held = pool.getconn()
        thread = threading.Thread(target=lambda: got.append(pool.getconn(timeout=10)))
        thread.start()
        deadline = time.monotonic() + 10
        while number(captured, "pending_requests", "reports") != 1:
            assert time.monotonic() < deadline
        pool.putconn(held)
        thread.join(10)
        assert counts(captured, "reports") == {"used": 1, "idle": 0}
        pool.putconn(got[0])


def test_psycopgs_asynchronous_pool(captured: Captured, url: str) -> None:
    async def work() -> None:
        async with psycopg_pool.AsyncConnectionPool(
            url, min_size=1, max_size=1, name="async", timeout=0.1
        ) as pool:
            async with pool.connection() as connection:
                await connection.execute("SELECT 1")
                assert counts(captured, "async") == {"used": 1, "idle": 0}
                with pytest.raises(psycopg_pool.PoolTimeout):
                    await pool.getconn()
            assert counts(captured, "async") == {"used": 0, "idle": 1}

    asyncio.run(work())
    assert number(captured, "use_time", "async") == 1
    assert number(captured, "timeouts", "async") == 1


def test_no_pool_is_kept_alive(captured: Captured, url: str) -> None:
    del captured
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1) as pool:
        with pool.connection():
            pass
        forgotten = weakref.ref(pool)
    del pool
    gc.collect()
    assert forgotten() is None
