"""A WSGI application without a framework, as a server is given it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any
from wsgiref.util import FileWrapper

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.web import ask_wsgi, environ_of

from otel_kpi.instrumentation.servers.handover import serve_wsgi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured


def note(name: str) -> None:
    trace.get_tracer("shop").start_span(name).end()


class Body:
    """A response that knows whether it was closed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.closed = 0
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        note("part")
        yield b"ok"
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        note("close")
        self.closed += 1


def ignore(*_: Any) -> Any:
    """A server's `start_response` that nobody listens to."""


def application(response: Any, status: str = "200 OK") -> Any:
    def app(_environ: Any, start_response: Any) -> Any:
        note("call")
        start_response(status, [])
        return response

    return serve_wsgi(app)


def test_call_parts_and_close_are_inside_one_request_without_its_path(captured: Captured) -> None:
    body = Body()
    assert ask_wsgi(application(body), "/customers/4711").body == b"ok"
    server = captured.span(SpanKind.SERVER)
    assert server.name == "GET"
    assert {span.name: span.parent for span in captured.spans(SpanKind.INTERNAL)} == dict.fromkeys(
        ("call", "part", "close"), server.context
    )
    assert body.closed == 1


def test_error_while_streaming_is_on_the_span_and_reaches_the_server(captured: Captured) -> None:
    body = Body(LookupError("no such thing"))
    with pytest.raises(LookupError):
        ask_wsgi(application(body), "/")
    span = captured.span(SpanKind.SERVER)
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    assert body.closed == 1


def test_error_of_the_call_is_a_500(captured: Captured) -> None:
    def app(_environ: Any, _start_response: Any) -> Any:
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        ask_wsgi(serve_wsgi(app), "/")
    span = captured.span(SpanKind.SERVER)
    assert span.attributes is not None
    assert (span.attributes["http.response.status_code"], span.attributes["error.type"]) == (500, "500")


def test_client_that_goes_away_is_no_error(captured: Captured) -> None:
    response: Any = application(Body())(environ_of("/"), ignore)
    next(response)
    response.close()
    assert captured.span(SpanKind.SERVER).status.status_code is StatusCode.UNSET


def test_server_that_closes_nothing_ends_the_request_too(captured: Captured) -> None:
    assert b"".join(application(iter([b"ok"]))(environ_of("/"), ignore)) == b"ok"
    assert captured.span(SpanKind.SERVER).name == "GET"


def test_file_reaches_the_server_as_what_it_is(captured: Captured) -> None:
    file = FileWrapper(io.BytesIO(b"ok"))
    environ = environ_of("/") | {"wsgi.file_wrapper": FileWrapper}
    assert application(file)(environ, ignore) is file
    assert captured.span(SpanKind.SERVER).name == "GET"


def test_number_of_parts_is_told_where_it_is_known(captured: Captured) -> None:
    assert len(application([b"ok"])(environ_of("/"), ignore)) == 1
    with pytest.raises(TypeError):
        len(application(iter([b"ok"]))(environ_of("/"), ignore))
    assert len(captured.spans(SpanKind.SERVER)) == 2


def test_status_without_a_reason_does_not_end_the_tracing(captured: Captured) -> None:
    app = application([b"ok"], "200")
    for _ in range(12):
        assert ask_wsgi(app, "/").status == 200
    assert len(captured.spans(SpanKind.SERVER)) == 12


def test_health_leaves_nothing_not_even_its_children(captured: Captured) -> None:
    assert ask_wsgi(application([b"ok"]), "/healthz").status == 200
    assert captured.spans() == []


def test_application_behind_the_users_middleware_has_the_users_span_alone(captured: Captured) -> None:
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    def app(_environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return [b"ok"]

    ask_wsgi(serve_wsgi(OpenTelemetryMiddleware(app)), "/")
    span = captured.span(SpanKind.SERVER)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "opentelemetry.instrumentation.wsgi"


def test_setting_that_cannot_be_read_leaves_the_server_as_it_was(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_PYTHON_WSGI_EXCLUDED_URLS", "(")
    assert ask_wsgi(application([b"ok"]), "/").body == b"ok"
    assert captured.spans(SpanKind.SERVER) == []
