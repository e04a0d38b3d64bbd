"""mysqlclient on a real MariaDB. It is built where it is installed, so most environments are without it."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.children import environment, run
from support.statements import (
    assert_all_of,
    assert_children_of_the_caller,
    assert_failed,
    assert_silent_when_disabled,
    operations,
)

if TYPE_CHECKING:
    from pathlib import Path

    from support.captured import Captured
    from support.servers import Server


def connect(server: Server) -> Any:
    driver = pytest.importorskip("MySQLdb", reason="mysqlclient is not installed")
    return driver.connect(
        host=server.host,
        port=server.port,
        user=server.user,
        password=server.password,
        database=server.database,
    )


def test_statements_have_stable_names(captured: Captured, mariadb: Server) -> None:
    with closing(connect(mariadb)) as connection:
        cursors = pytest.importorskip("MySQLdb.cursors")
        cursor = connection.cursor(cursors.DictCursor)
        assert type(cursor) is cursors.DictCursor
        cursor.execute("CREATE TEMPORARY TABLE items (id int PRIMARY KEY, name text)")
        cursor.executemany("INSERT INTO items VALUES (%s, %s)", [(1, "hat"), (2, "shoe")])
        cursor.executemany("UPDATE items SET name = %s WHERE id = %s", [("a", 1), ("b", 2)])
        cursor.execute("SELECT name FROM items ORDER BY id")
        assert list(cursor.fetchall()) == [{"name": "a"}, {"name": "b"}]
        connection.commit()
        with pytest.raises(Exception, match="Duplicate"):
            cursor.execute("INSERT INTO items VALUES (%s, 'hat')", (1,))
    assert operations(captured) == ["CREATE", "INSERT", "UPDATE", "SELECT", "INSERT"]
    assert_all_of(captured, "mysql", mariadb, "shop")
    assert_failed(captured.spans()[-1], "MySQLdb.IntegrityError", "1062")


def test_spans_stand_under_the_callers_and_are_gone_when_disabled(
    captured: Captured, mariadb: Server
) -> None:
    def run() -> None:
        with closing(connect(mariadb)) as connection:
            connection.cursor().execute("SELECT 1")

    assert_children_of_the_caller(captured, run)
    assert_silent_when_disabled(captured, "mysqlclient", run)


def test_pymysql_in_its_place_is_pymysqls(tmp_path: Path) -> None:
    program = (
        "import pymysql; pymysql.install_as_MySQLdb(); import MySQLdb\n"
        "from otel_kpi import instrumentation; instrumentation.install()\n"
        "print({row.name: row.state for row in instrumentation.report()}['pymysql'])"
    )
    ended = run([sys.executable, "-c", program], environment(), tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "loaded\n", "")
