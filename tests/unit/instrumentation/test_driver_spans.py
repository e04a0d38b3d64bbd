"""One statement under SQLAlchemy is one client span on each driver; a setting brings the driver's back."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine
from support.statements import measured, operations

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured

STATEMENTS = ["CREATE", "INSERT", "INSERT", "SELECT", "INSERT"]
OURS = "otel_kpi.instrumentation.sqlalchemy"

SYNC = {
    "sqlite": None,
    "postgresql+psycopg2": "postgresql",
    "postgresql+psycopg": "postgresql",
    "mysql+pymysql": "mariadb",
}
ASYNC = {
    "sqlite+aiosqlite": None, "postgresql+asyncpg": "postgresql", "postgresql+psycopg": "postgresql",
    "mysql+aiomysql": "mariadb",
}  # fmt: skip


def url(request: pytest.FixtureRequest, dialect: str, server: str | None) -> str:
    return f"{dialect}://{request.getfixturevalue(server).address if server else '/:memory:'}"


def use(connection: Any) -> None:
    connection.execute(text("CREATE TEMPORARY TABLE items (id int PRIMARY KEY)"))
    connection.execute(text("INSERT INTO items VALUES (:id)"), {"id": 1})
    connection.execute(text("INSERT INTO items VALUES (:id)"), [{"id": 2}, {"id": 3}])
    assert (
        len(
            connection.execute(text("SELECT id FROM items"), execution_options={"stream_results": True}).all()
        )
        == 3
    )
    with pytest.raises(IntegrityError):
        connection.execute(text("INSERT INTO items VALUES (1)"))
    connection.rollback()


def use_sync(url: str) -> None:
    engine = create_engine(url, pool_pre_ping=True)
    for _ in range(2):
        with engine.connect() as connection:
            connection.rollback()
    with engine.connect() as connection:
        use(connection)
    engine.dispose()


def use_async(url: str) -> None:
    async def run() -> None:
        engine = create_async_engine(url, pool_pre_ping=True)
        async with engine.connect() as connection:
            await connection.run_sync(use)
        await engine.dispose()

    asyncio.run(run())


def scopes(captured: Captured) -> list[str]:
    return [
        span.instrumentation_scope.name
        for span in captured.spans(SpanKind.CLIENT)
        if span.instrumentation_scope
    ]


@pytest.mark.parametrize("dialect", SYNC)
def test_statement_is_one_span(captured: Captured, request: pytest.FixtureRequest, dialect: str) -> None:
    use_sync(url(request, dialect, SYNC[dialect]))
    assert operations(captured) == STATEMENTS
    assert set(scopes(captured)) == {OURS}


@pytest.mark.parametrize("dialect", ASYNC)
def test_statement_of_an_async_engine_is_one_span(
    captured: Captured, request: pytest.FixtureRequest, dialect: str
) -> None:
    use_async(url(request, dialect, ASYNC[dialect]))
    assert operations(captured) == STATEMENTS
    assert set(scopes(captured)) == {OURS}


@pytest.fixture
def with_driver_spans(captured: Captured) -> Iterator[Captured]:
    instrumentation.uninstall()
    instrumentation.install(options={"sqlalchemy": {"driver_spans": True}})
    yield captured
    instrumentation.uninstall()


@pytest.mark.parametrize("dialect", SYNC)
def test_setting_brings_the_drivers_spans_below_the_statements(
    with_driver_spans: Captured, request: pytest.FixtureRequest, dialect: str
) -> None:
    use_sync(url(request, dialect, SYNC[dialect]))
    check_driver_spans(with_driver_spans)


@pytest.mark.parametrize("dialect", ASYNC)
def test_setting_brings_the_spans_of_async_drivers_too(
    with_driver_spans: Captured, request: pytest.FixtureRequest, dialect: str
) -> None:
    use_async(url(request, dialect, ASYNC[dialect]))
    check_driver_spans(with_driver_spans)


def check_driver_spans(captured: Captured) -> None:
    spans = captured.spans(SpanKind.CLIENT)
    statements = {
        span.context.span_id: (span.attributes or {}).get("db.operation.name")
        for span in spans
        if span.context and span.instrumentation_scope and span.instrumentation_scope.name == OURS
    }
    assert list(statements.values()) == STATEMENTS
    below = [
        (span.attributes or {}).get("db.operation.name")
        for span in spans
        if span.parent is not None and span.parent.span_id in statements
    ]
    assert below == STATEMENTS


def test_statement_with_two_spans_is_measured_once(with_driver_spans: Captured) -> None:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        connection.exec_driver_sql("EXPLAIN SELECT 1")
    engine.dispose()
    assert operations(with_driver_spans) == ["EXPLAIN", "EXPLAIN"]
    assert [count for name, count in measured(with_driver_spans, "sqlite") if name == "EXPLAIN"] == [1]


ARMED_OFTEN = """
from otel_kpi.instrumentation.databases.silence import release_drivers, silence_drivers
for _ in range(20):
    silence_drivers()
    release_drivers()
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_ss_cursor as cursor
assert not hasattr(cursor.fetchall, "__wrapped__")
for _ in range(20):
    silence_drivers()
    assert not hasattr(cursor.fetchall.__wrapped__, "__wrapped__")
    release_drivers()
assert not hasattr(cursor.fetchall, "__wrapped__")
"""


def test_who_arms_and_disarms_often_wraps_a_driver_once() -> None:
    """In a process of its own, where the adapter is imported late."""
    subprocess.run([sys.executable, "-c", ARMED_OFTEN], check=True, timeout=60)
