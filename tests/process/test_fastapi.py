"""A FastAPI application under uvicorn: one SERVER span a request, its statement inside, its records with both."""

from __future__ import annotations

import http.client
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.children import INSTRUMENT, RUN, environment, free_port, get, run, running, stop
from support.receiver import Received, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parents[1]
SERVER_KIND, CLIENT_KIND = 2, 3


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def of_kind(receiver: Receiver, kind: int) -> list[Received]:
    return [span for span in receiver.spans if span.item.kind == kind]


def trace_ids(items: list[Received]) -> list[str]:
    return [item.item.trace_id.hex() for item in items]


@pytest.mark.parametrize("launcher", [INSTRUMENT, RUN], ids=["opentelemetry-instrument", "otel-kpi run"])
def test_requests_on_one_connection_are_traces_of_their_own(
    receiver: Receiver, launcher: tuple[str, ...]
) -> None:
    """Each in the trace that came in, with its statement and its log records, none the child of an earlier one."""
    port = free_port()
    command = [*launcher, "uvicorn", "--port", str(port), "apps.shop:app"]
    incoming = [f"{number:032x}" for number in range(1, 11)]
    with running(command, environment(receiver.url), TESTS) as process:
        assert get(f"http://127.0.0.1:{port}/health") == 200
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        for number, trace_id in enumerate(incoming):
            path = f"/items/{number}" if number % 2 else f"/api/items/{number}"
            connection.request("GET", path, headers={"traceparent": f"00-{trace_id}-{1:016x}-01"})
            response = connection.getresponse()
            assert response.status == 200
            response.read()
        connection.request("GET", "/boom")
        assert connection.getresponse().status == 500
        connection.close()
        output = stop(process)
    servers = of_kind(receiver, SERVER_KIND)
    assert trace_ids(servers)[:10] == incoming
    assert [span.item.name for span in servers] == [
        "GET /api/items/{item_id}",
        "GET /items/{item_id}",
    ] * 5 + ["GET /boom"]
    assert len(receiver.spans) == 11 + 10
    statements = of_kind(receiver, CLIENT_KIND)
    assert sorted(trace_ids(statements)) == incoming
    parents = {span.item.span_id for span in servers}
    assert {span.item.parent_span_id for span in statements} <= parents
    assert_error(servers[-1])
    assert_logs(receiver, incoming)
    durations = [point for point in receiver.points if point.metric == "http.server.request.duration"]
    assert {point.attributes["http.route"] for point in durations} == {
        "/items/{item_id}",
        "/api/items/{item_id}",
        "/boom",
    }
    assert "not instrumented" not in output


def assert_error(span: Received) -> None:
    assert span.item.status.code == 2
    [event] = span.item.events
    attributes: dict[str, Any] = Received(event, {}, "").attributes
    assert attributes["exception.type"] == "LookupError"


def assert_logs(receiver: Receiver, incoming: list[str]) -> None:
    application = [log for log in receiver.logs if log.scope == "shop"]
    assert trace_ids(application) == incoming
    access = [log for log in receiver.logs if log.scope == "uvicorn.access"]
    assert len(access) == 12  # the probe and the error too
    errors = [
        log for log in receiver.logs if log.scope == "uvicorn.error" and "exception.type" in log.attributes
    ]
    assert [log.attributes["exception.type"] for log in errors] == ["LookupError"]


@pytest.mark.parametrize("disabled", ["fastapi", "*"])
def test_fastapi_that_is_disabled_here_is_left_to_its_own_telemetry(
    receiver: Receiver, disabled: str
) -> None:
    """Since 0.165 FastAPI speaks for itself where providers are configured and upstream's middleware is not."""
    pytest.importorskip("fastapi.telemetry", reason="older than FastAPI's own telemetry")
    port = free_port()
    trace_id = f"{7:032x}"
    env = environment(receiver.url, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled)
    with running([*RUN, "uvicorn", "--port", str(port), "apps.shop:app"], env, TESTS) as process:
        assert get(f"http://127.0.0.1:{port}/health") == 200
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/items/3", headers={"traceparent": f"00-{trace_id}-{1:016x}-01"})
        assert connection.getresponse().read()
        connection.close()
        output = stop(process)
    servers = of_kind(receiver, SERVER_KIND)
    assert [(span.scope, span.item.name) for span in servers] == [
        ("fastapi", "GET /health"),
        ("fastapi", "GET /items/{item_id}"),
    ]
    assert trace_ids(servers)[1] == trace_id
    assert "otel_kpi" not in output


def test_gunicorn_with_uvicorns_worker_loses_nothing_at_sigterm(receiver: Receiver) -> None:
    """The worker class resets the signals that it inherits, and uvicorn raises SIGTERM again at its end."""
    pytest.importorskip("uvicorn.workers", reason="moved to a package of its own", exc_type=ImportError)
    port = free_port()
    command = [*RUN, "gunicorn", "-k", "uvicorn.workers.UvicornWorker", "--bind", f"127.0.0.1:{port}"]
    env = environment(receiver.url, OTEL_BSP_SCHEDULE_DELAY="60000")
    with running([*command, "apps.shop:app"], env, TESTS) as process:
        for number in range(10):
            assert get(f"http://127.0.0.1:{port}/items/{number}") == 200
        stop(process)
        assert process.returncode == 0
    assert len(of_kind(receiver, SERVER_KIND)) == 10
    assert sum(receiver.counted("http.server.request.duration")) == 10


_NOTEBOOK = """
import threading, time, urllib.request
import sqlalchemy, uvicorn
from fastapi import FastAPI

app = FastAPI()

@app.get("/items/{item_id}")
async def item(item_id: int) -> int:
    return item_id

engine = sqlalchemy.create_engine("sqlite://")
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 0"))

import otel_kpi
otel_kpi.configure(app_name="notebook")

server = uvicorn.Server(uvicorn.Config(app, port=PORT, log_level="warning"))
thread = threading.Thread(target=server.run)
thread.start()
while not server.started:
    time.sleep(0.01)
urllib.request.urlopen("http://127.0.0.1:PORT/items/3").close()
with engine.connect() as connection:
    connection.execute(sqlalchemy.text("SELECT 1"))
server.should_exit = True
thread.join()
"""


def test_configured_in_code_after_everything_was_imported_and_made(
    tmp_path: Path, receiver: Receiver
) -> None:
    """As in a notebook: the application before its first request, the engine even in use."""
    script = tmp_path / "notebook.py"
    script.write_text(_NOTEBOOK.replace("PORT", str(free_port())))
    ended = run([sys.executable, str(script)], environment(receiver.url))
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    # The client has its answer before the server's span ends.
    assert sorted((span.item.name, span.resource["service.name"]) for span in receiver.spans) == [
        ("GET /items/{item_id}", "notebook"),
        ("SELECT", "notebook"),
    ]
