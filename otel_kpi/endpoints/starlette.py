"""FastAPI and Starlette: `add_endpoints(app)`, and the application answers for its health and its metrics."""

from __future__ import annotations

import logging
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import Response
from starlette.routing import Host, Match, Mount, Route, WebSocketRoute

from otel_kpi import _compat
from otel_kpi.endpoints.allow import Caller, allow_for
from otel_kpi.endpoints.catalogue import NO_STORE, installed
from otel_kpi.endpoints.openapi import operation
from otel_kpi.endpoints.response_times import ResponseTimes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.applications import Starlette
    from starlette.requests import Request

    from otel_kpi.endpoints.allow import Allow, Allowed
    from otel_kpi.endpoints.catalogue import Endpoint
    from otel_kpi.exposition.answer import Answer

_logger: Final = logging.getLogger("otel_kpi.endpoints")

_AT_ONCE: Final = 2
"""Threads that collect metrics at a time: not those that the application's own functions run in."""

_threads: Final[RunVar[CapacityLimiter]] = RunVar("otel_kpi_endpoints")


def add_endpoints(  # noqa: PLR0913 - what a person may choose
    app: Starlette,
    *,
    prefix: str = "",
    paths: Mapping[str, str | None] = MappingProxyType({}),
    allow: Allowed | Mapping[str, Allowed] = None,
    in_schema: bool = True,
    response_times: bool = True,
) -> None:
    """Add the endpoints to an application, and response times to all of its responses.

    A route of the application with the same path wins, whenever it is added. The endpoints pass through the
    application's middlewares and not through the dependencies of a FastAPI application.

    Args:
        app: A Starlette or FastAPI application; one that is mounted in another as well.
        prefix: In front of every path.
        paths: By name (`otel_kpi.endpoints.ENDPOINTS`), another path, or None to leave it out.
        allow: Who may ask: None for everybody, `"loopback"`, `"private"`, networks, a predicate that takes a
            `Caller`, or one of these by name, `"*"` for the rest. Others get 403.
        in_schema: Whether `/openapi.json` of a FastAPI application describes them.
        response_times: Whether to add `X-Response-Time` and `Server-Timing`, and to log slow requests.

    Never raises.
    """
    try:
        there = {each.path for each in app.router.routes if isinstance(each, _Route)}
        placed = installed(prefix, paths)
        own = [
            _Route(app, path, endpoint, allow_for(allow, endpoint.name))
            for endpoint, path in placed
            if path not in there
        ]
        if allow is not None and len(own) < len(placed):
            _logger.warning("endpoints were added before: who may ask is what that call says, not this one")
        # In front of what takes every path; `_Route` lets those that take the same one go first.
        app.router.routes[:0] = own
        if in_schema:
            _add_to_schema(app, own)
        if response_times:
            _add_response_times(app)
    except Exception:
        _logger.exception("endpoints were not added; the application is not affected")


def _add_response_times(app: Any) -> None:
    if app.middleware_stack is not None:
        app.middleware_stack = ResponseTimes(app.middleware_stack)
        return
    build: Callable[[], Any] = app.build_middleware_stack

    # Not `add_middleware`: what makes a 500 of an error stands outside of those, and its response would have none.
    def build_middleware_stack() -> Any:
        stack = build()
        return (
            _TimedErrors.around(stack) if isinstance(stack, ServerErrorMiddleware) else ResponseTimes(stack)
        )

    app.build_middleware_stack = build_middleware_stack


class _TimedErrors(ServerErrorMiddleware):
    """Times what it makes of an error too.

    It is of the class that upstream's FastAPI instrumentor wants to find outside, since it does without the
    application otherwise. Upstream keeps what is inside of it alone, so the times are taken there as well.
    """

    @classmethod
    def around(cls, stack: ServerErrorMiddleware) -> _TimedErrors:
        """Take the place of one."""
        return cls(ResponseTimes(stack.app), stack.handler, stack.debug)

    def __init__(self, app: Any, handler: Any = None, debug: bool = False) -> None:  # noqa: FBT001, FBT002 - as it is
        super().__init__(app, handler, debug)
        self._timed = ResponseTimes(super().__call__)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._timed(scope, receive, send)


