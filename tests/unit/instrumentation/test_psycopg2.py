"""psycopg2 on a real PostgreSQL: its classes are written in C, and an application still notices nothing."""

from __future__ import annotations

import io
from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import psycopg2
import pytest
from psycopg2 import extensions, extras, pool, sql
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
def connection(captured: Captured, url: str) -> Iterator[Any]:
    with closing(psycopg2.connect(url)) as connection:
        connection.cursor().execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY, name text)")
        connection.commit()
        captured.span_exporter.clear()
        yield connection


def test_statements_have_stable_names(captured: Captured, url: str, postgresql: Server) -> None:
    with closing(psycopg2.connect(url)) as connection:
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE TEMPORARY TABLE items (id int, name text)")
            cursor.executemany("INSERT INTO items VALUES (%s, %s)", [(1, "hat"), (2, "shoe")])
            cursor.execute("SELECT name FROM items ORDER BY id")
            assert cursor.fetchall() == [("hat",), ("shoe",)]
        connection.rollback()
    assert operations(captured) == ["CREATE", "INSERT", "SELECT"]
    assert (captured.spans()[1].attributes or {})["db.operation.batch.size"] == 2
    assert_all_of(captured, "postgresql", postgresql, "shop")


def test_copy_procedures_and_named_cursors_are_one_span_each(captured: Captured, connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.copy_from(io.StringIO("1\that\n2\tshoe\n"), "items")
        cursor.copy_to(io.StringIO(), "items")
        cursor.copy_expert("COPY items TO STDOUT WITH CSV", io.StringIO())
        cursor.callproc("version")
    with connection.cursor("pages") as pages:
        pages.itersize = 10
        pages.execute("SELECT generate_series(1, 100)")
        assert len(list(pages)) == 100
    assert texts(captured) == [
        "COPY items FROM STDIN",
        "COPY items TO STDOUT",
        "COPY items TO STDOUT WITH CSV",
        "SELECT * FROM version",
        "SELECT generate_series(1, 100)",
    ]


@pytest.mark.parametrize(
    "factory", [extras.DictCursor, extras.RealDictCursor, extras.NamedTupleCursor, extensions.cursor]
)
def test_cursors_of_any_class_have_spans_and_are_of_that_class(
    captured: Captured, connection: Any, factory: Any
) -> None:
    with connection.cursor(cursor_factory=factory) as cursor:
        cursor.execute("SELECT 1 AS one")
        row = cursor.fetchone()
        assert isinstance(cursor, factory)
        assert type(cursor).__name__ == factory.__name__
    assert (row["one"] if factory in {extras.DictCursor, extras.RealDictCursor} else row[0]) == 1
    assert texts(captured) == ["SELECT 1 AS one"]


@pytest.mark.parametrize("factory", [extras.DictConnection, extras.RealDictConnection])
def test_connections_of_any_class_have_spans(captured: Captured, url: str, factory: Any) -> None:
    with closing(psycopg2.connect(url, connection_factory=factory)) as connection:
        assert isinstance(connection, factory)
        cursor = connection.cursor()
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchone()["one"] == 1
    assert texts(captured) == ["SELECT 1 AS one"]


def test_default_cursor_class_is_the_applications(captured: Captured, url: str) -> None:
    with closing(psycopg2.connect(url, cursor_factory=extras.RealDictCursor)) as connection:
        assert connection.cursor_factory is extras.RealDictCursor
        cursor = connection.cursor()
        cursor.execute("SELECT 1 AS one")
        assert cursor.fetchall() == [{"one": 1}]
        connection.cursor_factory = cast("Any", None)
        connection.cursor().execute("SELECT 2")
    assert operations(captured) == ["SELECT", "SELECT"]


def test_types_can_be_registered_on_connections_and_cursors(captured: Captured, connection: Any) -> None:
    extras.register_default_jsonb(connection, loads="mine:{}".format)
    extras.register_uuid(conn_or_curs=connection)
    whole = extensions.new_type((23,), "WHOLE", lambda value, _: f"whole:{value}")
    cursor = connection.cursor()
    extensions.register_type(whole, cursor)
    cursor.execute("SELECT 7, '{}'::jsonb")
    assert cursor.fetchone() == ("whole:7", "mine:{}")
    assert isinstance(connection, extensions.connection)
    assert extensions.quote_ident("a b", connection) == '"a b"'
    assert operations(captured) == ["SELECT"]


def test_composed_queries_are_rendered_for_it(captured: Captured, connection: Any) -> None:
    query = sql.SQL("SELECT {} FROM {}").format(sql.Identifier("id"), sql.Identifier("items"))
    assert query.as_string(connection) == 'SELECT "id" FROM "items"'
    connection.cursor().execute(query)
    assert texts(captured) == ['SELECT "id" FROM "items"']


def test_extras_that_send_pages_have_a_span_for_each_page(captured: Captured, connection: Any) -> None:
    cursor = connection.cursor()
    rows = [(number, "hat") for number in range(4)]
    extras.execute_values(cursor, "INSERT INTO items VALUES %s", rows, page_size=2)
    assert operations(captured) == ["INSERT", "INSERT"]


def test_failed_statement_says_what_the_server_said_and_not_what_the_row_held(
    captured: Captured, connection: Any
) -> None:
    cursor = connection.cursor()
    cursor.execute("INSERT INTO items VALUES (4711, 'hat')")
    with pytest.raises(psycopg2.errors.UniqueViolation) as raised:
        cursor.execute("INSERT INTO items VALUES (%s, 'hat')", (4711,))
    assert raised.value.cursor is cursor
    span = captured.spans()[-1]
    assert_failed(span, "psycopg2.errors.UniqueViolation", "23505")
    assert span.status.description == 'duplicate key value violates unique constraint "items_pkey"'


def test_pool_gives_connections_with_spans(captured: Captured, url: str) -> None:
    connections = pool.SimpleConnectionPool(1, 2, url)
    connection = connections.getconn()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    connections.putconn(connection)
    connections.closeall()
    assert texts(captured) == ["SELECT 1"]


def test_users_own_instrumentor_wins(captured: Captured, url: str) -> None:
    upstream = pytest.importorskip("opentelemetry.instrumentation.psycopg2").Psycopg2Instrumentor()
    upstream.instrument(skip_dep_check=True)
    try:
        with closing(psycopg2.connect(url)) as connection:
            connection.cursor().execute("SELECT 1")
    finally:
        upstream.uninstrument()
    [span] = captured.spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.psycopg2"


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(captured: Captured, url: str) -> None:
    def run() -> None:
        with closing(psycopg2.connect(url)) as connection:
            connection.cursor().execute("SELECT 1")

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "psycopg2", run)


def test_durations_are_measured(captured: Captured, connection: Any) -> None:
    before = dict(measured(captured, "postgresql")).get("TABLE", 0)
    connection.cursor().execute("TABLE items")
    assert dict(measured(captured, "postgresql"))["TABLE"] == before + 1
