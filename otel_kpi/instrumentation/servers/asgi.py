"""Any ASGI application as one SERVER span a request, and one the handshake of a WebSocket.

Upstream's middleware makes two more spans for each message, ends its own before an error is known, and shares the
size of a response between requests; what it knows about attributes and conventions is used here. What is begun
here ends with the last part of the response; after an error, or on a WebSocket, when the application returns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.trace import Status, StatusCode

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers import server_address
from otel_kpi.instrumentation.servers.excluded_urls import exclude_list, excluded_context
from otel_kpi.instrumentation.servers.routes import leads_to_endpoint
from otel_kpi.instrumentation.servers.server_request import (
    MARK,
    Recorder,
    ServerRequest,
    current_request,
    in_context,
    method_of,
    parent_context,
)
from otel_kpi.instrumentation.websockets.choices import CHOICES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from otel_kpi.instrumentation.websockets.conversation import Conversation

    Scope = MutableMapping[str, Any]
    App = Callable[[Scope, Any, Any], Awaitable[None]]
    Route = Callable[[Scope], str | None]

TYPES: Final = ("http", "websocket")
CLOSE_CODE: Final = "websocket.close_code"
INTERNAL_ERROR: Final = 1011


class Traced:
    """An ASGI application whose requests are SERVER spans, unless somebody further out has begun one.

    Args:
        app: The application.
        name: Of the row that speaks, for its errors and for `OTEL_PYTHON_<NAME>_EXCLUDED_URLS`.
        route: Gives the route of a request before it is routed; what the framework leaves in the scope is
            looked at when it ends.
    """

    def __init__(self, app: App, name: str, route: Route | None = None) -> None:
        self.app = app  # public, and so named: FastAPI looks for upstream's middleware along it
        self._route = route
        self._boundary = Boundary(name)
        self._excluded: Any = exclude_list(name.upper())
        self._recorder = Recorder(f"otel_kpi.instrumentation.{name}")

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer one request, or the lifespan."""
        if scope["type"] not in TYPES or not self._boundary.open:
            await self.app(scope, receive, send)
            return
        if MARK in scope:
            self._add_route(scope)
            await self.app(scope, receive, send)
            return
        try:
            begun = self._begin(scope)
        except Exception as error:
            self._boundary.failed(error)
            await self.app(scope, receive, send)
            return
        if isinstance(begun, Context):
            await _within(begun, self.app, scope, receive, send)
        else:
            await begun.run(self.app, scope, receive, send)

    def _add_route(self, scope: Scope) -> None:
        request = scope[MARK]
        if (
            isinstance(request, ServerRequest)
            and self._route is not None
            and not request.attributes.get("http.route")
        ):
            try:
                route = self._route(scope)
                if route:
                    request.set_route(route)
            except Exception as error:
                self._boundary.failed(error)

    def _begin(self, scope: Scope) -> _Exchange | Conversation | Context:
        from opentelemetry.instrumentation import asgi

        clear = readable(scope)
        parent = parent_context(clear, asgi.asgi_getter)
        if self._excluded.url_disabled(asgi.get_host_port_url_tuple(clear)[2]) or leads_to_endpoint(scope):
            scope[MARK] = True
            return excluded_context(parent)
        method = method_of(str(scope.get("method", ""))) if scope["type"] == "http" else ""
        request = ServerRequest(method, scope.get("root_path") or "")
        attributes: dict[str, Any] = asgi.collect_request_attributes(clear, self._recorder.conventions)
        attributes |= server_address.of_scope(scope)
        attributes |= captured_headers(clear, response=False)
        route = self._route(scope) if self._route is not None else None
        end = self._recorder.begin(request, attributes, parent, route)
        scope[MARK] = request
        exchange = _Exchange
        if scope["type"] == "websocket" and CHOICES.enabled:
            # Its pack is imported by a process that serves one.
            from otel_kpi.instrumentation.websockets.conversation import Conversation

            exchange = Conversation
        return exchange(request, end, parent, self._boundary, self._recorder.conventions)


def readable(scope: Scope) -> Scope:
    """Give a scope whose query and headers are UTF-8: the same one, unless a client sent something else.

    Upstream raises on it, which would be a 500 or, here, one of the ten errors that switch a row off.
    """
    query: bytes = scope.get("query_string") or b""
    headers: list[tuple[bytes, bytes]] = list(scope.get("headers") or ())
    if query.isascii() and all(name.isascii() and value.isascii() for name, value in headers):
        return scope
    clear = [(_utf8(name), _utf8(value)) for name, value in headers]
    return {**scope, "query_string": _utf8(query), "headers": clear}


def _utf8(text: bytes) -> bytes:
    return text.decode("latin-1").encode()


