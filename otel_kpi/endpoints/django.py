"""Django: `path("", include("otel_kpi.endpoints.django"))`, and the project answers for its health and its metrics.

`ResponseTimeMiddleware`, first in `MIDDLEWARE`, adds response times to all of its responses.
"""

from __future__ import annotations

import logging
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import FileResponse, HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls import path as django_path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from opentelemetry import context

from otel_kpi import _compat
from otel_kpi.endpoints import slow_requests
from otel_kpi.endpoints.allow import Caller, allow_for
from otel_kpi.endpoints.catalogue import NO_STORE, installed
from otel_kpi.endpoints.response_times import RESPONSE_TIME, SERVER_TIMING, response_time, server_timing
from otel_kpi.instrumentation.servers.django_routes import readable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from otel_kpi.endpoints.allow import Allow, Allowed
    from otel_kpi.endpoints.catalogue import Endpoint

_logger: Final = logging.getLogger("otel_kpi.endpoints")

_urlpatterns: list[URLPattern] | None = None
_EVENT_STREAM: Final = "text/event-stream"
_MOST_ROUTES: Final = 10_000


# --- endpoints


def endpoints(
    *,
    prefix: str = "",
    paths: Mapping[str, str | None] = MappingProxyType({}),
    allow: Allowed | Mapping[str, Allowed] = None,
) -> list[URLPattern]:
    """Give the endpoints as patterns for `include()`.

    A route of the project with the same path wins, wherever it stands.

    Args:
        prefix: In front of every path.
        paths: By name (`otel_kpi.endpoints.ENDPOINTS`), another path, or None to leave it out.
        allow: Who may ask: None for everybody, `"loopback"`, `"private"`, networks, a predicate that takes a
            `Caller`, or one of these by name, `"*"` for the rest. Others get 403.
    """
    patterns: list[URLPattern] = []
    for endpoint, path in installed(prefix, paths):
        pattern: Any = django_path(
            path.lstrip("/"),
            _view(endpoint, allow_for(allow, endpoint.name)),
            name=f"otel_kpi_{endpoint.name}",
        )
        patterns.append(_Pattern(pattern.pattern, pattern.callback, pattern.default_args, pattern.name))
    return patterns


def _view(endpoint: Endpoint, allow: Allow) -> Callable[..., HttpResponse]:
    @csrf_exempt
    @require_safe
    def answer(request: Any, *_captured: Any, **_named: Any) -> HttpResponse:  # a prefix may capture
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not allow(Caller(request.META.get("REMOTE_ADDR") or None, headers)):
            return HttpResponse(b"Forbidden\n", status=403, content_type="text/plain")
        given = endpoint.ask(headers.get("accept"))
        response = HttpResponse(given.body, status=given.status, content_type=given.content_type)
        response[NO_STORE[0]] = NO_STORE[1]
        # Django logs each 503 as an error, of which AdminEmailHandler makes a mail: one for each probe.
        _compat.leave_response_unlogged(response)
        return response

    marked: Any = answer
    marked.otel_kpi_endpoint = endpoint.name  # by which it is known as ours
    marked.login_required = False  # a probe does not log in; `allow=` says who may ask
    return marked


class _Pattern(URLPattern):
    """Answers a path that no route of the project has."""

    def resolve(self, path: str) -> Any:
        match = super().resolve(path)
        if match is None:
            return None
        try:
            if self._is_taken():
                return None
        except Exception:
            _logger.debug("routes of the project could not be looked at", exc_info=True)
        return match

    def _is_taken(self) -> bool:
        # A resolver lives as long as its URLconf: tests exchange it, and it is another one then.
        resolver = get_resolver()
        known: tuple[Any, bool] | None = getattr(self, "_known", None)
        if known is None or known[0] is not resolver:
            routes = list(_routes(resolver, ""))
            mine = next((route for route, pattern in routes if pattern is self), None)
            taken = mine is not None and any(
                route.rstrip("/") == mine for route, pattern in routes if not isinstance(pattern, _Pattern)
            )
            if taken:
                _logger.warning("/%s stays the project's; paths= gives ours another", mine)
            known = resolver, taken
            self._known = known
        return known[1]