def _view(endpoint: Endpoint, allow: Allow) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        address = request.client.host if request.client is not None else None
        if not allow(Caller(address, request.headers)):
            return Response("Forbidden\n", 403, media_type="text/plain")
        accept = request.headers.get("accept")
        if endpoint.quick:
            return _response(endpoint.ask(accept))
        return _response(await anyio.to_thread.run_sync(endpoint.ask, accept, limiter=_limiter()))

    answer.__name__ = f"otel_kpi_{endpoint.name}"
    answer.otel_kpi_endpoint = endpoint.name  # type: ignore[attr-defined] # by which it is known as ours
    return answer


def _limiter() -> CapacityLimiter:
    try:
        return _threads.get()
    except LookupError:
        limiter = CapacityLimiter(_AT_ONCE)
        _threads.set(limiter)
        return limiter


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, dict((NO_STORE, ("Content-Type", answer.content_type))))


class _Route(Route):
    """Answers a path that no route of the application has."""

    def __init__(self, app: Starlette, path: str, endpoint: Endpoint, allow: Allow) -> None:
        super().__init__(
            path,
            _view(endpoint, allow),
            methods=["GET"],
            name=f"otel_kpi_{endpoint.name}",
            include_in_schema=False,
        )
        self.described = endpoint
        self._application = app
        self._looked_at = -1
        self._taken = False

    def matches(self, scope: Any) -> tuple[Match, Any]:
        """Match as any route does, unless the application has one."""
        # Every request comes by: a comparison costs a tenth of a match.
        if scope["type"] != "http" or not scope["path"].endswith(self.path):
            return Match.NONE, {}
        match, child_scope = super().matches(scope)
        if match is Match.NONE or self.is_taken():
            return Match.NONE, {}
        return match, child_scope

    def is_taken(self) -> bool:
        """Say whether the application has a route with this path. The first time that it does, the log says so."""
        routes = self._application.router.routes
        if len(routes) != self._looked_at:
            taken = _has(routes, self.path)
            if taken and not self._taken:
                _logger.warning("%s stays the application's; paths= gives ours another", self.path)
            self._looked_at, self._taken = len(routes), taken
        return self._taken


def _has(routes: Any, path: str) -> bool:
    """Say whether routes of an application answer GET to just this path, or may."""
    for route in _compat.matchable_routes(routes):
        original = _compat.original_route(route)
        if isinstance(original, (_Route, WebSocketRoute)):
            continue
        if isinstance(original, Host):
            if _has(original.routes or [], path):
                return True
        elif isinstance(original, Mount):
            if _mount_has(original, path):
                return True
        else:
            theirs: str | None = getattr(route, "path", None)
            methods = getattr(route, "methods", None)
            if (
                theirs is not None
                and theirs.rstrip("/") == path.rstrip("/")
                and (not methods or "GET" in methods)
            ):
                return True
    return False


def _mount_has(mount: Mount, path: str) -> bool:
    inside = path.removeprefix(mount.path)
    if mount.path and (inside == path or not inside.startswith("/")):
        return False
    routes = mount.routes
    # Files or another framework at the root take everything, which is no reason to answer nothing; below a path of
    # their own, that path is theirs.
    return _has(routes, inside) if routes else bool(mount.path)


def _add_to_schema(app: Any, own: list[_Route]) -> None:
    """Have the schema of a FastAPI application describe the endpoints that answer.

    In FastAPI's own way of extending it. A route that is there to be described would be matched at each request.
    """
    generate: Callable[[], dict[str, Any]] | None = getattr(app, "openapi", None)
    if generate is None or not own:
        return

    def openapi() -> dict[str, Any]:
        schema = generate()
        paths = schema.setdefault("paths", {})
        for route in own:
            if not route.is_taken():
                paths.setdefault(route.path, {}).setdefault("get", operation(route.described))
        return schema

    app.openapi = openapi
