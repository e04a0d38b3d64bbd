"""Pools of SQLAlchemy say what they have, who waits and for how long; none is kept alive for it."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool, QueuePool, StaticPool
from support.pace import slowdown
from support.pools import COUNT, NAME, alone, counts

from otel_kpi import instrumentation
from otel_kpi.packs.database import connections_in_use
from otel_kpi.packs.database.pools import pools

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.captured import Captured
    from support.servers import Server


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    with alone():
        yield


def value(captured: Captured, metric: str, name: str) -> Any:
    for point in captured.points(metric):
        if point.attributes[NAME] == name:
            return point.value if hasattr(point, "value") else (point.count, point.sum)
    return None


def test_a_queue_says_used_and_idle_and_its_limits(captured: Captured, tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/shop.db",
        poolclass=QueuePool,
        pool_size=2,
        max_overflow=3,
        pool_logging_name="orders",
    )
    first, second, third = engine.connect(), engine.connect(), engine.connect()
    assert counts(captured, "orders") == {"used": 3, "idle": 0}
    assert connections_in_use() == 3
    second.close()
    third.close()
    assert counts(captured, "orders") == {"used": 1, "idle": 2}
    first.close()
    assert counts(captured, "orders") == {"used": 0, "idle": 2}  # the third was more than it keeps
    assert value(captured, "db.client.connection.max", "orders") == 5
    assert value(captured, "db.client.connection.idle.max", "orders") == 2
    assert value(captured, "db.client.connection.create_time", "orders")[0] == 3
    assert value(captured, "db.client.connection.wait_time", "orders")[0] == 3
    assert value(captured, "db.client.connection.use_time", "orders")[0] == 3
    engine.dispose()


def test_who_waits_is_pending_and_who_gets_none_timed_out(captured: Captured, tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=1,
        pool_logging_name="tight",
    )  # fmt: skip
    held = engine.connect()
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            engine.connect()
        except PoolTimeout as error:
            raised.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    deadline = time.monotonic() + 10
    while value(captured, "db.client.connection.pending_requests", "tight") != 1:
        assert time.monotonic() < deadline
    thread.join(10)
    assert len(raised) == 1
    assert value(captured, "db.client.connection.timeouts", "tight") == 1
    assert value(captured, "db.client.connection.pending_requests", "tight") == 0
    assert value(captured, "db.client.connection.wait_time", "tight")[0] == 1  # the one that got it
    held.close()
    engine.dispose()


def test_an_engine_made_before_is_seen(captured: Captured, tmp_path: Path) -> None:
    instrumentation.uninstall()
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool, pool_logging_name="early")
    held = engine.connect()
    instrumentation.install()
    with engine.connect():
        assert counts(captured, "early") == {"used": 2, "idle": 0}
    held.close()
    assert counts(captured, "early") == {"used": 0, "idle": 2}
    engine.dispose()


def test_without_a_pool_only_what_is_used_is_open(captured: Captured, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=NullPool, pool_logging_name="none")
    with engine.connect(), engine.connect():
        assert counts(captured, "none") == {"used": 2, "idle": 0}
    assert counts(captured, "none") == {"used": 0, "idle": 0}
    assert value(captured, "db.client.connection.max", "none") is None  # without limit
    assert value(captured, "db.client.connection.idle.max", "none") == 0


def test_of_a_connection_that_all_share_nothing_is_counted(captured: Captured) -> None:
    engine = create_engine("sqlite://", poolclass=StaticPool, pool_logging_name="shared")
    with engine.connect(), engine.connect():
        assert counts(captured, "shared") == {}
    assert value(captured, "db.client.connection.wait_time", "shared")[0] == 2
    engine.dispose()


def test_a_connection_that_fails_is_not_in_use(captured: Captured, tmp_path: Path) -> None:
    engine = create_engine(
        f"sqlite:///{tmp_path}/no/such/folder.db", poolclass=NullPool, pool_logging_name="gone"
    )
    for _ in range(3):
        with pytest.raises(Exception, match="unable to open"):
            engine.connect()
    assert counts(captured, "gone") == {"used": 0, "idle": 0}
    assert value(captured, "db.client.connection.pending_requests", "gone") == 0
    assert value(captured, "db.client.connection.create_time", "gone") is None
    assert value(captured, "db.client.connection.timeouts", "gone") is None


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_connection_that_is_forgotten_is_given_back(captured: Captured, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=NullPool, pool_logging_name="leaky")
    engine.raw_connection()
    gc.collect()
    assert counts(captured, "leaky") == {"used": 0, "idle": 0}
    assert value(captured, "db.client.connection.use_time", "leaky")[0] == 1


def test_an_engine_that_is_dropped_is_gone_and_so_are_its_figures(captured: Captured, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool, pool_logging_name="dropped")
    engine.connect().close()
    assert counts(captured, "dropped") == {"used": 0, "idle": 1}
    engine.dispose()
    pool, forgotten = weakref.ref(engine.pool), weakref.ref(engine)
    del engine
    gc.collect()
    assert pool() is None
    assert forgotten() is None
    assert counts(captured, "dropped") == {}


def test_pools_of_one_name_add_up(captured: Captured, tmp_path: Path) -> None:
    engines = [create_engine(f"sqlite:///{tmp_path}/{n}.db", poolclass=QueuePool, pool_size=4) for n in "abc"]
    held = [engine.connect() for engine in engines]
    # Files have no end: they are one name.
    assert counts(captured, "sqlite") == {"used": 3, "idle": 0}
    assert value(captured, "db.client.connection.idle.max", "sqlite") == 12
    for connection in held:
        connection.close()
    for engine in engines:
        engine.dispose()


def engine_of(url: str) -> Any:
    """An engine; SQLAlchemy 1.4 has no dialect for psycopg 3, and none that is asynchronous for it."""
    try:
        return create_engine(url)
    except NoSuchModuleError:
        pytest.skip("this SQLAlchemy has no dialect for psycopg")


def test_name_says_server_and_database_and_nothing_of_the_user(
    captured: Captured, postgresql: Server
) -> None:
    engine = engine_of(f"postgresql+psycopg://{postgresql.address}")
    name = f"{postgresql.host}:{postgresql.port}/{postgresql.database}"
    # The server is that of other tests, too.
    before = value(captured, "db.client.connection.create_time", name) or (0, 0)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        assert counts(captured, name) == {"used": 1, "idle": 0}
    assert value(captured, "db.client.connection.create_time", name)[0] == before[0] + 1
    spoken = [str(dict(point.attributes)) for point in captured.points(COUNT)]
    assert not any(postgresql.password in each or postgresql.user in each for each in spoken)
    engine.dispose()


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_an_asynchronous_engine_says_the_same(captured: Captured, postgresql: Server, driver: str) -> None:
    name = f"{postgresql.host}:{postgresql.port}/{postgresql.database}"
    pytest.importorskip(driver)
    engine_of(f"postgresql+{driver}://")

    async def work() -> None:
        engine = create_async_engine(
            f"postgresql+{driver}://{postgresql.address}", pool_size=1, max_overflow=0, pool_timeout=0.1
        )
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            assert counts(captured, name) == {"used": 1, "idle": 0}
            with pytest.raises(PoolTimeout):
                await engine.connect()
            waiting = asyncio.create_task(engine.connect().start())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert counts(captured, name) == {"used": 0, "idle": 1}
        await engine.dispose()

    before = value(captured, "db.client.connection.timeouts", name) or 0
    asyncio.run(work())
    assert value(captured, "db.client.connection.timeouts", name) == before + 1
    assert value(captured, "db.client.connection.pending_requests", name) in {0, None}


def test_an_application_that_listens_too_is_not_disturbed(captured: Captured, tmp_path: Path) -> None:
    del captured
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool)
    heard: list[str] = []

    def hear(name: str) -> Callable[..., None]:
        return lambda *_: heard.append(name)

    for name in ("connect", "checkout", "checkin"):
        event.listen(engine, name, hear(name))
    engine.connect().close()
    assert heard == ["connect", "checkout", "checkin"]
    engine.dispose()


def test_an_error_of_ours_costs_no_connection(
    captured: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    del captured

    def broken(*_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(pools(), "add", broken)
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool)
    for _ in range(20):
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()
    assert (
        len([each for each in caplog.records if "sqlalchemy" in each.getMessage()]) == 2
    )  # the first, and off


def test_uninstrumented_it_is_as_it_was(captured: Captured, tmp_path: Path) -> None:
    instrumentation.uninstall()
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool, pool_logging_name="off")
    engine.connect().close()
    assert counts(captured, "off") == {}
    assert "wrapt" not in type(QueuePool.connect).__module__
    engine.dispose()


def test_a_checkout_costs_microseconds(captured: Captured, tmp_path: Path) -> None:
    """Three times the figure of taking a connection and giving it back, beside the same without us."""
    del captured
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", poolclass=QueuePool)

    def each() -> float:
        number = 50
        begin = time.perf_counter()
        for _ in range(number):
            engine.raw_connection().close()
        return (time.perf_counter() - begin) / number

    each()
    with_us = min(each() for _ in range(40))  # the machine has other work too
    instrumentation.uninstall()
    without = min(each() for _ in range(40))
    engine.dispose()
    assert with_us - without < 75e-6 * slowdown(), f"{(with_us - without) * 1e6:.1f} µs"
