"""Each page is a module with `ROUTES`: what it asks of the store, and which template draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_kpi.dev.viewer import files
from otel_kpi.dev.viewer.pages import (
    compare,
    errors,
    help,  # noqa: A004 - the page is called so
    instruments,
    live,
    llm,
    logs,
    map,  # noqa: A004 - the page is called so
    pipelines,
    telemetry,
    trace,
    traces,
)

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

ROUTES: Final[list[BaseRoute]] = [
    *files.ROUTES,
    *live.ROUTES,
    *instruments.ROUTES,
    *logs.ROUTES,
    *telemetry.ROUTES,
    *errors.ROUTES,
    *llm.ROUTES,
    *pipelines.ROUTES,
    *traces.ROUTES,
    *trace.ROUTES,
    *compare.ROUTES,
    *map.ROUTES,
    *help.ROUTES,
]
