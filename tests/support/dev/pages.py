"""The pages that a person finds by the navigation."""

from __future__ import annotations

from typing import Final

PAGES: Final = (
    "/",
    "/traces",
    "/map",
    "/llm",
    "/pipelines",
    "/errors",
    "/instruments",
    "/logs",
    "/telemetry",
)
