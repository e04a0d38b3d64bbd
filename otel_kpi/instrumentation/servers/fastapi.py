"""FastAPI, instrumented by upstream per application when its middleware stack is built.

Upstream replaces the name `fastapi.FastAPI`: it does not see `from fastapi.applications import FastAPI`, nor
applications made before, and it takes the place of a later `instrument_app(app, …)` with the user's options.
The stack is built once, at the first message of the server, when all of that has been decided. Around what
upstream builds, some things are put right: the route of a mounted application, the context in which the request
begins, what a path that is not traced does, and WebSockets.

FastAPI has spans of its own since it depends on opentelemetry-api (seen in 0.165): it keeps silent when it finds
upstream's middleware in the stack, which it looks for along attributes named `app`. Upstream's is kept for every
version alike: it knows the user's `OTEL_PYTHON_FASTAPI_*` and header settings, and records exceptions on the span.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers import server_address
from otel_kpi.instrumentation.servers.asgi import Traced, readable
from otel_kpi.instrumentation.servers.excluded_urls import excluded_context, excluded_urls
from otel_kpi.instrumentation.servers.routes import leads_to_endpoint, route_of
from otel_kpi.instrumentation.servers.server_request import (
    MARK,
    ServerRequest,
    current_request,
    in_context,
    method_of,
    name_of,
    parent_context,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from opentelemetry.context import Context

    Scope = MutableMapping[str, Any]
    App = Callable[[Scope, Any, Any], Awaitable[None]]

_BOUNDARY: Final = Boundary("fastapi")
_building: Final[ContextVar[tuple[Any, Any] | None]] = ContextVar("otel_kpi_fastapi_building", default=None)
"""The application whose stack is built now, and how to get the one that it would have without us."""


class Instrumentor:
    """Instruments every FastAPI application that the user has not instrumented."""

    is_instrumented_by_opentelemetry: Final = False
    """Upstream's global flag does not matter: every application says for itself."""

    def instrument(self, **_options: Any) -> None:
        """Wrap `FastAPI.build_middleware_stack`, for subclasses and existing applications too."""
        from fastapi import FastAPI
        from wrapt import wrap_function_wrapper

        wrap_function_wrapper(FastAPI, "build_middleware_stack", _build_middleware_stack)

    def uninstrument(self) -> None:
        """Unwrap; applications whose stack is built keep it."""
        from fastapi import FastAPI
        from opentelemetry.instrumentation.utils import unwrap

        unwrap(FastAPI, "build_middleware_stack")


def _build_middleware_stack(wrapped: Any, app: Any, args: Any, kwargs: Any) -> Any:
    building = _building.get()
    if building is not None and building[0] is app:
        return building[1](*args, **kwargs)  # upstream asks for what it is to wrap
    if instrumented_by_hand(app):
        return wrapped(*args, **kwargs)
    return _BOUNDARY.call(_build, wrapped, app, args, kwargs)


def _build(call: Any, app: Any, _args: Any, _kwargs: Any) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    FastAPIInstrumentor.instrument_app(
        app, excluded_urls=excluded_urls("FASTAPI"), exclude_spans=["receive", "send"]
    )
    token = _building.set((app, call))
    try:
        stack = app.build_middleware_stack()
    finally:
        _building.reset(token)
    middleware = getattr(stack, "app", None)
    if isinstance(middleware, OpenTelemetryMiddleware):
        middleware.default_span_details = _span_details
        stack.app = _Beginning(middleware)
    return stack


def instrumented_by_hand(app: Any) -> bool:
    """Say whether the user instrumented this application, or our own call of upstream is on its way."""
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        return True
    classes = (getattr(entry, "cls", None) for entry in app.user_middleware)
    return any(getattr(cls, "__name__", "") == "OpenTelemetryMiddleware" for cls in classes)


class _Beginning:
    """Decides where a request begins, before upstream's middleware looks.

    An application mounted in another is inside a request that has its SERVER span already. And a server may
    hand over the context of an earlier request on the same connection, whose span has ended: upstream would
    take that for the parent, and the caller's `traceparent` for nothing. A path that is not traced takes its
    children along; a WebSocket is one span, with the code by which it was closed.
    """

    def __init__(self, middleware: Any) -> None:
        self.app: App = middleware  # public, and so named: see the module's docstring
        self._plain: App = middleware.app
        self._excluded: Any = middleware.excluded_urls
        self._own = Traced(self._plain, "fastapi", route_of)
        _compat.on_asgi_span(middleware, _begun)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket" or (scope["type"] == "http" and readable(scope) is not scope):
            await self._own(scope, receive, send)
            return
        if scope["type"] != "http":
            await self._plain(scope, receive, send)
            return
        current = trace.get_current_span()
        if MARK in scope or (_is_running_server(current) and current_request() is None):
            _add_route(scope)
            await self._plain(scope, receive, send)
            return
        token = context.attach(self._context(scope, current))
        try:
            await (self._plain if scope[MARK] is True else self.app)(scope, receive, send)
        finally:
            context.detach(token)

    def _context(self, scope: Scope, current: trace.Span) -> Context:
        from opentelemetry.instrumentation.asgi import asgi_getter, get_host_port_url_tuple

        url = get_host_port_url_tuple(scope)[2]
        if (self._excluded and self._excluded.url_disabled(url)) or leads_to_endpoint(scope):
            scope[MARK] = True
            return excluded_context(parent_context(scope, asgi_getter))
        request = ServerRequest(method_of(str(scope.get("method", ""))), scope.get("root_path") or "")
        scope[MARK] = request
        inside_another = current.is_recording() and not _is_running_server(current)
        return context.get_current() if inside_another else context.Context()


def _is_running_server(span: trace.Span) -> bool:
    return span.is_recording() and getattr(span, "kind", None) is trace.SpanKind.SERVER


def _begun(scope: Scope, span: trace.Span, attributes: dict[str, Any]) -> None:
    request = scope.get(MARK)
    if isinstance(request, ServerRequest):
        request.span, request.attributes = span, attributes
        # Upstream began an empty context; what it attached around this it detaches, and this with it.
        context.attach(in_context(request, context.get_current()))


def _add_route(scope: Scope) -> None:
    """Name the request after the route in this application, where who began it could not."""
    request = scope.get(MARK)
    if isinstance(request, ServerRequest) and not request.attributes.get("http.route"):
        route = route_of(scope)
        if route:
            request.set_route(route)


def _span_details(scope: Scope) -> tuple[str, dict[str, Any]]:
    """Name a request after its whole route, through mounts, and give what upstream gets wrong."""
    method = method_of(str(scope.get("method", "")))
    route = route_of(scope)
    attributes: dict[str, Any] = {**server_address.of_scope(scope)}
    if not route:
        return method or "HTTP", attributes
    return name_of(method, route), {**attributes, "http.route": route}
