"""What the tests of database drivers ask of the spans and measurements that a driver's statements left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from support.captured import Captured
    from support.servers import Server


def operations(captured: Captured) -> list[Any]:
    """`db.operation.name` of each client span, in the order in which they ended."""
    return [(span.attributes or {}).get("db.operation.name") for span in captured.spans(SpanKind.CLIENT)]


def texts(captured: Captured) -> list[Any]:
    return [(span.attributes or {}).get("db.query.text") for span in captured.spans(SpanKind.CLIENT)]


def assert_all_of(captured: Captured, system: str, server: Server | None, namespace: str) -> None:
    """Every span has the stable names, none the former ones, and none a password or a user."""
    expected: dict[str, Any] = {"db.system.name": system, "db.namespace": namespace}
    if server is not None:
        expected |= {"server.address": server.host, "server.port": server.port}
    spans = captured.spans()
    assert spans
    for span in spans:
        attributes = dict(span.attributes or {})
        assert span.kind is SpanKind.CLIENT
        assert attributes.items() >= expected.items()
        assert not attributes.keys() & {"db.system", "db.name", "db.statement", "db.user", "net.peer.name"}
        assert "hunter2" not in span.to_json()
        assert "clerk" not in span.to_json()


def assert_failed(span: ReadableSpan, error: str, code: str | None) -> None:
    attributes = dict(span.attributes or {})
    assert span.status.status_code is StatusCode.ERROR
    assert attributes["error.type"] == error
    assert attributes.get("db.response.status_code") == code


def measured(captured: Captured, system: str) -> list[tuple[Any, int]]:
    """`(operation, how often)` of `db.client.operation.duration`, of this system."""
    points = captured.points("db.client.operation.duration")
    return [
        (point.attributes.get("db.operation.name"), point.count)
        for point in points
        if point.attributes["db.system.name"] == system
    ]


def assert_children_of_the_caller(captured: Captured, run: Callable[[], Any]) -> None:
    """Each span of `run` stands directly under the span in which it was called."""
    captured.span_exporter.clear()
    with trace.get_tracer("test").start_as_current_span("caller") as caller:
        run()
    spans = captured.spans(SpanKind.CLIENT)
    assert spans
    for span in spans:
        assert span.parent is not None
        assert span.parent.span_id == caller.get_span_context().span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


def assert_silent_when_disabled(captured: Captured, name: str, run: Callable[[], Any]) -> None:
    """`OTEL_PYTHON_DISABLED_INSTRUMENTATIONS` with this name leaves the library alone; so does `uninstall`."""
    instrumentation.uninstall()
    captured.span_exporter.clear()
    run()
    instrumentation.install(disabled=frozenset({name}))
    run()
    assert captured.spans() == []
    instrumentation.uninstall()
    instrumentation.install()
    run()
    assert captured.spans() != []
