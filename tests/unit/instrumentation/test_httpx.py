"""httpx and httpx2: one client span for each request, sync and async."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from support.http_server import http_server

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured
    from support.http_server import HttpServer


httpx: Any = None


@pytest.fixture(autouse=True, params=["httpx", "httpx2"])
def _library(request: pytest.FixtureRequest) -> None:
    """The two have one API, and a row each."""
    global httpx
    httpx = pytest.importorskip(request.param)


@pytest.fixture
def server() -> Iterator[HttpServer]:
    with http_server() as started:
        yield started


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def span_ids(spans: list[ReadableSpan]) -> list[str]:
    return [f"{span.context.span_id:016x}" for span in spans if span.context is not None]


STABLE = {"http.request.method": "GET", "http.response.status_code": 200}


def get(url: str) -> int:
    with httpx.Client() as client:
        return client.get(url).status_code


def test_request_is_one_client_span_whose_trace_goes_on_the_wire(
    captured: Captured, server: HttpServer
) -> None:
    get(f"{server.url}/path")
    span = captured.span(SpanKind.CLIENT)
    assert span.name == "GET"
    assert attributes(span) | STABLE == attributes(span)
    assert attributes(span)["url.full"] == f"{server.url}/path"
    assert (attributes(span)["server.address"], attributes(span)["server.port"]) == ("127.0.0.1", server.port)
    assert [request.span_id for request in server.seen] == span_ids([span])


def test_answer_that_says_no_is_an_error_with_its_status(captured: Captured, server: HttpServer) -> None:
    get(f"{server.url}/missing")
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert (attributes(span)["http.response.status_code"], attributes(span)["error.type"]) == (404, "404")


def test_refused_connection_reaches_the_caller_and_is_an_error(captured: Captured) -> None:
    with pytest.raises(httpx.ConnectError):
        get("http://127.0.0.1:1/")
    span = captured.span(SpanKind.CLIENT)
    assert span.status.status_code is StatusCode.ERROR
    assert "http.response.status_code" not in attributes(span)


def test_request_without_an_answer_is_measured_with_its_error(captured: Captured, server: HttpServer) -> None:
    def failures() -> Counter[Any]:
        points = captured.points("http.client.request.duration")
        return Counter(
            {
                point.attributes["error.type"]: point.count
                for point in points
                if point.attributes["server.address"] == "127.0.0.2"
            }
        )

    before = failures()
    with pytest.raises(httpx.ConnectError):
        get("http://127.0.0.2:1/")
    assert attributes(captured.span(SpanKind.CLIENT))["error.type"] == "ConnectError"
    assert failures() - before == {"ConnectError": 1}
    with suppress_instrumentation(), pytest.raises(httpx.ConnectError):
        get("http://127.0.0.2:1/")
    get(f"{server.url}/path")
    assert failures() - before == {"ConnectError": 1}


def test_asynchronous_request_without_an_answer_is_measured_too(captured: Captured) -> None:
    async def fetch() -> None:
        async with httpx.AsyncClient() as client:
            await client.get("http://127.0.0.3:1/")

    with pytest.raises(httpx.ConnectError):
        asyncio.run(fetch())
    points = [
        point.attributes
        for point in captured.points("http.client.request.duration")
        if point.attributes["server.address"] == "127.0.0.3"
    ]
    assert points == [
        {
            "http.request.method": "GET",
            "server.address": "127.0.0.3",
            "server.port": 1,
            "error.type": "ConnectError",
        }
    ]


def test_silence_holds_for_the_calls_of_exporters(captured: Captured, server: HttpServer) -> None:
    with suppress_instrumentation():
        get(f"{server.url}/path")
    assert captured.spans() == []
    assert [request.traceparent for request in server.seen] == [""]


def test_uninstrumented_client_is_as_it_was(captured: Captured, server: HttpServer) -> None:
    instrumentation.uninstall()
    get(f"{server.url}/path")
    assert captured.spans() == []
    assert [request.traceparent for request in server.seen] == [""]


def test_asynchronous_request_is_the_same(captured: Captured, server: HttpServer) -> None:
    async def fetch() -> None:
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(client.get(f"{server.url}/path") for _ in range(3)))

    asyncio.run(fetch())
    spans = captured.spans(SpanKind.CLIENT)
    assert sorted(span_ids(spans)) == sorted(request.span_id for request in server.seen)
    assert len(spans) == 3


def test_each_step_of_a_redirect_is_a_span(captured: Captured, server: HttpServer) -> None:
    with httpx.Client(follow_redirects=True) as client:
        client.get(f"{server.url}/redirect")
    spans = captured.spans(SpanKind.CLIENT)
    assert [attributes(span)["http.response.status_code"] for span in spans] == [302, 200]
    assert [request.span_id for request in server.seen] == span_ids(spans)


def test_streamed_body_arrives_whole(captured: Captured, server: HttpServer) -> None:
    with httpx.Client() as client, client.stream("GET", f"{server.url}/stream") as response:
        assert b"".join(response.iter_bytes(2)) == b"fourmore"
    assert len(captured.spans(SpanKind.CLIENT)) == 1
