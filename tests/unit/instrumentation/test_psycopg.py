"""psycopg 3 on a real PostgreSQL: one client span for each statement, and an application that notices nothing."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pytest
from opentelemetry import trace
from psycopg import sql
from psycopg.rows import dict_row
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
    from collections.abc import Iterator

    from support.captured import Captured
    from support.servers import Server


@pytest.fixture
def url(postgresql: Server) -> str:
    return f"postgresql://{postgresql.address}"


@pytest.fixture
def connection(captured: Captured, url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY, name text)")
        captured.span_exporter.clear()
        yield connection


def test_statements_of_a_sync_connection(captured: Captured, url: str, postgresql: Server) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY, name text)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO items VALUES (%s, %s)", [(1, "hat"), (2, "shoe")])
            row = cursor.execute("/* why */ SELECT name FROM items WHERE id = %s", (2,)).fetchone()
    assert row == ("shoe",)
    # Connecting, BEGIN and COMMIT are the driver's own.
    assert operations(captured) == ["CREATE", "INSERT", "SELECT"]
    assert [span.name for span in captured.spans()] == ["CREATE shop", "INSERT shop", "SELECT shop"]
    assert texts(captured)[1] == "INSERT INTO items VALUES (%s, %s)"
    assert (captured.spans()[1].attributes or {})["db.operation.batch.size"] == 2
    assert_all_of(captured, "postgresql", postgresql, "shop")


def test_statements_of_an_async_connection(captured: Captured, url: str, postgresql: Server) -> None:
    async def run() -> list[Any]:
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY)")
            async with connection.cursor() as cursor:
                await cursor.executemany("INSERT INTO items VALUES (%s)", [(1,), (2,)])
                rows = [row async for row in cursor.stream("SELECT id FROM items ORDER BY id")]
                async with cursor.copy("COPY items TO STDOUT") as copy:
                    rows += [row async for row in copy.rows()]
            async with connection.cursor(name="pages") as pages:
                await pages.execute("SELECT generate_series(1, 300)")
                rows += await pages.fetchall()
            return rows

    assert len(asyncio.run(run())) == 2 + 2 + 300
    assert operations(captured) == ["CREATE", "INSERT", "SELECT", "COPY", "SELECT"]
    assert_all_of(captured, "postgresql", postgresql, "shop")


def test_server_side_cursor_is_one_statement_however_many_pages(
    captured: Captured, connection: psycopg.Connection[Any]
) -> None:
    with connection.transaction(), connection.cursor(name="pages") as cursor:
        cursor.itersize = 10
        assert len(list(cursor.execute("SELECT generate_series(1, 100)"))) == 100
    assert texts(captured) == ["SELECT generate_series(1, 100)"]


def test_stream_lasts_until_its_last_row_and_its_rows_are_handled_outside_of_it(
    captured: Captured, connection: psycopg.Connection[Any]
) -> None:
    with trace.get_tracer("test").start_as_current_span("caller") as caller, connection.cursor() as cursor:
        rows = cursor.stream("SELECT generate_series(1, 3)")
        assert inspect.isgenerator(rows)
        assert next(rows) == (1,)
        assert captured.spans() == []
        assert trace.get_current_span() is caller
        assert list(rows) == [(2,), (3,)]
        assert operations(captured) == ["SELECT"]


def test_stream_that_is_left_early_is_no_failure(
    captured: Captured, connection: psycopg.Connection[Any]
) -> None:
    with connection.cursor() as cursor:
        rows = cursor.stream("SELECT generate_series(1, 3)")
        next(rows)
        cast("Any", rows).close()
    [span] = captured.spans()
    assert span.status.is_unset


def test_copy_in_and_out_are_one_span_each(captured: Captured, connection: psycopg.Connection[Any]) -> None:
    with connection.cursor() as cursor:
        with cursor.copy("COPY items FROM STDIN") as copy:
            copy.write_row((1, "hat"))
            copy.write_row((2, "shoe"))
        with cursor.copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier("items"))) as copy:
            assert len(list(copy.rows())) == 2
    assert texts(captured) == ["COPY items FROM STDIN", 'COPY "items" TO STDOUT']


def test_failed_statement_says_what_the_server_said_and_not_what_the_row_held(
    captured: Captured, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("INSERT INTO items VALUES (4711, 'hat')")
    with pytest.raises(psycopg.errors.UniqueViolation) as raised:
        connection.execute("INSERT INTO items VALUES (%s, 'hat')", (4711,))
    assert raised.value.__context__ is None
    span = captured.spans()[-1]
    assert_failed(span, "psycopg.errors.UniqueViolation", "23505")
    assert span.status.description == 'duplicate key value violates unique constraint "items_pkey"'


def test_composed_and_binary_queries_have_their_text(
    captured: Captured, connection: psycopg.Connection[Any]
) -> None:
    connection.execute(b"SELECT 1")
    query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier("id"), sql.Identifier("items"))
    connection.execute(query)
    assert texts(captured) == ["SELECT 1", 'SELECT "id" FROM "items"']
    assert query.as_string(connection) == 'SELECT "id" FROM "items"'


def test_pipeline_has_a_span_for_each_of_its_statements(
    captured: Captured, connection: psycopg.Connection[Any]
) -> None:
    with connection.pipeline():
        connection.execute("SELECT 1")
        connection.execute("SELECT 2")
    assert texts(captured) == ["SELECT 1", "SELECT 2"]


def test_transactions_and_savepoints_have_no_spans_of_their_own(
    captured: Captured, connection: psycopg.Connection[Any]
) -> None:
    with connection.transaction(), connection.transaction():
        connection.execute("SELECT 1")
    assert texts(captured) == ["SELECT 1"]


def test_pool_gives_connections_with_spans_and_its_checks_have_none(captured: Captured, url: str) -> None:
    pool = pytest.importorskip("psycopg_pool")
    if not hasattr(pool.ConnectionPool, "check_connection"):
        pytest.skip("before 3.2 psycopg_pool checks with a statement")
    with pool.ConnectionPool(url, min_size=1, check=pool.ConnectionPool.check_connection) as connections:
        for _ in range(3):
            with connections.connection() as connection:
                connection.execute("SELECT 1")
        connections.check()
    assert texts(captured) == ["SELECT 1"] * 3


def test_classes_factories_and_results_are_the_applications(captured: Captured, url: str) -> None:
    class Own(psycopg.ClientCursor[Any]):
        pass

    with psycopg.connect(url, row_factory=cast("Any", dict_row), cursor_factory=Own) as connection:
        assert type(connection) is psycopg.Connection
        assert connection.cursor_factory is Own
        cursor = connection.execute("SELECT 1 AS one")
        assert type(cursor) is Own
        assert cursor.fetchall() == [{"one": 1}]
        assert cursor.execute("SELECT 2 AS two") is cursor
        connection.cursor_factory = psycopg.Cursor
        connection.execute("SELECT 3")
    assert operations(captured) == ["SELECT"] * 3


def test_connection_that_was_made_before_has_spans(captured: Captured, url: str) -> None:
    from otel_kpi import instrumentation

    instrumentation.uninstall()
    with psycopg.connect(url) as connection:
        instrumentation.install()
        connection.execute("SELECT 1")
    assert texts(captured) == ["SELECT 1"]


def test_users_own_instrumentor_wins(captured: Captured, url: str) -> None:
    upstream = pytest.importorskip("opentelemetry.instrumentation.psycopg").PsycopgInstrumentor()
    upstream.instrument(skip_dep_check=True)
    try:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1")
    finally:
        upstream.uninstrument()
    [span] = captured.spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.psycopg"


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(captured: Captured, url: str) -> None:
    def run() -> None:
        with psycopg.connect(url) as connection:
            connection.execute("SELECT 1")

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "psycopg", run)


def test_durations_are_measured(captured: Captured, connection: psycopg.Connection[Any]) -> None:
    before = dict(measured(captured, "postgresql")).get("VALUES", 0)
    connection.execute("VALUES (1)")
    assert dict(measured(captured, "postgresql"))["VALUES"] == before + 1
