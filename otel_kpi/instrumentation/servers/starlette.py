"""Starlette applications that are not FastAPI's: a SERVER span with the whole route, made where the stack is built.

Upstream replaces the name `starlette.applications.Starlette`, and names a request after the mount alone.
"""

from __future__ import annotations

from typing import Any, Final

from otel_kpi.instrumentation.boundary import Boundary


class Instrumentor:
    """Instruments every Starlette application that the user has not instrumented."""

    is_instrumented_by_opentelemetry: Final = False
    """Every application says for itself."""

    def instrument(self, **_options: Any) -> None:
        """Wrap `Starlette.build_middleware_stack`, for subclasses and existing applications too."""
        from starlette.applications import Starlette
        from wrapt import wrap_function_wrapper

        wrap_function_wrapper(Starlette, "build_middleware_stack", _build_middleware_stack)

    def uninstrument(self) -> None:
        """Unwrap; applications whose stack is built keep it."""
        from opentelemetry.instrumentation.utils import unwrap
        from starlette.applications import Starlette

        unwrap(Starlette, "build_middleware_stack")


def _build_middleware_stack(wrapped: Any, app: Any, args: Any, kwargs: Any) -> Any:
    from starlette.middleware.errors import ServerErrorMiddleware

    from otel_kpi.instrumentation.servers.asgi import ErrorRecorder, Traced
    from otel_kpi.instrumentation.servers.fastapi import instrumented_by_hand
    from otel_kpi.instrumentation.servers.routes import route_of

    stack = wrapped(*args, **kwargs)
    boundary = Boundary("starlette")
    if not boundary.open or instrumented_by_hand(app) or _is_fastapi(app):
        return stack
    try:
        if isinstance(stack, ServerErrorMiddleware):
            stack.app = ErrorRecorder(stack.app)
        return Traced(stack, "starlette", route_of)
    except Exception as error:
        boundary.failed(error)
        return stack


def _is_fastapi(app: Any) -> bool:
    """Say whether FastAPI has a row of its own for it: older versions call Starlette's method."""
    return any(cls.__module__ == "fastapi.applications" for cls in type(app).__mro__)
