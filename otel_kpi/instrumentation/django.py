"""Django, instrumented by upstream at the first moment when the project's settings are known.

An unchanged `startproject` imports django before it names its settings. Upstream's instrumentor, called then,
runs `settings.configure()` with empty ones: no URLs, one middleware, every request fails.
`BaseHandler.load_middleware` is the first moment at which settings must exist, for WSGI and ASGI alike, and the
last at which the list of middlewares can still change.

Django logs a response of 4xx after its middlewares, when upstream's has ended the span and left its context: the
record is written in that context again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace

from otel_kpi.instrumentation import server_address
from otel_kpi.instrumentation.excluded_urls import excluded_urls

if TYPE_CHECKING:
    from collections.abc import Callable

_SPAN: Final = "_otel_kpi_span"


def before_first_load_middleware(load: Callable[[], None]) -> None:
    """Call `load()` once, right before the first handler of the process loads its middlewares."""
    from django.core.handlers.base import BaseHandler
    from wrapt import wrap_function_wrapper

    def load_middleware(wrapped: Any, _handler: Any, args: Any, kwargs: Any) -> Any:
        load()  # isolated and idempotent: the loader's part
        return wrapped(*args, **kwargs)

    wrap_function_wrapper(BaseHandler, "load_middleware", load_middleware)


class Instrumentor:
    """Upstream's `DjangoInstrumentor` with our default for paths that are not traced."""

    def __init__(self) -> None:
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        self._upstream = DjangoInstrumentor()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether the application did it itself."""
        return self._upstream.is_instrumented_by_opentelemetry

    def instrument(self, **options: Any) -> None:
        """Put upstream's middleware into the project's settings."""
        from wrapt import wrap_function_wrapper

        excluded = excluded_urls("DJANGO")
        if excluded is not None:
            options["excluded_urls"] = excluded
        self._upstream.instrument(request_hook=_remember_span, **options)
        wrap_function_wrapper("django.core.handlers.base", "log_response", _log_response)

    def uninstrument(self) -> None:
        """Take the middleware out of the settings; handlers that loaded it keep it."""
        from opentelemetry.instrumentation.utils import unwrap

        unwrap("django.core.handlers.base", "log_response")
        self._upstream.uninstrument()


def _remember_span(span: trace.Span, request: Any) -> None:
    setattr(request, _SPAN, span)
    scope = getattr(request, "scope", None)  # under ASGI only
    span.set_attributes(
        server_address.of_environ(request.environ) if scope is None else server_address.of_scope(scope)
    )


def _log_response(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
    span: trace.Span | None = getattr(kwargs.get("request"), _SPAN, None)
    if span is None or trace.get_current_span() is not trace.INVALID_SPAN:
        return wrapped(*args, **kwargs)
    token = context.attach(trace.set_span_in_context(span))
    try:
        return wrapped(*args, **kwargs)
    finally:
        context.detach(token)