async def _within(active: Context, app: App, scope: Scope, receive: Any, send: Any) -> None:
    token = context.attach(active)
    try:
        await app(scope, receive, send)
    finally:
        context.detach(token)


class _Exchange:
    """One request or connection on its way: looks at what is sent and received."""

    def __init__(
        self,
        request: ServerRequest,
        end: Callable[[], None],
        parent: Context,
        boundary: Boundary,
        conventions: Any,
    ) -> None:
        self._request = request
        self._end = end
        self._parent = parent
        self._conventions = conventions
        self._boundary = boundary
        self._status = 0
        self._accepted = False
        self._trailers = False

    async def run(self, app: App, scope: Scope, receive: Any, send: Any) -> None:
        from opentelemetry import trace

        span = self._request.span
        assert span is not None  # noqa: S101 - `begin` has started it
        inside = in_context(self._request, trace.set_span_in_context(span, self._parent))

        async def watched_send(message: Any) -> None:
            self._guarded(self._before_send, message)
            await send(message)
            # The error behind a 500 is raised again after the response by several frameworks.
            if self._status < 500 and self._is_last(message):  # noqa: PLR2004 - the first status of a server's error
                self._guarded(self._ended, scope)

        async def watched_receive() -> Any:
            message = await receive()
            self._guarded(self._received, message)
            return message

        token = context.attach(inside)
        try:
            await app(scope, watched_receive if scope["type"] == "websocket" else receive, watched_send)
        except Exception as error:
            self._guarded(self._failed, error)
            raise
        finally:
            self._guarded(self._ended, scope)
            context.detach(token)

    def _guarded(self, step: Callable[[Any], None], argument: Any) -> None:
        try:
            step(argument)
        except Exception as error:
            self._boundary.failed(error)

    def _before_send(self, message: Any) -> None:
        kind = message["type"]
        if kind in {"http.response.start", "websocket.http.response.start"}:
            self._respond(int(message["status"]))
            self._trailers = bool(message.get("trailers"))
            if self._request.span is not None:
                self._request.span.set_attributes(captured_headers(message, response=True))
        elif kind == "websocket.accept":
            self._accepted = True
            self._respond(101)
        elif kind == "websocket.close":
            if self._accepted:
                self._close(message.get("code") or 1000)
            else:
                self._respond(403)  # what the server makes of it

    def _is_last(self, message: Any) -> bool:
        kind = message["type"]
        if kind == "http.response.body":
            return not message.get("more_body") and not self._trailers
        return kind == "http.response.trailers" and not message.get("more_trailers")

    def _received(self, message: Any) -> None:
        if message["type"] == "websocket.disconnect" and self._accepted:
            self._close(message.get("code") or 1005)

    def _respond(self, status: int) -> None:
        from opentelemetry.instrumentation.asgi import set_status_code

        if self._status or self._request.span is None:
            return
        self._status = status
        set_status_code(self._request.span, status, self._request.attributes, self._conventions)

    def _close(self, code: int) -> None:
        span = self._request.span
        if span is not None and span.is_recording():
            span.set_attribute(CLOSE_CODE, code)
            if code == INTERNAL_ERROR:
                span.set_status(Status(StatusCode.ERROR))

    def _failed(self, error: Exception) -> None:
        self._respond(500)  # what every server makes of an error before the response
        self._request.failed(error)

    def _ended(self, scope: Scope) -> None:
        request = self._request
        if not request.attributes.get("http.route"):
            route = left_by_framework(scope)
            if route:
                request.set_route(route)
        self._end()


def left_by_framework(scope: Scope) -> str | None:
    """Give the template that routing left in the scope: Litestar's, or a router's in Starlette's manner."""
    template = scope.get("path_template")
    if isinstance(template, str):
        return template
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None


def captured_headers(carrier: Any, *, response: bool) -> dict[str, Any]:
    """Give the headers that `OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_*` asks for."""
    import os

    if (
        f"OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_{'RESPONSE' if response else 'REQUEST'}"
        not in os.environ
    ):
        return {}
    from opentelemetry.instrumentation.asgi import collect_custom_headers_attributes
    from opentelemetry.util import http

    names = http.get_custom_headers(
        http.OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE
        if response
        else http.OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST
    )
    fields = http.get_custom_headers(http.OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS)
    normalise = http.normalise_response_header_name if response else http.normalise_request_header_name
    return dict(collect_custom_headers_attributes(carrier, http.SanitizeValue(fields), names, normalise))


class ErrorRecorder:
    """Notes an error of the application where it is raised, before a framework turns it into a response."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Pass a request on."""
        try:
            await self.app(scope, receive, send)
        except Exception as error:
            request = scope.get(MARK) or current_request()
            if isinstance(request, ServerRequest):
                request.failed(error)
            raise
