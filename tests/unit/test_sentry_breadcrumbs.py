"""Client spans as breadcrumbs."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind, Status, StatusCode
from support.pace import best, slowdown

from otel_kpi.sentry.breadcrumbs import SpanBreadcrumbs, written
from otel_kpi.sentry.links import CRUMB_SPAN, CRUMB_TRACE, Linker


def crumbs_of(kind: SpanKind, attributes: dict[str, Any], *, failed: bool = False) -> list[Any]:
    left: list[Any] = []
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SpanBreadcrumbs(left.append))
    with provider.get_tracer("t").start_as_current_span("a name", kind=kind, attributes=attributes) as span:
        if failed:
            span.set_status(Status(StatusCode.ERROR))
    return left


@pytest.mark.parametrize(
    ("kind", "attributes", "expected"),
    [
        (
            SpanKind.CLIENT,
            {"http.request.method": "GET", "url.full": "http://a/b", "http.response.status_code": 404},
            {
                "category": "http",
                "type": "http",
                "data": {"method": "GET", "url": "http://a/b", "status_code": 404},
            },
        ),
        (
            SpanKind.CLIENT,
            {"http.method": "GET", "http.url": "http://a/b", "http.status_code": 404},
            {
                "category": "http",
                "type": "http",
                "data": {"method": "GET", "url": "http://a/b", "status_code": 404},
            },
        ),
        (
            SpanKind.CLIENT,
            {"db.system.name": "redis", "db.query.text": "GET a"},
            {"category": "query", "type": "query", "message": "GET a", "data": {"db.system.name": "redis"}},
        ),
        (
            SpanKind.CLIENT,
            {"db.system": "redis", "db.statement": "x" * 5000},
            {"category": "query", "type": "query", "message": "x" * 1024, "data": {"db.system": "redis"}},
        ),
        (
            SpanKind.PRODUCER,
            {"messaging.system": "kafka", "messaging.destination.name": "orders"},
            {
                "category": "queue",
                "message": "a name",
                "data": {"messaging.system": "kafka", "messaging.destination.name": "orders"},
            },
        ),
        (SpanKind.CLIENT, {}, {"category": "client", "message": "a name", "data": {}}),
    ],
)
def test_call_is_told_in_sentrys_words(
    kind: SpanKind, attributes: dict[str, Any], expected: dict[str, Any]
) -> None:
    (crumb,) = crumbs_of(kind, attributes)
    told = written(crumb)
    assert told.pop("timestamp").tzinfo is not None
    assert told["data"].pop("duration_ms") >= 0
    assert told == {"level": "info", **expected}


def test_failed_call_is_an_error_and_spans_of_ones_own_are_none() -> None:
    (crumb,) = crumbs_of(SpanKind.CLIENT, {}, failed=True)
    assert written(crumb)["level"] == "error"
    for kind in (SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CONSUMER):
        assert crumbs_of(kind, {}) == []


def test_breadcrumb_is_written_for_the_event_of_its_trace_only() -> None:
    (crumb,) = crumbs_of(SpanKind.CLIENT, {})
    asked: list[Any] = []

    def write(each: dict[str, Any]) -> dict[str, Any]:
        asked.append(each)
        return written(each)

    linker = Linker(write=write)
    provider = TracerProvider(shutdown_on_exit=False)
    with provider.get_tracer("t").start_as_current_span("of another trace"):
        other = linker.link({"breadcrumbs": {"values": [crumb]}}, {})
    assert other is not None
    assert other["breadcrumbs"]["values"] == asked == []
    event = linker.link({"breadcrumbs": {"values": [crumb]}}, {})
    assert event is not None
    (told,) = event["breadcrumbs"]["values"]
    assert told["message"] == "a name"
    assert not {CRUMB_SPAN, CRUMB_TRACE} & set(told)


def test_breadcrumb_costs_a_request_without_errors_little() -> None:
    """The figure is 4 µs for a client span; asserted at three times that."""

    def cost(provider: TracerProvider) -> float:
        tracer = provider.get_tracer("t")
        return best(lambda: tracer.start_span("s", kind=SpanKind.CLIENT).end())

    left: list[Any] = []
    bare, leaving = TracerProvider(shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    leaving.add_span_processor(SpanBreadcrumbs(left.append))
    assert cost(leaving) - cost(bare) < 12e-6 * slowdown()
