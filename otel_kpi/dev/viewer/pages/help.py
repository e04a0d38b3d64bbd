"""Help: keys, addresses, what to run, what to ask by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import Route

from otel_kpi.dev.viewer.rendering import page

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

ADDRESSES: Final = (
    ("/traces", "Traces", "service, operation, status, kind, min, max, from, to, q"),
    ("/traces/{id}", "A trace", "span, view, collapsed, opened, gaps, repeats"),
    ("/compare", "Two traces", "a, b"),
    ("/map", "Service map", "hours"),
    ("/llm", "Language models", "range, by, model, provider, feature, tenant, status"),
    ("/pipelines", "Pipelines", "range, pipeline, status"),
    ("/errors", "Errors", "q, service"),
    ("/errors/{id}", "An error", "occurrence"),
    ("/instruments", "Metrics", "q, service"),
    ("/instruments/{id}", "An instrument", "window, by, service, where"),
    ("/logs", "Logs", "q, level, service, trace"),
    ("/telemetry", "Telemetry", "minutes"),
)
"""Pages whose address says what they show: path, name, words of the query."""


def _help(request: Request) -> Response:
    return page(request, "help.html", addresses=ADDRESSES)


ROUTES: Final[list[BaseRoute]] = [Route("/help", _help)]
