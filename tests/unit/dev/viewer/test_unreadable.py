"""Where a Jaeger or a store cannot be read there is a page that says what to do, and never an error of ours."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from starlette.testclient import TestClient
from support.dev import samples
from support.dev.asked import ADDRESS
from support.dev.served import served

from otel_kpi.dev.app import make_app
from otel_kpi.dev.jaeger_client import JaegerTraces
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.stores import ReadStore
from otel_kpi.dev.views import TraceQuery

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

PAGES = (
    "/traces",
    "/traces?service=shop",
    "/traces/" + "a" * 32,
    f"/compare?a={'a' * 32}&b={'b' * 32}",
    "/map",
)
APIS = ("/api/services", "/api/v3/services", "/api/kpi/services", "/api/traces?service=shop")
HTML = b"<!doctype html><title>Something else</title>"


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Generator[str]:
    """A server with one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


@contextlib.contextmanager
def asking(url: str, *, seconds: float = 10.0) -> Generator[TestClient]:
    dev = Dev(JaegerTraces(url, seconds=seconds), address=ADDRESS)
    with TestClient(make_app(dev), base_url=ADDRESS, follow_redirects=False) as client:
        yield client


def told(client: TestClient, *words: str) -> None:
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code == 502, (path, answer.text)
        assert "<h1>Jaeger cannot be asked</h1>" in answer.text
        for word in words:
            assert word in answer.text, (path, answer.text)
    for path in APIS:
        answer = client.get(path)
        assert answer.status_code == 502, path
        assert words[0] in str(answer.json())


def test_a_jaeger_that_is_away() -> None:
    with asking("http://127.0.0.1:1") as client:
        told(client, "http://127.0.0.1:1 is not reachable: ", "Is it running", "Try again")


def test_a_jaeger_that_does_not_answer_in_time() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        asking(f"http://127.0.0.1:{listener.getsockname()[1]}", seconds=0.05) as client,
    ):
        told(client, "does not answer within 0.05 s", "less time")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, HTML, ("is no API of a Jaeger: it answers 200 and no JSON", "Look at the port")),
        (404, b"404 page not found", ("is no API of a Jaeger: it answers 404", "Look at the port")),
        (503, b"upstream connect error", ("answers 503: it does not say why", "Its own log")),
        (500, b'{"errors":[{"code":500,"msg":"no <b>shards</b>"}]}', ("answers 500: no ", "Its own log")),
        (401, b"who are you?", ("answers 401: it asks who you are", "http://NAME:PASSWORD@HOST")),
        (200, b"[1, 2]", ("is no API of a Jaeger", "Look at the port")),
        (200, b'{"data": 7, "result": [], "summaries": 1}', ("it answers something else", "Look at the port")),
        (200, b'{"data": [{"traceID": 1}], "result": {"resourceSpans": 3}}', ()),
        (200, b'{"data": [{"spans": [{}]}], "summaries": [{"traceId": null}], "result": {"resourceSpans": [5]}}', ()),
    ],
)  # fmt: skip
def test_what_is_no_jaeger_or_fails(status: int, body: bytes, words: tuple[str, ...]) -> None:
    with answering(status, body) as url, asking(url) as client:
        if words:
            told(client, *words)
        for path in (*PAGES, *APIS):
            answer = client.get(path)
            assert answer.status_code in {200, 404, 502}, path
            assert "<b>" not in answer.text or not path.startswith("/traces")


def test_a_password_of_the_address_is_used_and_never_shown() -> None:
    with answering(500, b"{}") as url, asking(url.replace("//", "//me:secret%40@")) as client:
        assert "secret" not in client.get("/traces").text
    seen: list[str] = []

    def once(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            seen.append(connection.recv(4096).decode())
            connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"data":[]}')

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=once, args=(listener,), daemon=True)
        thread.start()
        JaegerTraces(f"http://me:secret%40@127.0.0.1:{listener.getsockname()[1]}").services()
        thread.join(10)
    assert "authorization: basic bwu6c2vjcmv0qa==" in seen[0].lower()


def test_pages_of_a_jaeger_that_answers_are_drawn(tmp_path: Path) -> None:
    """Our own API stands for Jaeger's; against a real one this is tested in tests/stack."""
    with served(tmp_path / "dev.db") as theirs:
        for request in samples.requests(60):
            theirs.store.write([request])
        ids = [each.trace_id for each in theirs.dev.traces.search(TraceQuery(limit=10)).traces[:2]]
        with asking(theirs.url) as client:
            for path in ("/traces", f"/traces/{ids[0]}", f"/compare?a={ids[0]}&b={ids[1]}", "/map"):
                answer = client.get(path)
                assert answer.status_code == 200, path
                assert "gateway" in answer.text or "orders" in answer.text, path
            assert client.get("/").headers["location"] == "/traces"
            assert client.get(f"/traces/{'e' * 32}").status_code == 404
            for path in (
                "/llm",
                "/pipelines",
                "/errors",
                "/instruments",
                "/logs",
                "/telemetry",
                "/metrics",
                "/help",
            ):
                assert client.get(path).status_code < 500, path


def test_a_store_that_is_damaged_is_told_on_its_pages(tmp_path: Path) -> None:
    path = tmp_path / "dev.db"
    store = Store(path)
    for request in samples.requests(60):
        store.write([request])
    store.close()
    with path.open("r+b") as file:  # all but the header, and what SQLite looks at first
        file.seek(8192)
        file.write(b"\x55" * (path.stat().st_size - 8192))
    looked_at = ReadStore(path)
    dev = Dev(StoredTraces(looked_at), looked_at, address=ADDRESS)
    with contextlib.closing(looked_at), TestClient(make_app(dev), base_url=ADDRESS) as client:
        for page in ("/", "/traces", "/map", "/llm", "/errors", "/logs", "/telemetry"):
            answer = client.get(page)
            assert answer.status_code == 503, page
            assert "<h1>The store cannot be read</h1>" in answer.text
            assert "is damaged" in answer.text
            assert "start again" in answer.text
        assert "is damaged" in client.get("/api/v3/services").json()["error"]["message"]


def test_a_fault_of_ours_is_not_put_on_the_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "dev.db")
    dev = Dev(StoredTraces(store), store, address=ADDRESS)
    with contextlib.closing(store), TestClient(make_app(dev), base_url=ADDRESS) as client:
        store._connection.execute("ALTER TABLE service RENAME TO another")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            client.get("/api/services")
