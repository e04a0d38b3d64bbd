"""The service map: who calls whom, as a drawing and as a table."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from otel_kpi.dev.viewer.graph import MOST_SERVICES, draw
from otel_kpi.dev.viewer.rendering import colours, page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev

_HOURS: Final = {"1": "last hour", "24": "last day", "168": "last week"}
_DEFAULT: Final = "168"
_HOUR: Final = 3_600_000_000_000


def _map(request: Request) -> Response:
    """Calls between services in the last `hours`."""
    dev: Dev = request.app.state.dev
    wanted = request.query_params.get("hours", _DEFAULT)
    hours = wanted if wanted in _HOURS else _DEFAULT
    now = time.time_ns()
    # A minute ahead: clocks differ.
    found = dev.traces.dependencies(now - int(hours) * _HOUR, now + 60_000_000_000)
    edges = sorted(found, key=lambda edge: (-edge.calls, edge.parent, edge.child))
    return page(
        request,
        "map.html",
        edges=edges,
        drawing=draw(edges, colours(request)),
        hours=hours,
        choices=_HOURS,
        services=len({service for edge in edges for service in (edge.parent, edge.child)}),
        most=MOST_SERVICES,
    )


ROUTES: Final[list[BaseRoute]] = [Route("/map", _map)]
