"""Ready-made checks against what they are made for."""

from __future__ import annotations

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from support.children import free_port

from otel_kpi import health as public
from otel_kpi.health.checks.function import check_of
from otel_kpi.health.result import Result, judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.servers import Server

    from otel_kpi.health.declaration import Known
    from otel_kpi.health.registry import Health

    Knows = Callable[[str], Known]


def found(known: Known) -> tuple[str, dict[str, Any], str | None]:
    assert known.outcome is not None
    return known.outcome.result.status, dict(known.outcome.result.details), known.outcome.error


# --- databases


def test_an_engine_is_asked_without_its_pool(health: Health, known: Knows, tmp_path: Path) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    from sqlalchemy.pool import QueuePool

    engine = sqlalchemy.create_engine(
        f"sqlite:///{tmp_path / 'shop.db'}", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=30
    )
    with engine.connect():  # the pool is used up
        health.check("database", engine)
        assert found(known("database")) == ("healthy", {"connected": True}, None)
        assert engine.pool.checkedout() == 1
    assert known("database").declaration.critical
    engine.dispose()


def test_an_async_engine_is_asked_on_another_loop_and_stays_usable(
    health: Health, known: Knows, tmp_path: Path
) -> None:
    asyncio = pytest.importorskip("sqlalchemy.ext.asyncio")
    pytest.importorskip("aiosqlite")
    import asyncio as loops

    from sqlalchemy import text

    engine = asyncio.create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'shop.db'}")

    async def use() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        health.check("database", engine)
        await loops.to_thread(known, "database")
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        await engine.dispose()

    loops.run(use())
    assert found(known("database")) == ("healthy", {"connected": True}, None)


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_password_that_the_application_adds_at_each_connection_is_added(
    health: Health, known: Knows, order: str
) -> None:
    """As tokens of a cloud's databases are: by a listener, whenever it was registered."""
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    engine = sqlalchemy.create_engine(f"postgresql+psycopg://clerk@127.0.0.1:{free_port()}/shop")
    seen: list[dict[str, Any]] = []

    def add_token(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
        seen.append(dict(options))
        options["password"] = "token"

    if order == "before":
        sqlalchemy.event.listen(engine, "do_connect", add_token)
    health.check("database", engine)
    if order == "after":
        sqlalchemy.event.listen(engine, "do_connect", add_token)
    known("database")
    assert seen[-1]["connect_timeout"] == 2
    with pytest.raises(sqlalchemy.exc.OperationalError):
        engine.connect()
    assert "connect_timeout" not in seen[-1], "the application connects as it did"


def test_a_database_that_is_not_there_says_the_exceptions_type_alone(health: Health, known: Knows) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    health.check(
        "database",
        sqlalchemy.create_engine(f"postgresql+psycopg://clerk:hunter2@127.0.0.1:{free_port()}/shop"),
    )
    assert found(known("database")) == ("unhealthy", {}, "OperationalError")
    assert b"hunter2" not in health.answer("full").body
    assert health.answer("ready").status == 503


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_a_database_that_takes_connections_and_says_nothing_is_found_again(
    health: Health, driver: str
) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    pytest.importorskip(driver)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        engine = sqlalchemy.create_engine(f"postgresql+{driver}://clerk:hunter2@127.0.0.1:{port}/shop")
        health.check("database", engine, timeout=0.2, interval=1000)
        health.start()
        deadline = time.monotonic() + 10
        hung = False
        while True:
            known = next(each for each in health.known() if each.declaration.name == "database")
            hung = hung or known.hanging_since is not None
            if hung and known.hanging_since is None:
                break
            assert time.monotonic() < deadline, "it hangs for ever"
            time.sleep(0.05)  # the outcome comes from another thread, and nothing says when
    assert known.status(time.monotonic()) == "unhealthy"


@pytest.mark.proof
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "asyncpg", "psycopg async"])
def test_a_real_database_is_asked_by_each_driver(
    health: Health, known: Knows, postgresql: Server, driver: str
) -> None:
    pytest.importorskip("sqlalchemy")
    name = driver.partition(" ")[0]
    pytest.importorskip(name)
    from sqlalchemy import create_engine
    from sqlalchemy.ext.asyncio import create_async_engine

    make = create_async_engine if driver in {"asyncpg", "psycopg async"} else create_engine
    health.check("database", make(f"postgresql+{name}://{postgresql.address}"), timeout=10)
    assert found(known("database")) == ("healthy", {"connected": True}, None)


# --- Redis


def test_a_redis_is_asked_without_its_clients_pool(
    health: Health, known: Knows, redis_server: Server
) -> None:
    redis = pytest.importorskip("redis")
    client = redis.Redis(port=redis_server.port, max_connections=1)
    held = client.connection_pool.get_connection()
    health.check("redis", client)
    assert found(known("redis")) == ("healthy", {"connected": True, "message": "Redis operational"}, None)
    assert not known("redis").declaration.critical
    client.connection_pool.release(held)
    client.close()


def test_an_async_redis_is_asked_on_another_loop(health: Health, known: Knows, redis_server: Server) -> None:
    redis = pytest.importorskip("redis.asyncio")
    health.check("redis", redis.Redis(port=redis_server.port))
    assert found(known("redis")) == ("healthy", {"connected": True, "message": "Redis operational"}, None)


