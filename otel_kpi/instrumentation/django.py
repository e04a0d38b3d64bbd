"""Django, instrumented by upstream at the first moment when the project's settings are known.

An unchanged `startproject` imports django before it names its settings. Upstream's instrumentor, called then,
runs `settings.configure()` with empty ones: no URLs, one middleware, every request fails.
`BaseHandler.load_middleware` is the first moment at which settings must exist, for WSGI and ASGI alike, and the
last at which the list of middlewares can still change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi.instrumentation.excluded_urls import excluded_urls

if TYPE_CHECKING:
    from collections.abc import Callable


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
        excluded = excluded_urls("DJANGO")
        if excluded is not None:
            options["excluded_urls"] = excluded
        self._upstream.instrument(**options)

    def uninstrument(self) -> None:
        """Take the middleware out of the settings; handlers that loaded it keep it."""
        self._upstream.uninstrument()
