"""PyMySQL on a real MariaDB: one client span for each statement, and connections that are PyMySQL's."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import pymysql
import pytest
from pymysql import cursors
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


def connect(server: Server, **options: Any) -> Any:
    return pymysql.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.database,
        **options,
    )


@pytest.fixture
def connection(captured: Captured, mariadb: Server) -> Iterator[Any]:
    with closing(connect(mariadb)) as connection:
        connection.cursor().execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY, name text)")
        captured.span_exporter.clear()
        yield connection


def test_statements_have_stable_names(captured: Captured, connection: Any, mariadb: Server) -> None:
    with connection.cursor() as cursor:
        assert cursor.execute("INSERT INTO items VALUES (%s, %s)", (1, "hat")) == 1
        # PyMySQL makes one statement of these two.
        assert cursor.executemany("INSERT INTO items VALUES (%s, %s)", [(2, "shoe"), (3, "belt")]) == 2
        # And three of these.
        cursor.executemany("UPDATE items SET name = %s WHERE id = %s", [("a", 1), ("b", 2), ("c", 3)])
        cursor.execute("SELECT name FROM items ORDER BY id")
        assert cursor.fetchall() == (("a",), ("b",), ("c",))
    connection.commit()
    connection.ping()
    assert operations(captured) == ["INSERT", "INSERT", "UPDATE", "SELECT"]
    assert [(span.attributes or {}).get("db.operation.batch.size") for span in captured.spans()] == [
        None,
        2,
        3,
        None,
    ]
    assert_all_of(captured, "mysql", mariadb, "shop")


def test_procedure_is_one_span(captured: Captured, connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("CREATE OR REPLACE PROCEDURE twice(IN number int) SELECT number * 2")
    cursor.callproc("twice", (21,))
    assert cursor.fetchone() == (42,)
    assert texts(captured)[1:] == ["CALL twice"]


def test_rows_that_are_not_buffered_are_one_statement(captured: Captured, mariadb: Server) -> None:
    with closing(connect(mariadb, cursorclass=cursors.SSCursor)) as connection:
        cursor = connection.cursor()
        assert isinstance(cursor, cursors.SSCursor)
        cursor.execute("SELECT seq FROM seq_1_to_100")
        assert len(list(cursor)) == 100
    assert operations(captured) == ["SELECT"]


def test_classes_are_the_applications(captured: Captured, mariadb: Server) -> None:
    with closing(connect(mariadb, cursorclass=cursors.DictCursor)) as connection:
        assert type(connection) is pymysql.connections.Connection
        with connection.cursor() as cursor:
            assert type(cursor) is cursors.DictCursor
            cursor.execute("SELECT 1 AS one")
            assert cursor.fetchall() == [{"one": 1}]
        connection.cursor(cursors.SSDictCursor).execute("SELECT 2")
    assert operations(captured) == ["SELECT", "SELECT"]


def test_failed_statement_has_the_servers_number_and_not_what_the_row_held(
    captured: Captured, connection: Any
) -> None:
    cursor = connection.cursor()
    cursor.execute("INSERT INTO items VALUES (4711, 'hat')")
    with pytest.raises(pymysql.err.IntegrityError):
        cursor.execute("INSERT INTO items VALUES (%s, 'hat')", (4711,))
    span = captured.spans()[-1]
    assert_failed(span, "pymysql.err.IntegrityError", "1062")
    assert "4711" not in str(span.status.description)


def test_users_own_instrumentor_wins(captured: Captured, mariadb: Server) -> None:
    upstream = pytest.importorskip("opentelemetry.instrumentation.pymysql").PyMySQLInstrumentor()
    upstream.instrument(skip_dep_check=True)
    try:
        with closing(connect(mariadb)) as connection:
            connection.cursor().execute("SELECT 1")
    finally:
        upstream.uninstrument()
    [span] = captured.spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.pymysql"


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(
    captured: Captured, mariadb: Server
) -> None:
    def run() -> None:
        with closing(connect(mariadb)) as connection:
            connection.cursor().execute("SELECT 1")

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "pymysql", run)


def test_durations_are_measured(captured: Captured, connection: Any) -> None:
    before = dict(measured(captured, "mysql")).get("SHOW", 0)
    connection.cursor().execute("SHOW TABLES")
    assert dict(measured(captured, "mysql"))["SHOW"] == before + 1
