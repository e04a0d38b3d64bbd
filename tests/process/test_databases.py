"""A script with a database under the launcher, and the settings that decide what is told of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

CLIENT_KIND = 3
OURS = "otel_kpi.instrumentation.sqlalchemy"

WITH_SQLALCHEMY = """
import sqlalchemy
with sqlalchemy.create_engine("sqlite://").connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 1"))
"""
WITH_SQLITE = """
import sqlite3
connection = sqlite3.connect(":memory:")
connection.execute("SELECT 1")
connection.close()
"""


@pytest.mark.parametrize(
    ("program", "variables", "scopes"),
    [
        (WITH_SQLALCHEMY, {}, ["sqlalchemy"]),
        (WITH_SQLALCHEMY, {"OTEL_KPI_DRIVER_SPANS": "true"}, ["sqlalchemy", "sqlite3"]),
        (WITH_SQLALCHEMY, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "sqlalchemy"}, ["sqlite3"]),
        (WITH_SQLITE, {}, ["sqlite3"]),
        (WITH_SQLITE, {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "sqlite3"}, []),
    ],
)
def test_settings_decide_whose_spans_a_statement_has(
    tmp_path: Path, program: str, variables: dict[str, str], scopes: list[str]
) -> None:
    path = tmp_path / "program.py"
    path.write_text(program)
    with Receiver() as receiver:
        ended = run([*RUN, sys.executable, str(path)], environment(receiver.url, **variables), tmp_path)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        statements = [span for span in receiver.spans if span.attributes.get("db.operation.name") == "SELECT"]
    assert all(span.item.kind == CLIENT_KIND for span in statements)
    assert sorted(span.scope.rpartition(".")[2] for span in statements) == scopes


@pytest.mark.parametrize(
    ("opt_in", "names"),
    [
        ("http,database", {"db.system.name", "db.namespace", "db.operation.name", "db.query.text"}),
        ("http", {"db.system", "db.name", "db.operation", "db.statement"}),
    ],
)
def test_generation_of_names_is_the_one_that_was_asked_for(
    tmp_path: Path, opt_in: str, names: set[str]
) -> None:
    path = tmp_path / "program.py"
    path.write_text(WITH_SQLITE)
    with Receiver() as receiver:
        env = environment(receiver.url, OTEL_SEMCONV_STABILITY_OPT_IN=opt_in)
        assert run([*RUN, sys.executable, str(path)], env, tmp_path).returncode == 0
        [span] = [span for span in receiver.spans if span.item.kind == CLIENT_KIND]
    assert {name for name in span.attributes if name.startswith("db.")} == names
