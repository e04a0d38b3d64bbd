"""Statements on a real PostgreSQL under SQLAlchemy: what a span says, and none for what drivers do beside."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from support.captured import Captured
    from support.servers import Server


@pytest.fixture
def address(postgresql: Server) -> str:
    """`user:password@host:port/database`."""
    return postgresql.address


STATEMENTS = ["CREATE", "INSERT", "SELECT", "INSERT"]


def assert_statements(captured: Captured, address: str) -> None:
    spans = captured.spans(SpanKind.CLIENT)
    attributes = [dict(span.attributes or {}) for span in spans]
    assert [each["db.operation.name"] for each in attributes] == STATEMENTS
    everywhere = {
        "db.system.name": "postgresql",
        "db.namespace": "shop",
        "server.address": "127.0.0.1",
        "server.port": int(address.rpartition(":")[2].partition("/")[0]),
    }
    assert all(each.items() >= everywhere.items() for each in attributes)
    assert attributes[-1]["db.response.status_code"] == "23505"
    assert spans[-1].status.status_code is StatusCode.ERROR
    assert spans[-1].status.description == ('duplicate key value violates unique constraint "items_pkey"')
    assert all("hunter2" not in span.to_json() and "clerk" not in span.to_json() for span in spans)


@pytest.mark.parametrize("driver", ["asyncpg", "psycopg"])
def test_async_statements_pages_and_transactions(captured: Captured, address: str, driver: str) -> None:
    async def run() -> int:
        engine = create_async_engine(f"postgresql+{driver}://{address}", pool_pre_ping=True)
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TEMPORARY TABLE items (id int PRIMARY KEY)"))
            await connection.execute(text("INSERT INTO items VALUES (:id)"), [{"id": 1}, {"id": 2}])
            rows = await connection.stream(
                text("SELECT generate_series(1, 200)").execution_options(yield_per=20)
            )
            count = len([row async for row in rows])
            with pytest.raises(IntegrityError):
                await connection.execute(text("INSERT INTO items VALUES (1)"))
            await connection.rollback()
        await engine.dispose()
        return count

    assert asyncio.run(run()) == 200
    assert_statements(captured, address)


def test_sync_statements_pages_and_transactions(captured: Captured, address: str) -> None:
    engine = create_engine(f"postgresql+psycopg://{address}", pool_pre_ping=True)
    with engine.begin() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE items (id int PRIMARY KEY)"))
        connection.execute(text("INSERT INTO items VALUES (:id)"), [{"id": 1}, {"id": 2}])
        rows = connection.execute(
            text("SELECT generate_series(1, 200)").execution_options(stream_results=True)
        )
        assert len(rows.all()) == 200
        with pytest.raises(IntegrityError):
            connection.execute(text("INSERT INTO items VALUES (1)"))
        connection.rollback()
    engine.dispose()
    assert_statements(captured, address)
