"""The route of a request to a Starlette or FastAPI application, before it is routed, through every mount."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_kpi import _compat
from otel_kpi.instrumentation.servers.excluded_urls import is_endpoint, may_be_endpoint

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    Scope = MutableMapping[str, Any]


def route_of(scope: Scope) -> str | None:
    """Find the template of a request's path; None where there is none, or the application has no such routes."""
    try:
        return _route(scope["app"].routes, scope)
    except Exception:
        return None


def leads_to_endpoint(scope: Scope) -> bool:
    """Say whether a request ends in an endpoint of ours, `otel_kpi.endpoints`."""
    if not may_be_endpoint(scope["path"]):
        return False
    try:
        return is_endpoint(_endpoint(scope["app"].routes, scope))
    except Exception:
        return False


def _endpoint(routes: Any, scope: Scope) -> Any:
    from starlette.routing import Host, Match, Mount

    for route in _compat.matchable_routes(routes):
        match, child_scope = _compat.match_route(route, scope)
        if match is not Match.FULL:
            continue
        mount = _compat.original_route(route)
        if isinstance(mount, (Host, Mount)):
            return _endpoint(mount.routes or [], {**scope, **child_scope})
        return child_scope.get("endpoint")
    return None


def _route(routes: Any, scope: Scope) -> str | None:
    """Find the template of the path, the mounts' prefixes included.

    Matching follows Starlette: the first full match, else the first that fits but for its method.
    """
    from starlette.routing import Host, Match, Mount

    partial: str | None = None
    for route in _compat.matchable_routes(routes):
        match, child_scope = _compat.match_route(route, scope)
        if match is Match.NONE:
            continue
        path: str | None = getattr(route, "path", None)
        mount = _compat.original_route(route)
        if isinstance(mount, (Host, Mount)):
            path = mount.path if isinstance(mount, Mount) else ""
            inner = _route(mount.routes or [], {**scope, **child_scope})
            if inner is not None:
                path = f"{path}{inner}" if inner != "/" or not path else f"{path}/"
        if match is Match.FULL:
            return path
        if partial is None:
            partial = path
    return partial
