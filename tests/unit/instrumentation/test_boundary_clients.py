"""Clients under instrumentors that are broken: an answer, an error and what the other side got are as without them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import redis
import redis.asyncio
from aiohttp import web
from support.faults import Faults, Outcome, lines, outcome, state
from support.http_server import http_server

from otel_kpi import instrumentation
from otel_kpi.instrumentation.boundary import MOST_ERRORS, Boundary

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.servers import Server


def assert_gone_past(
    name: str,
    calls: Callable[[], list[Outcome]],
    faults: Faults,
    fault: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What the application sees stays as it is while the instrumentor breaks, and when it is off."""
    expected = calls()
    faults.armed = fault
    for _ in range(MOST_ERRORS):
        assert calls() == expected
    assert faults.raised >= MOST_ERRORS, "nothing broke"
    assert (state(name).state, state(name).errors) == ("off", MOST_ERRORS)
    raised = faults.raised
    assert calls() == expected
    assert faults.raised == raised
    assert len(lines(caplog, name)) == 2


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end"])
def test_redis_answers(
    fault: str, faults: Faults, redis_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    instrumentation.install()

    def calls() -> list[Outcome]:
        with redis.Redis(redis_server.host, redis_server.port, db=5) as made:
            client: Any = made  # its types leave open whether it is a coroutine
            client.delete("stock")
            return [
                outcome(lambda: client.incr("stock")),
                outcome(lambda: client.pipeline().incr("stock").get("stock").execute()),
                outcome(lambda: client.lpush("stock", "a")),
                outcome(lambda: client.execute_command("NONSENSE")),
            ]

    assert_gone_past("redis", calls, faults, fault, caplog)


@pytest.mark.parametrize("fault", ["sampler", "on_end"])
def test_redis_answers_a_coroutine(
    fault: str, faults: Faults, redis_server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    instrumentation.install()

    async def count() -> Any:
        made = redis.asyncio.Redis(host=redis_server.host, port=redis_server.port, db=6)
        async with made:
            client: Any = made
            await client.delete("stock")
            return await client.incr("stock"), await client.pipeline().get("stock").execute()

    assert_gone_past("redis", lambda: [outcome(lambda: asyncio.run(count()))], faults, fault, caplog)


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end"])
def test_statement_under_upstreams_dbapi_gives_its_rows_and_errors(fault: str, faults: Faults) -> None:
    """The application called upstream's instrumentor of a driver."""
    instrumentation.install()
    from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor

    SQLite3Instrumentor().instrument()
    boundary = Boundary("sqlite3")
    try:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:

            def calls() -> list[Outcome]:
                cursor = connection.cursor()
                return [
                    outcome(lambda: cursor.execute("SELECT 41 + ?", (1,)).fetchall()),
                    outcome(lambda: cursor.execute("SELECT * FROM nothing")),
                    outcome(lambda: cursor.executemany("INSERT INTO nothing VALUES (?)", [(1,)])),
                ]

            expected = calls()
            faults.armed = fault
            for _ in range(MOST_ERRORS):
                assert calls() == expected
    finally:
        SQLite3Instrumentor().uninstrument()
    assert (boundary.open, boundary.errors) == (False, MOST_ERRORS)


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end", "inject"])
def test_request_of_aiohttp_is_answered(fault: str, faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    instrumentation.install()

    async def get(url: str) -> tuple[int, bytes]:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return response.status, await response.read()

    with http_server() as server:
        assert_gone_past(
            "aiohttp-client",
            lambda: [
                outcome(lambda: asyncio.run(get(f"{server.url}/path"))),
                outcome(lambda: asyncio.run(get("http://127.0.0.1:1/"))),
            ],
            faults,
            fault,
            caplog,
        )


@pytest.mark.parametrize("fault", ["sampler", "on_start", "on_end", "extract"])
def test_request_to_aiohttp_is_answered_by_the_application(
    fault: str, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    instrumentation.install()
    handled: list[str] = []

    async def handle(request: web.Request) -> web.Response:
        handled.append(request.path)
        if request.path == "/error":
            raise LookupError("the application's own")
        if request.path == "/away":
            raise web.HTTPFound("/")
        return web.Response(text="here")

    async def request(path: str) -> tuple[int, str]:
        application = web.Application()
        application.router.add_get("/{name}", handle)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        # No instrumented client: its errors are another test.
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
        answer = (await reader.read()).decode()
        writer.close()
        await runner.cleanup()
        return int(answer.split()[1]), answer.rpartition("\r\n\r\n")[2]

    paths = ("/ok", "/error", "/away")
    assert_gone_past(
        "aiohttp-server",
        lambda: [outcome(lambda: asyncio.run(request(path))) for path in paths],  # noqa: B023 - called at once
        faults,
        fault,
        caplog,
    )
    assert len(handled) % len(paths) == 0
    assert len(set(handled)) == len(paths)
    assert all(handled.count(path) == len(handled) // len(paths) for path in paths), "handled twice"
