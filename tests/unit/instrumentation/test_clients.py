"""Upstream's HTTP clients and the drivers under SQLAlchemy: one client span for what the application did once."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import aiosqlite
import httpx
import pytest
import requests
import urllib3
from opentelemetry import trace
from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.captured import Captured


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """A real server: its address, and the `traceparent` headers that it got."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("traceparent", ""))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}/path", seen
        finally:
            http.shutdown()
            thread.join()


def with_requests(url: str) -> None:
    with requests.Session() as session:
        session.get(url, timeout=5)


def with_urllib3(url: str) -> None:
    with urllib3.PoolManager() as pool:
        pool.request("GET", url)


def with_httpx(url: str) -> None:
    with httpx.Client() as client:
        client.get(url)


def with_async_httpx(url: str) -> None:
    async def get() -> None:
        async with httpx.AsyncClient() as client:
            await client.get(url)

    asyncio.run(get())


@pytest.mark.parametrize("call", [with_requests, with_urllib3, with_httpx, with_async_httpx])
def test_call_is_one_client_span_whose_trace_goes_on_the_wire(
    captured: Captured, server: tuple[str, list[str]], call: object
) -> None:
    url, seen = server
    assert callable(call)
    with trace.get_tracer("test").start_as_current_span("request"):
        call(url)
    span = captured.span(SpanKind.CLIENT)
    assert span.name == "GET"
    attributes = dict(span.attributes or {})
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.response.status_code"] == 200
    assert attributes["url.full"] == url
    assert span.context is not None
    [traceparent] = seen
    assert traceparent.startswith(f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-")


def test_statement_of_a_bare_driver_is_one_client_span(captured: Captured) -> None:
    connection = sqlite3.connect(":memory:")
    connection.cursor().execute("SELECT 1").fetchall()
    connection.close()
    span = captured.span(SpanKind.CLIENT)
    assert (span.attributes or {})["db.query.text"] == "SELECT 1"


def test_statement_in_aiosqlites_thread_has_the_callers_parent(captured: Captured, tmp_path: Path) -> None:
    async def run() -> int:
        async with aiosqlite.connect(tmp_path / "shop.db") as connection:
            with trace.get_tracer("test").start_as_current_span("request") as request:
                cursor = await connection.cursor()
                await cursor.execute("SELECT 1")
                return request.get_span_context().span_id

    parent = asyncio.run(run())
    span = captured.span(SpanKind.CLIENT)
    assert span.parent is not None
    assert span.parent.span_id == parent
