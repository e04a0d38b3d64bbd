"""sqlite3 and what stands on it: one client span for each statement, whoever sends it."""

from __future__ import annotations

import operator
import pickle
import sqlite3
from contextlib import closing
from sqlite3 import dbapi2
from typing import TYPE_CHECKING, Any, cast

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

from otel_kpi.instrumentation.databases import sqlite3 as ours

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.captured import Captured


@pytest.fixture
def connection(captured: Captured) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT)")
        captured.span_exporter.clear()
        yield connection


@pytest.mark.parametrize("module", ["sqlite3", "dbapi2"])
def test_statements_have_stable_names(captured: Captured, module: str, tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with closing({"sqlite3": sqlite3, "dbapi2": dbapi2}[module].connect(path)) as connection:
        connection.execute("CREATE TABLE items (id INTEGER, name TEXT)")
        with connection:
            connection.executemany("INSERT INTO items VALUES (?, ?)", [(1, "hat"), (2, "shoe")])
        cursor = connection.cursor()
        assert cursor.execute("SELECT name FROM items").fetchall() == [("hat",), ("shoe",)]
        connection.executescript("UPDATE items SET name = 'x'; DELETE FROM items;")
    assert operations(captured) == ["CREATE", "INSERT", "SELECT", "UPDATE"]
    assert (captured.spans()[1].attributes or {})["db.operation.batch.size"] == 2
    assert_all_of(captured, "sqlite", None, str(path))


def test_path_of_a_file_is_neither_in_a_name_nor_in_a_metric(captured: Captured, tmp_path: Path) -> None:
    paths = [":memory:", "file:_memory_zq81?mode=memory&cache=shared", str(tmp_path / "upload-zq82.db")]
    for path in paths:
        with closing(sqlite3.connect(path, uri=path.startswith("file:"))) as connection:
            connection.execute("SELECT 1")
    assert [span.name for span in captured.spans()] == ["SELECT"] * 3
    assert [(span.attributes or {})["db.namespace"] for span in captured.spans()] == [
        ":memory:",
        "file:_memory_zq81",
        paths[2],
    ]
    points = [
        point
        for point in captured.points("db.client.operation.duration")
        if point.attributes["db.system.name"] == "sqlite"
    ]
    assert points
    assert not [point for point in points if "db.namespace" in point.attributes]


def test_address_of_a_file_keeps_no_parameters(captured: Captured) -> None:
    with closing(sqlite3.connect("file:shop?mode=memory&cache=shared", uri=True)) as connection:
        connection.execute("SELECT 1")
    assert_all_of(captured, "sqlite", None, "file:shop")


def test_connections_and_cursors_are_of_the_applications_classes(captured: Captured) -> None:
    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, parameters: Any = ()) -> Any:
            return super().execute(sql.replace("%s", "?"), parameters)

    class Connection(sqlite3.Connection):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.mine = True

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

    with closing(sqlite3.connect(":memory:", factory=Connection)) as connection:
        assert isinstance(connection, Connection)
        assert type(connection).__name__ == "Connection"
        assert connection.mine
        cursor = connection.cursor()
        assert isinstance(cursor, Cursor)
        assert cursor.execute("SELECT %s", (1,)) is cursor
        assert cursor.fetchone() == (1,)
    # A statement that two classes handle is one.
    assert operations(captured) == ["SELECT"]


def test_what_needs_the_very_class_works(connection: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(":memory:")) as copy:
        connection.backup(copy)
        connection.row_factory = sqlite3.Row
        row = connection.execute("SELECT 1 AS one").fetchone()
        assert row["one"] == 1
        connection.create_function("negative", 1, cast("Any", operator.neg))
        assert connection.execute("SELECT negative(4)").fetchone()[0] == -4
        assert copy.execute("SELECT count(*) FROM items").fetchone() == (0,)
        assert connection.total_changes == 0
        assert "CREATE TABLE items" in "\n".join(connection.iterdump())
    assert isinstance(connection, sqlite3.Connection)
    assert pickle.loads(pickle.dumps(tuple(row))) == (1,)


def test_factory_that_is_no_class_is_called_as_it_is(captured: Captured) -> None:
    def factory(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        return sqlite3.Connection(*args, **kwargs)

    with closing(sqlite3.connect(":memory:", factory=cast("Any", factory))) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert captured.spans() == []


def test_statement_inside_of_a_function_of_the_application_is_its_own(
    captured: Captured, connection: sqlite3.Connection
) -> None:
    with closing(sqlite3.connect(":memory:")) as other:
        connection.create_function("look", 0, lambda: other.execute("SELECT 2").fetchone()[0])
        assert connection.execute("SELECT look()").fetchone() == (2,)
    assert sorted(texts(captured)) == ["SELECT 2", "SELECT look()"]


def test_failed_statement_says_why(captured: Captured, connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO items VALUES (4711, 'hat')")
    with pytest.raises(sqlite3.IntegrityError):
        connection.execute("INSERT INTO items VALUES (?, 'hat')", (4711,))
    span = captured.spans()[-1]
    assert_failed(span, "sqlite3.IntegrityError", "SQLITE_CONSTRAINT_PRIMARYKEY")
    assert span.status.description == "UNIQUE constraint failed: items.id"


def test_users_own_instrumentor_wins(captured: Captured) -> None:
    upstream = pytest.importorskip("opentelemetry.instrumentation.sqlite3").SQLite3Instrumentor()
    upstream.instrument(skip_dep_check=True)
    try:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.cursor().execute("SELECT 1")
    finally:
        upstream.uninstrument()
    [span] = captured.spans()
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.sqlite3"


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(captured: Captured) -> None:
    def run() -> None:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.execute("SELECT 1")

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "sqlite3", run)


def test_connection_that_outlives_the_instrumentor_is_silent(
    captured: Captured, connection: sqlite3.Connection
) -> None:
    from otel_kpi import instrumentation

    cursor = connection.cursor()
    instrumentation.uninstall()
    cursor.execute("SELECT 1")
    connection.execute("SELECT 2")
    assert captured.spans() == []


def test_durations_are_measured(captured: Captured, connection: sqlite3.Connection) -> None:
    def pragmas() -> int:
        # Statements of another test, under another library, are a series of their own.
        return sum(count for operation, count in measured(captured, "sqlite") if operation == "PRAGMA")

    before = pragmas()
    connection.execute("PRAGMA user_version")
    assert pragmas() == before + 1


def test_error_of_ours_costs_a_span_and_never_the_statement(
    captured: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    class Hostile(sqlite3.Connection):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith("_otel"):
                raise RuntimeError(name)
            return super().__getattribute__(name)

    boundary = ours.DATABASE.boundary
    try:
        with closing(sqlite3.connect(":memory:", factory=Hostile)) as connection:
            for number in range(20):
                assert connection.execute("SELECT ?", (number,)).fetchone() == (number,)
        assert captured.spans() == []
        assert not boundary.open
        # The first, and the one after which it is off.
        assert len([record for record in caplog.records if record.name == "otel_kpi.instrumentation"]) == 2
    finally:
        boundary.reset()
