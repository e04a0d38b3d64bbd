"""aiohttp: one client span for each request."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import aiohttp
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
    async def fetch() -> int:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            await response.read()
            return response.status

    return asyncio.run(fetch())


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
    with pytest.raises(aiohttp.ClientError):
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
    with pytest.raises(aiohttp.ClientError):
        get("http://127.0.0.2:1/")
    assert attributes(captured.span(SpanKind.CLIENT))["error.type"] == "ClientConnectorError"
    assert failures() - before == {"ClientConnectorError": 1}
    with suppress_instrumentation(), pytest.raises(aiohttp.ClientError):
        get("http://127.0.0.2:1/")
    get(f"{server.url}/path")
    assert failures() - before == {"ClientConnectorError": 1}


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


def test_redirect_is_one_span_of_the_request(captured: Captured, server: HttpServer) -> None:
    get(f"{server.url}/redirect")
    span = captured.span(SpanKind.CLIENT)
    assert attributes(span)["http.response.status_code"] == 200
    assert {request.span_id for request in server.seen} == set(span_ids([span]))
