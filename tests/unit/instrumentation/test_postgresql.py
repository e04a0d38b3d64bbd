"""Statements on a real PostgreSQL by each driver: one client span each, and none for what drivers do beside."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured


def _program(name: str) -> str | None:
    """Debian keeps the server's programs off the path."""
    found = shutil.which(name)
    candidates = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return found or (str(candidates[-1]) if candidates else None)


INITDB, PG_CTL = _program("initdb"), _program("pg_ctl")

pytestmark = pytest.mark.skipif(INITDB is None or PG_CTL is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`user:password@host:port/database` of a server that ends with the module."""
    directory = tmp_path_factory.mktemp("postgresql")
    # The server refuses to run as root, and its user must reach the directory.
    options: dict[str, Any] = (
        {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    )
    if options:
        shutil.chown(directory, "nobody")
        for parent in (directory, *directory.parents[:2]):
            parent.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = str(directory / "data")
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "timeout": 60, "cwd": directory}
    subprocess.run(
        [str(INITDB), "-D", data, "-A", "trust", "-U", "clerk", "-N"], check=True, **quiet, **options
    )
    settings = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
    log = str(directory / "log")
    subprocess.run(
        [str(PG_CTL), "-D", data, "-o", settings, "-l", log, "-w", "start"], check=True, **quiet, **options
    )
    try:
        yield f"clerk:hunter2@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([str(PG_CTL), "-D", data, "-m", "immediate", "stop"], check=True, **quiet, **options)


STATEMENTS = ["CREATE", "INSERT", "SELECT", "INSERT"]


def assert_statements(captured: Captured, address: str) -> None:
    spans = captured.spans(SpanKind.CLIENT)
    attributes = [dict(span.attributes or {}) for span in spans]
    assert [each["db.operation.name"] for each in attributes] == STATEMENTS
    everywhere = {
        "db.system.name": "postgresql",
        "db.namespace": "postgres",
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
