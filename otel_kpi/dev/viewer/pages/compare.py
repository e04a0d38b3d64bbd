"""Two traces beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from otel_kpi.dev.viewer import waterfall
from otel_kpi.dev.viewer.likeness import compare
from otel_kpi.dev.viewer.rendering import page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from otel_kpi.dev.state import Dev

MOST: Final = 2_000
"""Places that are shown."""


def _compare(request: Request) -> Response:
    """Two traces by structure: `a` and `b` are their ids."""
    dev: Dev = request.app.state.dev
    ids = [request.query_params.get(key, "").strip() for key in ("a", "b")]
    found = [dev.traces.trace(identity) if identity else None for identity in ids]
    first, second = found
    if first is None or second is None:
        absent = [identity for identity, one in zip(ids, found, strict=True) if identity and one is None]
        return page(
            request,
            "compare.html",
            404 if absent else 200,
            ids=ids,
            absent=absent,
            places=None,
            sides=(),
            most=MOST,
            widest=1,
        )
    laid = [waterfall.lay_out(one, fold=False) for one in (first, second)]
    places = compare(*laid)
    return page(
        request,
        "compare.html",
        ids=ids,
        absent=[],
        places=places,
        sides=[
            (letter, one, next((row for row in one.rows if row.kind == "span"), None), identity)
            for letter, one, identity in zip("ab", laid, ids, strict=True)
        ],
        most=MOST,
        widest=max((abs(place.difference) for place in places), default=1) or 1,
    )


ROUTES: Final[list[BaseRoute]] = [Route("/compare", _compare)]
