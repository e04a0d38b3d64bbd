"""Private parts of upstream's instrumentors, and of libraries that are instrumented."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

# --- opentelemetry-instrumentation-fastapi and -asgi: routes


def matchable_routes(routes: Any) -> Any:
    """Flatten the routes of a FastAPI application; routers that are included became nodes of a tree in 0.137.

    Those of a Starlette application in a process without FastAPI are flat, and upstream's module needs FastAPI.
    """
    if "fastapi" not in sys.modules:
        return routes
    from opentelemetry.instrumentation.fastapi import _flatten_routes

    return _flatten_routes(routes)


def match_route(route: Any, scope: Any) -> tuple[Any, Any]:
    """Match a route against a scope as upstream does, past what FastAPI overrides; give match and child scope."""
    from starlette.routing import Route

    overridden = isinstance(route, Route) and any(
        cls.__module__ == "fastapi.routing" for cls in type(route).__mro__
    )
    return Route.matches(route, scope) if overridden else route.matches(scope)


def original_route(route: Any) -> Any:
    """Give the route behind FastAPI's `RouteContext` (0.137.2), or the route itself."""
    return getattr(route, "original_route", route)


def known_method(method: str) -> str:
    """Give the HTTP method for a span name: `HTTP` for those that the conventions do not know."""
    from opentelemetry.util.http import sanitize_method

    known = sanitize_method(method)
    return "HTTP" if known == "_OTHER" else known


# --- opentelemetry-instrumentation: suppression


def suppressed_context(flag: object) -> Context:
    """Give the current context in which instrumentors are silent as long as `flag` is true.

    Drivers that upstream instruments look at this key only for truth.
    """
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, set_value

    return set_value(_SUPPRESS_INSTRUMENTATION_KEY, flag)


def instrumentation_enabled() -> bool:
    """Say whether nobody asked for silence in the current context."""
    from opentelemetry.instrumentation.utils import is_instrumentation_enabled

    return is_instrumentation_enabled()


def suppressed() -> bool:
    """Say whether an exporter, or who wants its silence, runs in the current context.

    Our own flag during a statement is an object that is true, not `True`: records of then are the application's.
    """
    from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, get_value

    return get_value(_SUPPRESS_INSTRUMENTATION_KEY) is True


# --- opentelemetry-instrumentation: generations of the HTTP conventions


def http_conventions() -> Any:
    """Give the generation of the HTTP conventions that is in force; nothing public says which."""
    from opentelemetry.instrumentation import _semconv

    stability = _semconv._OpenTelemetrySemanticConventionStability
    stability._initialize()
    return stability._get_opentelemetry_stability_opt_in_mode(_semconv._OpenTelemetryStabilitySignalType.HTTP)


def http_reports(conventions: Any) -> tuple[bool, bool]:
    """Say whether a generation has the old names, and whether it has the stable ones."""
    from opentelemetry.instrumentation import _semconv

    return _semconv._report_old(conventions), _semconv._report_new(conventions)


def http_schema_url(conventions: Any) -> str:
    """Give the schema of a generation of the HTTP conventions."""
    from opentelemetry.instrumentation import _semconv

    return _semconv._get_schema_url(conventions)


def duration_attributes(attributes: Any, *, stable: bool) -> dict[str, Any]:
    """Give those attributes of a request that its duration is recorded with; upstream keeps the lists to itself."""
    from opentelemetry.instrumentation import _semconv

    names = _semconv._server_duration_attrs_new if stable else _semconv._server_duration_attrs_old
    return {name: value for name, value in attributes.items() if name in names}


def active_attributes(attributes: Any, conventions: Any) -> dict[str, Any]:
    """Give those attributes of a request that it is counted with while it runs."""
    from opentelemetry.instrumentation import _semconv

    old, new = (
        _semconv._server_active_requests_count_attrs_old,
        _semconv._server_active_requests_count_attrs_new,
    )
    return _semconv._filter_semconv_active_request_count_attr(attributes, old, new, conventions)


# --- opentelemetry-instrumentation-asgi and -django: the span of a request


def on_asgi_span(middleware: Any, callback: Callable[[Any, Any, Any], None]) -> None:
    """Call `callback(scope, span, attributes)` for each request of one of upstream's ASGI middlewares.

    The attributes are those that the metrics of the request will have: what is added to them counts. A hook is
    public, but is given the span alone.
    """
    original = middleware._get_otel_send

    def get_otel_send(span: Any, name: Any, scope: Any, send: Any, attributes: Any) -> Any:
        callback(scope, span, attributes)
        return original(span, name, scope, send, attributes)

    middleware._get_otel_send = get_otel_send


def exclude_from_django(also: Callable[[], bool]) -> None:
    """Have upstream's Django middleware pass over what `also()` says, beside its own list.

    Touches `_DjangoMiddleware._excluded_urls`: a list of expressions over the URL, where what answers the request is
    what counts.
    """
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware

    listed: Any = _DjangoMiddleware._excluded_urls

    class _Excluded:
        def url_disabled(self, url: str) -> bool:
            return also() or listed.url_disabled(url)

    excluded: Any = _Excluded()
    _DjangoMiddleware._excluded_urls = excluded


