"""Pools of psycopg on a real PostgreSQL say what they have, who waits and for how long."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi.packs.database.pools import pools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured
    from support.servers import Server

psycopg_pool = pytest.importorskip("psycopg_pool")

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


def test_psycopgs_pool(captured: Captured, url: str, name: str) -> None:
    before = {metric: value(captured, metric, name) for metric in ("wait_time", "use_time", "timeouts")}
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=2, timeout=0.2) as pool:
        with pool.connection() as connection:
            connection.execute("SELECT 1")
            assert counts(captured, name)["used"] == 1
            with pool.connection(), pytest.raises(psycopg_pool.PoolTimeout):
                pool.getconn()
        assert counts(captured, name) == {"used": 0, "idle": 2}
        assert value(captured, "max", name) == 2
        assert value(captured, "pending_requests", name) == 0
    assert counts(captured, name) == {}  # closed
    assert value(captured, "wait_time", name) == before["wait_time"] + 2
    assert value(captured, "use_time", name) == before["use_time"] + 2
    assert value(captured, "timeouts", name) == before["timeouts"] + 1


def test_psycopgs_pool_by_the_name_that_it_was_given_and_who_waits(captured: Captured, url: str) -> None:
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1, name="reports") as pool:
        got: list[Any] = []
        held = pool.getconn()
        thread = threading.Thread(target=lambda: got.append(pool.getconn(timeout=10)))
        thread.start()
        deadline = time.monotonic() + 10
        while value(captured, "pending_requests", "reports") != 1:
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
    assert value(captured, "use_time", "async") == 1
    assert value(captured, "timeouts", "async") == 1


def test_no_pool_is_kept_alive(captured: Captured, url: str) -> None:
    del captured
    with psycopg_pool.ConnectionPool(url, min_size=1, max_size=1) as pool:
        with pool.connection():
            pass
        forgotten = weakref.ref(pool)
    del pool
    gc.collect()
    assert forgotten() is None