def _routes(resolver: Any, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    """Give every pattern with its whole route, as `path()` would write it."""
    for pattern in resolver.url_patterns[:_MOST_ROUTES]:
        route = f"{prefix}{readable(str(pattern.pattern))}"
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern, route)
        else:
            yield route, pattern


def __getattr__(name: str) -> Any:
    """Make the patterns when `include()` asks for them, and not for who takes the middleware alone."""
    global _urlpatterns
    if name != "urlpatterns":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _urlpatterns is None:
        _urlpatterns = endpoints()
    return _urlpatterns


# --- response times


class ResponseTimeMiddleware:
    """Adds `X-Response-Time` and `Server-Timing` to each response, and logs requests that are slow.

    Args:
        get_response: As Django hands it over.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self._get_response = get_response
        # asgiref's, as Django marks it: `inspect` sees the mark from Python 3.12 on.
        self._is_async = iscoroutinefunction(get_response)  # pyright: ignore[reportDeprecated]
        if self._is_async:
            markcoroutinefunction(self)

    @cached_property
    def _limit(self) -> float | None:
        # Not when the middlewares are loaded: telemetry may be configured later.
        return slow_requests.limit()

    def __call__(self, request: Any) -> Any:
        """Answer one request."""
        watch = slow_requests.Watch(self._limit)
        if self._is_async:
            return self._answer(request, self._get_response(request), watch)
        return self._timed(request, self._get_response(request), watch)

    async def _answer(self, request: Any, response: Awaitable[Any], watch: slow_requests.Watch) -> Any:
        return self._timed(request, await response, watch)

    def _timed(self, request: Any, response: Any, watch: slow_requests.Watch) -> Any:
        try:
            seconds = watch.seconds
            response[RESPONSE_TIME] = response_time(seconds)
            theirs = response.get(SERVER_TIMING)
            own = server_timing(seconds)
            response[SERVER_TIMING] = f"{theirs}, {own}" if theirs else own
            if watch.is_over:
                return response
            if _is_watched(response):
                content = _watched_async if response.is_async else _watched
                response.streaming_content = content(
                    response.streaming_content, _ending(request, response, watch)
                )
            else:
                _report(request, response, watch)
        except Exception:
            # A middleware of the application's may answer with what is no response.
            _logger.debug("a response has no times", exc_info=True)
        return response


def _report(request: Any, response: Any, watch: slow_requests.Watch) -> None:
    seconds = watch.end()
    if seconds is not None:
        slow_requests.report(request.method, _route(request), seconds, response.status_code)


def _ending(request: Any, response: Any, watch: slow_requests.Watch) -> Callable[[], None]:
    # The request's span ends when Django hands over the response, and its context is left then.
    inside = context.get_current()

    def end() -> None:
        token = context.attach(inside)
        try:
            _report(request, response, watch)
        finally:
            context.detach(token)

    return end


def _is_watched(response: Any) -> bool:
    """Say whether a response is read to its end here: not a file, which a server may send by itself."""
    return (
        response.streaming
        and not isinstance(response, FileResponse)
        and not response.get("Content-Type", "").startswith(_EVENT_STREAM)
    )


def _watched(parts: Any, end: Callable[[], None]) -> Iterator[bytes]:
    try:
        yield from parts
    finally:
        end()


async def _watched_async(parts: Any, end: Callable[[], None]) -> AsyncIterator[bytes]:
    try:
        async for part in parts:
            yield part
    finally:
        end()


def _route(request: Any) -> str | None:
    match = getattr(request, "resolver_match", None)
    return f"/{readable(match.route)}" if match is not None else None
