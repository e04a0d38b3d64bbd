"""Celery in one process: what a publication says, and that its span ends whatever becomes of it.

Workers are in `tests/process/test_celery.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery, signals
from kombu.exceptions import OperationalError
from opentelemetry import context, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import SpanKind, StatusCode
from support.children import free_port

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured


def application(broker: str = "memory://") -> Any:
    app = Celery("shop", broker=broker, set_as_current=False)
    app.conf.task_publish_retry = False
    app.conf.broker_transport_options = {"max_retries": 0}

    def pack(item: int) -> int:
        return item

    def fail() -> None:
        raise ValueError("no stock")

    app.task(name="shop.pack", shared=False)(pack)
    app.task(name="shop.fail", shared=False)(fail)
    return app


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_publication_that_the_broker_refuses_ends_its_span_and_leaves_its_context(captured: Captured) -> None:
    """Upstream's stays open, and current, for good."""
    port = free_port()
    app = application(f"redis://127.0.0.1:{port}/0")
    before = context.get_current()
    with pytest.raises(OperationalError):
        app.tasks["shop.pack"].apply_async((1,))
    assert context.get_current() == before
    span = captured.span(SpanKind.PRODUCER)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"].endswith("OperationalError")
    assert (attributes(span)["messaging.system"], attributes(span)["server.port"]) == ("redis", port)


def test_task_that_this_process_does_not_know_is_published_in_a_span_that_ends(captured: Captured) -> None:
    headers: list[dict[str, Any]] = []

    def see(**signal: Any) -> None:
        headers.append(signal["headers"])

    signals.after_task_publish.connect(see)
    try:
        application().send_task("elsewhere.bill", queue="bills", countdown=5)
    finally:
        signals.after_task_publish.disconnect(see)
    assert not trace.get_current_span().get_span_context().is_valid
    span = captured.span(SpanKind.PRODUCER)
    assert span.name == "apply_async/elsewhere.bill"
    assert attributes(span)["messaging.destination.name"] == "bills"
    assert attributes(span)["celery.countdown"] == 5
    assert span.context is not None
    [header] = headers
    assert header["traceparent"].split("-")[2] == f"{span.context.span_id:016x}"
    assert attributes(span)["messaging.message.id"] == header["id"]


def test_task_that_runs_at_once_is_its_callers_child(captured: Captured) -> None:
    app = application()
    with trace.get_tracer("test").start_as_current_span("order") as order:
        assert app.tasks["shop.pack"].apply((1,)).get() == 1
        assert trace.get_current_span() is order
    span = captured.span(SpanKind.CONSUMER)
    assert span.parent is not None
    assert span.parent.span_id == order.get_span_context().span_id
    assert attributes(span)["celery.state"] == "SUCCESS"


def test_failure_is_on_its_span_with_its_exception(captured: Captured) -> None:
    app = application()
    assert app.tasks["shop.fail"].apply().state == "FAILURE"
    span = captured.span(SpanKind.CONSUMER)
    assert span.status.status_code is StatusCode.ERROR
    assert attributes(span)["error.type"] == "ValueError"
    [event] = span.events
    assert (event.attributes or {})["exception.message"] == "no stock"


def test_silence_holds(captured: Captured) -> None:
    with suppress_instrumentation():
        application().tasks["shop.pack"].apply_async((1,))
    assert captured.spans() == []


def test_upstreams_instrumentor_of_the_application_wins(captured: Captured) -> None:
    """Its documentation has it called in each child, after ours."""
    CeleryInstrumentor().instrument()
    try:
        application().tasks["shop.pack"].apply((1,))
    finally:
        CeleryInstrumentor().uninstrument()
    span = captured.span(SpanKind.CONSUMER)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name.startswith("opentelemetry.")


def test_uninstrumented_it_is_as_it_was(captured: Captured) -> None:
    instrumentation.uninstall()
    application().tasks["shop.pack"].apply_async((1,))
    application().tasks["shop.pack"].apply((1,))
    assert captured.spans() == []


def test_measurements_are_those_of_the_conventions(captured: Captured) -> None:
    app = application()
    app.tasks["shop.pack"].apply((1,))
    points = captured.points("messaging.process.duration")
    found = [point for point in points if point.attributes["celery.task_name"] == "shop.pack"]
    assert found
    assert found[0].attributes["messaging.system"] == "memory"
