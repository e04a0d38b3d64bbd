"""Django, instrumented by upstream at the first moment when the project's settings are known.

An unchanged `startproject` imports django before it names its settings. Upstream's instrumentor, called then,
runs `settings.configure()` with empty ones: no URLs, one middleware, every request fails.
`BaseHandler.load_middleware` is the first moment at which settings must exist, for WSGI and ASGI alike, and the
last at which the list of middlewares can still change.

Django logs a response of 4xx after its middlewares, when upstream's has ended the span and left its context: the
record is written in that context again. A path that is not traced takes what its view does along. Where a server
or another application has begun the request already, upstream's middleware fills in that SERVER span and makes
none of its own. A route that is a regular expression is written as a path would be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, propagate, trace

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.servers import server_address
from otel_kpi.instrumentation.servers.django_routes import readable
from otel_kpi.instrumentation.servers.excluded_urls import (
    exclude_list,
    excluded_context,
    excluded_urls,
    is_endpoint,
    is_excluded,
    may_be_endpoint,
)
from otel_kpi.instrumentation.servers.server_request import MARK, ServerRequest, current_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

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
        self._excluded: Any = None

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
        boundary = Boundary("django")
        guarded = boundary.wrap(_log_response)
        wrap_function_wrapper("django.core.handlers.base", "log_response", guarded)
        self._excluded = exclude_list("DJANGO")
        _compat.exclude_from_django(is_excluded)
        _compat.share_django_span(_begun_span)
        _compat.wrap_django_routes(readable, boundary.wrap)
        _compat.measure_refused_hosts(boundary.wrap)
        wrap_function_wrapper("django.core.handlers.base", "BaseHandler.get_response", self._get_response)
        wrap_function_wrapper(
            "django.core.handlers.base", "BaseHandler.get_response_async", self._get_response_async
        )

    def uninstrument(self) -> None:
        """Take the middleware out of the settings; handlers that loaded it keep it."""
        from opentelemetry.instrumentation.utils import unwrap

        for name in ("log_response", "BaseHandler.get_response", "BaseHandler.get_response_async"):
            path, _, attribute = f"django.core.handlers.base.{name}".rpartition(".")
            unwrap(path, attribute)
        _compat.unmeasure_refused_hosts()
        _compat.unwrap_django_routes()
        _compat.unshare_django_span()
        self._upstream.uninstrument()

    def _get_response(self, wrapped: Any, _handler: Any, args: Any, kwargs: Any) -> Any:
        untraced = self._untraced(*args, **kwargs)
        if untraced is None:
            return wrapped(*args, **kwargs)
        token = context.attach(untraced)
        try:
            return wrapped(*args, **kwargs)
        finally:
            context.detach(token)

    async def _get_response_async(self, wrapped: Any, _handler: Any, args: Any, kwargs: Any) -> Any:
        untraced = self._untraced(*args, **kwargs)
        if untraced is None:
            return await wrapped(*args, **kwargs)
        token = context.attach(untraced)
        try:
            return await wrapped(*args, **kwargs)
        finally:
            context.detach(token)

    def _untraced(self, request: Any) -> Context | None:
        """Give the context of a request that leaves no trace, `None` for every other."""
        try:
            excluded = self._excluded.url_disabled(request.build_absolute_uri("?"))
            if not excluded and not _leads_to_endpoint(request):
                return None
            return excluded_context(
                propagate.extract({key.lower(): value for key, value in request.headers.items()})
            )
        except Exception:
            return None  # a host that Django refuses: its own answer to that is on its way


def _leads_to_endpoint(request: Any) -> bool:
    if not may_be_endpoint(request.path_info):
        return False
    from django.urls import resolve

    try:
        return is_endpoint(resolve(request.path_info, getattr(request, "urlconf", None)).func)
    except Exception:
        return False  # nothing is there, which is Django's to say


class _Shared(trace.NonRecordingSpan):
    """The SERVER span of a request that somebody else has begun, and will end."""

    def __init__(self, span: trace.Span) -> None:
        super().__init__(span.get_span_context())
        self._span = span
        self.kind = trace.SpanKind.SERVER

    def is_recording(self) -> bool:
        return self._span.is_recording()

    def set_attribute(self, key: str, value: Any) -> None:
        self._span.set_attribute(key, value)

    def set_attributes(self, attributes: Any) -> None:
        self._span.set_attributes(attributes)

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self._span.add_event(name, attributes, timestamp)

    def set_status(self, status: Any, description: str | None = None) -> None:
        self._span.set_status(status, description)

    def record_exception(self, exception: BaseException, *rest: Any, **options: Any) -> None:
        self._span.record_exception(exception, *rest, **options)


def _begun_span(name: str) -> trace.Span | None:
    begun = current_request()
    if begun is None or begun.span is None:
        return None
    if name and "http.route" not in begun.attributes:
        begun.span.update_name(name)
    begun.measured = False  # upstream's middleware does it, with the route
    return _Shared(begun.span)


def _remember_span(span: trace.Span, request: Any) -> None:
    setattr(request, _SPAN, span)
    scope = getattr(request, "scope", None)  # under ASGI only
    # The server's own records of the request come when upstream's middleware has left its context.
    begun = ServerRequest(request.method or "")
    begun.span = span
    (request.META if scope is None else scope).setdefault(MARK, begun)
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
