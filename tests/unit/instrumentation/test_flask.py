"""A Flask application: one SERVER span a request, from the server's call to the end of the response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.web import ask_wsgi, environ_of

pytest.importorskip("flask")

import flask

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


def note(name: str = "below") -> None:
    trace.get_tracer("shop").start_span(name).end()


def application() -> flask.Flask:
    app = flask.Flask("shop")
    shop = flask.Blueprint("shop", __name__, url_prefix="/shop")

    def item(number: int) -> str:
        note()
        return str(number)

    def boom() -> str:
        raise LookupError("no such thing")

    def health() -> str:
        note()
        return "ok"

    def stream() -> flask.Response:
        def parts() -> Iterator[bytes]:
            for number in range(3):
                note(f"part {number}")
                yield b"x"

        return flask.Response(parts())

    app.add_url_rule("/items/<int:number>", "item", item)
    app.add_url_rule("/boom", "boom", boom)
    app.add_url_rule("/health", "health", health)
    app.add_url_rule("/stream", "stream", stream)
    shop.add_url_rule("/items/<int:number>", "item", item)
    app.register_blueprint(shop)
    return app


def below(captured: Captured) -> None:
    server = captured.span(SpanKind.SERVER)
    for span in captured.spans(SpanKind.INTERNAL):
        assert span.parent == server.context, span.name


@pytest.mark.parametrize(
    ("path", "route"), [("/items/7", "/items/<int:number>"), ("/shop/items/7", "/shop/items/<int:number>")]
)
def test_request_is_named_after_its_rule_and_in_the_trace_that_came_in(
    captured: Captured, path: str, route: str
) -> None:
    answer = ask_wsgi(application(), path, traceparent=f"00-{TRACE}-{PARENT}-01")
    assert (answer.status, answer.body) == (200, b"7")
    span = captured.span(SpanKind.SERVER)
    assert span.name == f"GET {route}"
    assert span.context is not None
    assert span.parent is not None
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.attributes is not None
    assert span.attributes["http.route"] == route
    assert span.attributes["http.response.status_code"] == 200
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("shop.test", 80)
    below(captured)
    routes = [point.attributes.get("http.route") for point in captured.points("http.server.request.duration")]
    assert route in routes


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", "/missing/" + "x" * 5000, 404, "GET"),
        ("POST", "/items/7", 405, "POST"),
        ("HEAD", "/items/7", 200, "HEAD /items/<int:number>"),
        ("OPTIONS", "/items/7", 200, "OPTIONS /items/<int:number>"),
        ("BREW", "/items/7", 405, "HTTP"),
    ],
)
def test_names_hold_no_value_of_the_request(
    captured: Captured, method: str, path: str, status: int, name: str
) -> None:
    assert ask_wsgi(application(), path, method).status == status
    span = captured.span(SpanKind.SERVER)
    assert span.name == name
    assert span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("answer", ["the application's", "Flask's"])
def test_error_is_on_the_span_once(captured: Captured, answer: str) -> None:
    app = application()
    if answer == "the application's":

        def sorry(_error: Exception) -> tuple[str, int]:
            return "sorry", 500

        app.register_error_handler(500, sorry)
    assert ask_wsgi(app, "/boom").status == 500
    span = captured.span(SpanKind.SERVER)
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    assert span.attributes is not None
    assert span.attributes["error.type"] == "500"


def test_error_that_the_application_answers_by_itself_is_none(captured: Captured) -> None:
    app = application()

    def gone(_error: Exception) -> tuple[str, int]:
        return "gone", 410

    app.register_error_handler(LookupError, gone)
    assert ask_wsgi(app, "/boom").status == 410
    span = captured.span(SpanKind.SERVER)
    assert span.status.status_code is StatusCode.UNSET
    assert span.events == ()


def test_error_with_propagation_on_reaches_the_server(captured: Captured) -> None:
    app = application()
    app.testing = True
    with pytest.raises(LookupError):
        ask_wsgi(app, "/boom")
    span = captured.span(SpanKind.SERVER)
    assert [event.name for event in span.events] == ["exception"]
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 500


def test_streamed_response_teardown_and_session_are_inside_the_request(captured: Captured) -> None:
    app = application()
    from flask.sessions import SecureCookieSessionInterface

    class Sessions(SecureCookieSessionInterface):
        def open_session(self, app: flask.Flask, request: flask.Request) -> Any:
            note("session")
            return super().open_session(app, request)

    def teardown(_error: BaseException | None) -> None:
        note("teardown")

    app.session_interface = Sessions()
    app.teardown_request(teardown)
    assert ask_wsgi(app, "/stream").body == b"xxx"
    names = {span.name for span in captured.spans(SpanKind.INTERNAL)}
    assert names == {"session", "teardown", "part 0", "part 1", "part 2"}
    below(captured)
    server = captured.span(SpanKind.SERVER)
    assert all((span.end_time or 0) <= (server.end_time or 0) for span in captured.spans(SpanKind.INTERNAL))


def test_response_that_nobody_reads_ends_when_it_is_closed(captured: Captured) -> None:
    def ignore(*_: Any) -> Any:
        pass

    response: Any = application()(environ_of("/stream"), ignore)
    assert captured.spans(SpanKind.SERVER) == []
    response.close()
    assert captured.span(SpanKind.SERVER).name == "GET /stream"


def test_health_leaves_nothing_not_even_its_children(captured: Captured) -> None:
    before = len(captured.points("http.server.request.duration"))
    assert ask_wsgi(application(), "/health").status == 200
    assert captured.spans() == []
    assert len(captured.points("http.server.request.duration")) == before


def test_application_that_is_mounted_or_proxied_has_one_span_with_the_whole_route(captured: Captured) -> None:
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.middleware.proxy_fix import ProxyFix

    outer, inner = application(), application()
    outer.wsgi_app = ProxyFix(DispatcherMiddleware(outer.wsgi_app, {"/legacy": inner}))  # type: ignore[method-assign] # as Flask's manual says
    assert ask_wsgi(outer, "/legacy/items/7").status == 200
    assert captured.span(SpanKind.SERVER).name == "GET /legacy/items/<int:number>"


def test_application_that_calls_itself_keeps_the_name_of_the_request(captured: Captured) -> None:
    app = application()

    def outer() -> bytes:
        return app.test_client().get("/items/7").data

    app.add_url_rule("/outer", "outer", outer)
    assert ask_wsgi(app, "/outer").body == b"7"
    assert captured.span(SpanKind.SERVER).name == "GET /outer"


def test_application_made_before_and_subclass_are_traced(captured: Captured) -> None:
    from otel_kpi import instrumentation

    class Shop(flask.Flask):
        pass

    instrumentation.uninstall()
    app = Shop("shop")
    assert ask_wsgi(app, "/").status == 404
    instrumentation.install()
    assert ask_wsgi(app, "/").status == 404
    assert len(captured.spans(SpanKind.SERVER)) == 1
