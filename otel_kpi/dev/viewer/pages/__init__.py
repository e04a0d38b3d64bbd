"""Each page is a module with `ROUTES`: what it asks of the store, and which template draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_kpi.dev.viewer import files
from otel_kpi.dev.viewer.pages import errors, llm, pipelines, trace, traces

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

ROUTES: Final[list[BaseRoute]] = [*files.ROUTES, *errors.ROUTES, *llm.ROUTES, *pipelines.ROUTES, *traces.ROUTES, *trace.ROUTES]
