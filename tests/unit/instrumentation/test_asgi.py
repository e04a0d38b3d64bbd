"""An ASGI application without a framework, as a server is given it."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, StatusCode
from support.web import ask, converse, scope_of

from otel_kpi.instrumentation.servers.asgi import Traced
from otel_kpi.instrumentation.servers.handover import serve_asgi

if TYPE_CHECKING:
    from support.captured import Captured

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def plain(scope: Any, _receive: Any, send: Any) -> None:
    trace.get_tracer("shop").start_span("below").end()
    logging.getLogger("shop").warning("answering")
    if scope["path"] == "/boom":
        raise LookupError("no such thing")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"o", "more_body": True})
    await send({"type": "http.response.body", "body": b"k"})


def test_request_is_one_span_without_its_path(captured: Captured) -> None:
    assert ask(serve_asgi(plain), "/customers/4711", traceparent=CALLER).body == b"ok"
    server, below = captured.span(SpanKind.SERVER), captured.span(SpanKind.INTERNAL)
    assert server.name == "GET"
    assert below.parent == server.context
    assert server.parent is not None
    assert f"{server.parent.span_id:016x}" == "00f067aa0ba902b7"


def test_error_before_the_response_is_a_500(captured: Captured) -> None:
    with pytest.raises(LookupError):
        ask(serve_asgi(plain), "/boom")
    span = captured.span(SpanKind.SERVER)
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (500, "500")
    assert [event.name for event in span.events] == ["exception"]


def test_nothing_that_runs_around_the_server_is_the_parent_of_a_request(captured: Captured) -> None:
    """As under a command line whose span lasts as long as the process, or in the context of an earlier request."""
    app = serve_asgi(plain)
    tracer = trace.get_tracer("cli")

    async def request(**headers: str) -> None:
        async def ignore(_message: Any) -> None:
            pass

        await app(scope_of("/", **headers), ignore, ignore)

    with tracer.start_as_current_span("serve"):
        asyncio.run(request())
        asyncio.run(request(traceparent=CALLER))
    ended = tracer.start_span("earlier", kind=SpanKind.SERVER)
    ended.end()
    around = contextvars.copy_context()
    around.run(context.attach, trace.set_span_in_context(ended))
    around.run(asyncio.run, request())
    parents = [span.parent for span in captured.spans(SpanKind.SERVER) if span.name == "GET"]
    assert [None if parent is None else f"{parent.span_id:016x}" for parent in parents] == [
        None,
        "00f067aa0ba902b7",
        None,
    ]


def test_health_leaves_nothing_and_its_records_name_no_trace(captured: Captured) -> None:
    ask(serve_asgi(plain), "/healthz", traceparent=CALLER)
    assert captured.spans() == []
    [record] = captured.logs()
    assert not record.trace_id
    assert not record.span_id


def test_health_tells_others_that_it_is_not_sampled(captured: Captured) -> None:
    from opentelemetry import propagate

    sent: dict[str, str] = {}

    async def health(_scope: Any, _receive: Any, send: Any) -> None:
        propagate.inject(sent)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    ask(serve_asgi(health), "/healthz", traceparent=CALLER)
    assert sent["traceparent"] == f"{CALLER[:-2]}00"
    assert captured.spans() == []


def test_application_that_is_served_twice_or_stands_behind_the_users_middleware_has_one_span(
    captured: Captured,
) -> None:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    ask(serve_asgi(serve_asgi(plain)), "/")
    ask(serve_asgi(OpenTelemetryMiddleware(plain, exclude_spans=["send", "receive"])), "/")
    assert len(captured.spans(SpanKind.SERVER)) == 2
    assert len(captured.spans(SpanKind.INTERNAL)) == 2


def test_what_stands_behind_the_files_of_djangos_runserver_is_seen(captured: Captured) -> None:
    """Channels' `ProtocolTypeRouter` does; the handler in front of it is an application of Django's."""
    handlers = pytest.importorskip("django.contrib.staticfiles.handlers")

    class Files(handlers.ASGIStaticFilesHandler):
        def __init__(self, application: Any) -> None:
            self.application = application
            self.base_url = urlsplit("/static/")

    assert ask(serve_asgi(Files(plain)), "/customers/4711").body == b"ok"
    assert captured.span(SpanKind.SERVER).name == "GET"


def test_lifespan_passes_untouched(captured: Captured) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope, await receive()))
        await send({"type": "lifespan.startup.complete"})

    answer = converse(serve_asgi(app), {"type": "lifespan"}, [{"type": "lifespan.startup"}])
    assert seen == [({"type": "lifespan"}, {"type": "lifespan.startup"})]
    assert answer.sent == [{"type": "lifespan.startup.complete"}]
    assert captured.spans() == []


def test_request_in_a_request_of_the_same_process_is_below_it(captured: Captured) -> None:
    """As an application's own client for itself does it."""
    inner = Traced(plain, "asgi")

    async def outer(_scope: Any, receive: Any, send: Any) -> None:
        await inner(scope_of("/inner"), receive, send)

    assert converse(serve_asgi(outer), scope_of("/outer"), []).body == b"ok"
    outside, inside = captured.spans(SpanKind.SERVER)  # what goes out last has gone through both
    assert inside.parent == outside.context
    assert outside.parent is None


def test_setting_that_cannot_be_read_leaves_the_server_as_it_was(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_ASGI_EXCLUDED_URLS", "(")
    assert ask(serve_asgi(plain), "/").body == b"ok"
    assert captured.spans(SpanKind.SERVER) == []
