"""asyncpg on a real PostgreSQL: one client span for each statement, cursor and COPY."""

from __future__ import annotations

import asyncio
import inspect
import io
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from support.statements import (
    assert_all_of,
    assert_children_of_the_caller,
    assert_failed,
    assert_silent_when_disabled,
    measured,
    operations,
    texts,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.captured import Captured
    from support.servers import Server

    Run = Callable[[Callable[[Any], Awaitable[Any]]], Any]


@pytest.fixture
def url(postgresql: Server) -> str:
    return f"postgresql://{postgresql.address}"


@pytest.fixture
def run(captured: Captured, url: str) -> Run:
    """Run a coroutine with a connection that has a table; the spans are those of the coroutine."""

    def run(body: Callable[[Any], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            connection = await asyncpg.connect(url)
            await connection.execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY, name text)")
            captured.span_exporter.clear()
            try:
                return await body(connection)
            finally:
                await connection.close()

        return asyncio.run(whole())

    return run


def test_statements_have_stable_names(captured: Captured, run: Run, postgresql: Server) -> None:
    async def body(connection: Any) -> Any:
        assert await connection.execute("INSERT INTO items VALUES ($1, $2)", 1, "hat") == "INSERT 0 1"
        await connection.executemany("INSERT INTO items VALUES ($1, $2)", [(2, "shoe"), (3, "belt")])
        assert len(await connection.fetch("SELECT * FROM items")) == 3
        assert await connection.fetchval("SELECT count(*) FROM items") == 3
        return await connection.fetchrow("SELECT name FROM items WHERE id = $1", 2)

    record = run(body)
    assert isinstance(record, asyncpg.Record)
    assert record["name"] == "shoe"
    assert operations(captured) == ["INSERT", "INSERT", "SELECT", "SELECT", "SELECT"]
    assert (captured.spans()[1].attributes or {})["db.operation.batch.size"] == 2
    assert_all_of(captured, "postgresql", postgresql, "shop")


def test_prepared_statement_has_a_span_each_time(captured: Captured, run: Run) -> None:
    async def body(connection: Any) -> None:
        statement = await connection.prepare("SELECT $1::int")
        assert await statement.fetchval(1) == 1
        assert len(await statement.fetch(2)) == 1
        assert await statement.fetchrow(3) == (3,)
        await statement.executemany([(4,), (5,)])

    run(body)
    assert texts(captured) == ["SELECT $1::int"] * 4


def test_cursor_is_one_statement_however_many_rows(captured: Captured, run: Run) -> None:
    async def body(connection: Any) -> int:
        async with connection.transaction():
            count = len(
                [row async for row in connection.cursor("SELECT generate_series(1, 120)", prefetch=10)]
            )
            cursor = await connection.cursor("SELECT generate_series(1, 50)")
            while rows := await cursor.fetch(10):
                count += len(rows)
            return count

    assert run(body) == 170
    assert texts(captured) == ["SELECT generate_series(1, 120)", "SELECT generate_series(1, 50)"]


def test_copy_is_one_span_in_each_direction(captured: Captured, run: Run) -> None:
    async def body(connection: Any) -> None:
        await connection.copy_records_to_table("items", records=[(1, "hat"), (2, "shoe")])
        await connection.copy_to_table("items", source=io.BytesIO(b"3\tbelt\n"))
        await connection.copy_from_table("items", output=io.BytesIO())
        await connection.copy_from_query("SELECT id FROM items WHERE id > $1", 1, output=io.BytesIO())

    run(body)
    assert texts(captured) == [
        "COPY items FROM STDIN",
        "COPY items FROM STDIN",
        "COPY items TO STDOUT",
        "SELECT id FROM items WHERE id > $1",
    ]


def test_transactions_and_the_pools_reset_have_no_spans(captured: Captured, url: str) -> None:
    async def whole() -> None:
        async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
            for _ in range(2):
                async with pool.acquire() as connection, connection.transaction(), connection.transaction():
                    await connection.execute("SELECT 1")
            with pytest.raises(RuntimeError):
                async with pool.acquire() as connection, connection.transaction():
                    raise RuntimeError
            assert await pool.fetchval("SELECT 2") == 2

    asyncio.run(whole())
    assert texts(captured) == ["SELECT 1", "SELECT 1", "SELECT 2"]


def test_failed_statement_says_what_the_server_said_and_not_what_the_row_held(
    captured: Captured, run: Run
) -> None:
    async def body(connection: Any) -> None:
        await connection.execute("INSERT INTO items VALUES (4711, 'hat')")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute("INSERT INTO items VALUES ($1, 'hat')", 4711)

    run(body)
    span = captured.spans()[-1]
    assert_failed(span, "asyncpg.exceptions.UniqueViolationError", "23505")
    assert span.status.description == 'duplicate key value violates unique constraint "items_pkey"'


def test_cancelled_statement_ends_its_span_and_is_cancelled(captured: Captured, run: Run) -> None:
    async def body(connection: Any) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.execute("SELECT pg_sleep(30)"), 0.2)

    run(body)
    [span] = captured.spans()
    assert_failed(span, "asyncio.exceptions.CancelledError", None)


def test_classes_are_the_applications(captured: Captured, url: str) -> None:
    class Own(asyncpg.Connection):
        pass

    class OwnRecord(asyncpg.Record):
        pass

    async def whole() -> None:
        connection = await asyncpg.connect(url, connection_class=Own, record_class=OwnRecord)
        assert type(connection) is Own
        assert type(await connection.fetchrow("SELECT 1")) is OwnRecord
        assert inspect.iscoroutinefunction(Own.fetch)
        await connection.close()

    asyncio.run(whole())
    assert operations(captured) == ["SELECT"]


def test_users_own_instrumentor_wins(captured: Captured, url: str) -> None:
    upstream = pytest.importorskip("opentelemetry.instrumentation.asyncpg").AsyncPGInstrumentor()
    upstream.instrument(skip_dep_check=True)

    async def whole() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SELECT 1")
        await connection.close()

    try:
        asyncio.run(whole())
    finally:
        upstream.uninstrument()
    [span] = captured.spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.asyncpg"


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(captured: Captured, url: str) -> None:
    async def whole() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute("SELECT 1")
        await connection.close()

    def run() -> None:
        asyncio.run(whole())

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "asyncpg", run)


def test_durations_are_measured(captured: Captured, run: Run) -> None:
    async def body(connection: Any) -> None:
        await connection.execute("ANALYZE items")

    before = dict(measured(captured, "postgresql")).get("ANALYZE", 0)
    run(body)
    assert dict(measured(captured, "postgresql"))["ANALYZE"] == before + 1