def test_a_redis_that_does_not_answer_is_given_up(health: Health, known: Knows) -> None:
    redis = pytest.importorskip("redis")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        health.check("redis", redis.Redis(port=silent.getsockname()[1]), timeout=0.2)
        status, _, error = found(known("redis"))
    assert (status, error) == ("unhealthy", "TimeoutError")


# --- addresses


@pytest.fixture
def answering() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers `/<code>` with that code, and what it was sent."""
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(int(self.path[1:]))
            self.send_header("Content-Length", "0")
            self.send_header("Location", "/200")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that it has
            """Keep silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", seen
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("code", "status"), [(200, "healthy"), (302, "healthy"), (404, "unhealthy"), (503, "unhealthy")]
)
def test_an_address_is_judged_by_its_status_code(
    answering: tuple[str, list[dict[str, str]]], code: int, status: str
) -> None:
    result = judged(check_of(f"{answering[0]}/{code}").run(2.0))
    assert result == Result(status, result.details if result else {})  # type: ignore[arg-type] # it is one of them
    assert result is not None
    assert dict(result.details) == {"statusCode": code}
    assert len(answering[1]) == 1, "a redirect is not followed"


def test_an_address_where_nobody_listens_says_nothing_of_itself(health: Health, known: Knows) -> None:
    port = free_port()
    health.check("chat-service", f"http://127.0.0.1:{port}/secret-path")
    assert found(known("chat-service"))[0] == "unhealthy"
    body = health.answer("full").body.decode()
    assert str(port) not in body
    assert "secret-path" not in body
    assert health.answer("ready").status == 200


def test_an_ai_provider_without_a_key_degrades_and_leaves_ready(
    health: Health, known: Knows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    health.check("ai", public.ai_provider("OPENAI_API_KEY"))
    assert found(known("ai"))[:2] == ("unhealthy", {"configured": False, "message": "API key missing"})
    assert health.answer("ready").status == 200


def test_the_key_of_an_ai_provider_is_never_said_and_sent_only_where_asked(
    answering: tuple[str, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, seen = answering
    monkeypatch.setenv("OPENAI_API_KEY", "sk-hunter2")
    plain = public.ai_provider("OPENAI_API_KEY")
    assert plain.run(1.0) == Result("healthy", {"configured": True, "message": "API key configured"})
    without = public.ai_provider("OPENAI_API_KEY", url=f"{base}/401").run(1.0)
    assert (without.status, "authorization" in seen[-1]) == ("healthy", False)
    for code, status in ((200, "healthy"), (401, "unhealthy"), (429, "degraded"), (500, "unhealthy")):
        check = public.ai_provider(
            "OPENAI_API_KEY",
            url=f"{base}/{code}",
            authorization=lambda key: {"Authorization": f"Bearer {key}"},
        )
        result = check.run(1.0)
        assert (result.status, result.details["statusCode"]) == (status, code)
        assert "hunter2" not in str(result)
        assert seen[-1]["authorization"] == "Bearer sk-hunter2"


# --- the machine


def test_memory_processors_and_disk_say_their_figures() -> None:
    memory, cpu, disk = public.memory().run(1.0), public.cpu().run(1.0), public.disk().run(1.0)
    assert set(memory.details) == {"heap", "rss", "usage"}
    assert memory.details["heap"].keys() == {"total", "used", "usage"}
    assert int(memory.details["rss"].removesuffix("MB")) > 10
    assert set(cpu.details) == {"user", "system", "total"}
    assert set(disk.details) == {"total", "free", "usage"}


@pytest.mark.parametrize("make", [public.memory, public.disk])
def test_what_is_used_up_is_graded(make: Callable[..., public.Check]) -> None:
    assert make(degraded=2.0, unhealthy=2.0).run(1.0).status == "healthy"
    assert make(degraded=0.0, unhealthy=2.0).run(1.0).status == "degraded"
    assert make(degraded=0.0, unhealthy=0.0).run(1.0).status == "unhealthy"


def test_a_process_that_works_is_seen_to_work() -> None:
    check = public.cpu(degraded=0.0)
    check.run(1.0)
    before = os.times().user
    while os.times().user < before + 0.05:
        sum(range(1000))
    result = check.run(1.0)
    assert float(result.details["user"].removesuffix("%")) > 5
    assert result.status == "degraded"


def test_a_second_disk_stands_beside_the_first(health: Health, known: Knows, tmp_path: Path) -> None:
    import json

    health.check("volume", public.disk(str(tmp_path)))
    known("volume")
    said = json.loads(health.answer("full").body)
    assert "volume" in said["system"]
    assert str(tmp_path) not in json.dumps(said)
    assert said["services"] == {}


# --- Django


def test_a_database_of_django_is_asked_over_a_connection_of_the_checks_own() -> None:
    pytest.importorskip("django")
    import subprocess
    import sys

    program = """
import django
from django.conf import settings
settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"},
                              "gone": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/nowhere/shop.db"}})
django.setup()
from django.db import connections
from otel_kpi import health
print(health.django_database().run(1.0).details["connected"], connections["default"].connection is None)
try:
    health.django_database("gone").run(1.0)
except Exception as error:
    print(type(error).__name__)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["True", "True", "OperationalError"]
