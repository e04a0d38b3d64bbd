"""urllib3: one client span for each request of the application, and none under another client."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import urllib3
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from support.http_server import http_server
from urllib3.util import Retry

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


def get(url: str, *, retries: Retry | bool | None = None) -> int:
    with urllib3.PoolManager() as pool:
        return pool.request("GET", url, retries=retries, timeout=5).status


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
    with pytest.raises(urllib3.exceptions.HTTPError):
        get("http://127.0.0.1:1/", retries=False)
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
    with pytest.raises(urllib3.exceptions.HTTPError):
        get("http://127.0.0.2:1/", retries=False)
    assert attributes(captured.span(SpanKind.CLIENT))["error.type"] == "NewConnectionError"
    assert failures() - before == {"NewConnectionError": 1}
    with suppress_instrumentation(), pytest.raises(urllib3.exceptions.HTTPError):
        get("http://127.0.0.2:1/", retries=False)
    get(f"{server.url}/path")
    assert failures() - before == {"NewConnectionError": 1}


def test_failure_after_retries_is_measured_once(captured: Captured) -> None:
    with pytest.raises(urllib3.exceptions.MaxRetryError):
        get("http://127.0.0.4:1/", retries=Retry(2, backoff_factor=0))
    [point] = [
        point
        for point in captured.points("http.client.request.duration")
        if point.attributes["server.address"] == "127.0.0.4"
    ]
    assert (point.count, point.attributes["error.type"]) == (1, "MaxRetryError")


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


def test_each_step_of_a_redirect_is_a_span_and_retries_are_one(
    captured: Captured, server: HttpServer
) -> None:
    get(f"{server.url}/redirect")
    get(f"{server.url}/once", retries=Retry(2, status_forcelist=[503]))
    spans = captured.spans(SpanKind.CLIENT)
    assert [attributes(span)["http.response.status_code"] for span in spans] == [302, 200, 200]
    first, second, third = span_ids(spans)
    assert [request.span_id for request in server.seen] == [first, second, third, third]


def test_streamed_body_arrives_whole(captured: Captured, server: HttpServer) -> None:
    with urllib3.PoolManager() as pool:
        response = pool.request("GET", f"{server.url}/stream", preload_content=False, timeout=5)
        assert b"".join(response.stream(2)) == b"fourmore"
        response.release_conn()
    assert len(captured.spans(SpanKind.CLIENT)) == 1


def test_span_names_the_port_that_the_scheme_implies(captured: Captured) -> None:
    pool = urllib3.HTTPConnectionPool("127.0.0.2", timeout=5)
    with pytest.raises(urllib3.exceptions.HTTPError):
        pool.request("GET", "/", retries=False)
    pool.close()
    span = captured.span(SpanKind.CLIENT)
    assert (attributes(span)["server.address"], attributes(span)["server.port"]) == ("127.0.0.2", 80)
