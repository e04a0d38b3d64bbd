"""FastAPI, instrumented by upstream per application when its middleware stack is built.

Upstream replaces the name `fastapi.FastAPI`: it does not see `from fastapi.applications import FastAPI`, nor
applications made before, and it takes the place of a later `instrument_app(app, …)` with the user's options.
The stack is built once, at the first message of the server, when all of that has been decided. Around what
upstream builds, two things are put right: the route of a mounted application, and the context in which the
request begins.

FastAPI has spans of its own since it depends on opentelemetry-api (seen in 0.165): it keeps silent when it finds
upstream's middleware in the stack, which it looks for along attributes named `app`. Upstream's is kept for every
version alike: it knows the user's `OTEL_PYTHON_FASTAPI_*` and header settings, and records exceptions on the span.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

from otel_kpi import _compat
from otel_kpi.instrumentation import server_address
from otel_kpi.instrumentation.excluded_urls import excluded_urls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    Scope = MutableMapping[str, Any]
    App = Callable[[Scope, Any, Any], Awaitable[None]]

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_INSIDE: Final = "otel_kpi.server_span"


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
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    if _instrumented_by_hand(app):
        return wrapped(*args, **kwargs)
    try:
        FastAPIInstrumentor.instrument_app(
            app, excluded_urls=excluded_urls("FASTAPI"), exclude_spans=["receive", "send"]
        )
    except Exception as error:
        _logger.warning("a FastAPI application is not instrumented: %r", error)
        return wrapped(*args, **kwargs)
    stack = app.build_middleware_stack()
    middleware = getattr(stack, "app", None)
    if isinstance(middleware, OpenTelemetryMiddleware):
        middleware.default_span_details = _span_details
        stack.app = _Boundary(middleware, middleware.app)
    return stack


def _instrumented_by_hand(app: Any) -> bool:
    """Say whether the user instrumented this application, or our own call of upstream is on its way."""
    if getattr(app, "_is_instrumented_by_opentelemetry", False):
        return True
    classes = (getattr(entry, "cls", None) for entry in app.user_middleware)
    return any(getattr(cls, "__name__", "") == "OpenTelemetryMiddleware" for cls in classes)


class _Boundary:
    """Decides where a request begins, before upstream's middleware looks.

    An application mounted in another is inside a request that has its SERVER span already. And a server may
    hand over the context of an earlier request on the same connection, whose span has ended: upstream would
    take that for the parent, and the caller's `traceparent` for nothing.
    """

    def __init__(self, app: App, plain: App) -> None:
        self.app = app  # public, and so named: see the module's docstring
        self._plain = plain

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._plain(scope, receive, send)
            return
        current = trace.get_current_span()
        if _INSIDE in scope or _is_running_server(current):
            await self._plain(scope, receive, send)
            return
        scope[_INSIDE] = True
        if current is trace.INVALID_SPAN or current.is_recording():
            await self.app(scope, receive, send)
            return
        token = context.attach(context.Context())
        try:
            await self.app(scope, receive, send)
        finally:
            context.detach(token)


def _is_running_server(span: trace.Span) -> bool:
    return span.is_recording() and getattr(span, "kind", None) is trace.SpanKind.SERVER


# --- the route


def _span_details(scope: Scope) -> tuple[str, dict[str, Any]]:
    """Name a request after its whole route, through mounts, and give what upstream gets wrong."""
    method = str(scope.get("method", "")).strip()
    method = _compat.known_method(method) if method else ""
    try:
        route = _route(scope["app"].routes, scope)
    except Exception:
        route = None
    attributes: dict[str, Any] = {**server_address.of_scope(scope)}
    if not route:
        return method or "HTTP", attributes
    return f"{method} {route}".strip(), {**attributes, "http.route": route}


def _route(routes: Any, scope: Scope) -> str | None:
    """Find the template of the path, the mounts' prefixes included.

    Matching follows Starlette: the first full match, else the first that fits but for its method.
    """
    from starlette.routing import Match, Mount

    partial: str | None = None
    for route in _compat.matchable_routes(routes):
        match, child_scope = _compat.match_route(route, scope)
        if match is Match.NONE:
            continue
        path: str | None = getattr(route, "path", None)
        mount = _compat.original_route(route)
        if isinstance(mount, Mount):
            path = mount.path
            inner = _route(mount.routes or [], {**scope, **child_scope})
            if inner is not None:
                path = f"{path}{inner}" if inner != "/" or not path else f"{path}/"
        if match is Match.FULL:
            return path if path is not None else scope.get("path")
        if partial is None:
            partial = path
    return partial