def share_django_span(shared: Callable[[str], Any]) -> None:
    """Have upstream's Django middleware take the span that `shared(name)` gives, where it gives one, for its own.

    Under a span it would start an INTERNAL one otherwise, which no option turns off.
    """
    from opentelemetry.instrumentation.django.middleware import otel_middleware
    from wrapt import wrap_function_wrapper

    def start(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        span = shared(kwargs.get("span_name", ""))
        return (span, None) if span is not None else wrapped(*args, **kwargs)

    wrap_function_wrapper(otel_middleware, "_start_internal_or_server_span", start)


def unshare_django_span() -> None:
    """Undo `share_django_span`."""
    from opentelemetry.instrumentation.django.middleware import otel_middleware
    from opentelemetry.instrumentation.utils import unwrap

    unwrap(otel_middleware, "_start_internal_or_server_span")


def wrap_django_routes(read: Callable[[str], str], guard: Callable[[Any], Any]) -> None:
    """Have upstream's Django middleware write `read(route)` where it writes a route: name, attribute, metric.

    Args:
        read: Gives the route as it shall be written.
        guard: Put around what is wrapped.
    """
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
    from wrapt import wrap_function_wrapper

    def name(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        method, blank, route = wrapped(*args, **kwargs).partition(" ")
        return f"{method}{blank}{read(route)}"

    def view(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        result = wrapped(*args, **kwargs)
        request = args[0]
        span = request.META.get(_DjangoMiddleware._environ_span_key)
        written = getattr(getattr(request, "resolver_match", None), "route", None)
        if span is None or not written or read(written) == written:
            return result
        span.set_attribute("http.route", read(written))
        measured = request.META[_DjangoMiddleware._environ_duration_attr_key]
        for key in ("http.route", "http.target"):
            if measured.get(key) == written:
                measured[key] = read(written)
        return result

    wrap_function_wrapper(_DjangoMiddleware, "_get_span_name", guard(name))
    wrap_function_wrapper(_DjangoMiddleware, "process_view", guard(view))


def unwrap_django_routes() -> None:
    """Undo `wrap_django_routes`."""
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
    from opentelemetry.instrumentation.utils import unwrap

    unwrap(_DjangoMiddleware, "_get_span_name")
    unwrap(_DjangoMiddleware, "process_view")


_DJANGO_METHODS: Final = ("process_request", "process_view", "process_exception", "process_response")


def measure_refused_hosts(guard: Callable[[Any], Any]) -> None:
    """Have upstream's Django middleware see requests whose host is not in `ALLOWED_HOSTS`, which Django answers with 400.

    Each of its methods asks `request.build_absolute_uri()` for the URL to look up in its list of exclusions, which
    raises for such a host (opentelemetry-python-contrib, issue 1781): no span, no metric, and ten of them, which any
    scanner sends, are as many errors as switch an instrumentor off. Where the host is refused they are given a request
    that tells its path instead.
    """
    from django.core.exceptions import SuspiciousOperation
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
    from wrapt import ObjectProxy, wrap_function_wrapper

    class _Refused(ObjectProxy):  # pyright: ignore[reportMissingTypeArgument] # it takes none at run time
        def build_absolute_uri(self, _location: str | None = None) -> str:
            return f"{self.scheme}://{self.path}"

    def call(wrapped: Any, _instance: Any, args: Any, kwargs: Any) -> Any:
        try:
            args[0].get_host()
        except SuspiciousOperation:
            args = (_Refused(args[0]), *args[1:])
        return wrapped(*args, **kwargs)

    for name in _DJANGO_METHODS:
        wrap_function_wrapper(_DjangoMiddleware, name, guard(call))


def unmeasure_refused_hosts() -> None:
    """Undo `measure_refused_hosts`."""
    from opentelemetry.instrumentation.django.middleware.otel_middleware import _DjangoMiddleware
    from opentelemetry.instrumentation.utils import unwrap

    for name in _DJANGO_METHODS:
        unwrap(_DjangoMiddleware, name)


def leave_response_unlogged(response: Any) -> None:
    """Have Django write no line about a response, whatever its status.

    Touches `_has_been_logged`, by which Django keeps itself from doing so twice; the logger `django.request` is the
    project's, and a filter on it would have to know every handler.
    """
    response._has_been_logged = True


# --- aiohttp


def wrap_aiohttp_requests(wrapper: Callable[..., Any]) -> None:
    """Wrap `RequestHandler._handle_request(request, start, handler)`, in which a server has a request answered.

    It gives `(response, reset)`. Around it there is nothing public: a middleware is inside of an application, and
    errors, unreadable requests and access lines are the server's.
    """
    from wrapt import wrap_function_wrapper

    wrap_function_wrapper("aiohttp.web_protocol", "RequestHandler._handle_request", wrapper)


def unwrap_aiohttp_requests() -> None:
    """Undo `wrap_aiohttp_requests`."""
    from opentelemetry.instrumentation.utils import unwrap

    unwrap("aiohttp.web_protocol.RequestHandler", "_handle_request")


# --- granian


def wrap_granian_application(kind: str, wrapper: Callable[..., Any]) -> None:
    """Wrap what granian puts around an application of that kind (`asgi` or `wsgi`) before Rust calls it.

    Its workers load the application in Rust and hand it to this function; nothing public is passed on the way.
    """
    from wrapt import wrap_function_wrapper

    wrap_function_wrapper(f"granian.{kind}", "_callback_wrapper", wrapper)


def unwrap_granian_application(kind: str) -> None:
    """Undo `wrap_granian_application`."""
    from opentelemetry.instrumentation.utils import unwrap

    unwrap(f"granian.{kind}", "_callback_wrapper")


# --- opentelemetry-instrumentation-botocore


def keep_lambda_payloads() -> None:
    """Keep upstream from writing the trace into the payload of a Lambda invocation; no option says so."""
    from opentelemetry.instrumentation.botocore.extensions import lmbd

    def leave(_context: Any) -> None:
        return None

    lmbd._OpInvoke._inject_current_span = staticmethod(leave)  # type: ignore[method-assign] # what this is for
