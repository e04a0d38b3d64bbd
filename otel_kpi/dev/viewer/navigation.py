"""The pages in their order, each with its key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Place:
    """A page that every page leads to.

    Attributes:
        key: The key that opens it.
        traces: It reads traces alone, so it is there for another Jaeger, too.
    """

    name: str
    path: str
    key: str
    icon: str
    traces: bool = False
    current: bool = False


PLACES: Final = (
    Place("Live", "/", "o", "live"),
    Place("Traces", "/traces", "t", "traces", traces=True),
    Place("Service map", "/map", "s", "map", traces=True),
    Place("LLM", "/llm", "i", "llm"),
    Place("Pipelines", "/pipelines", "p", "pipelines"),
    Place("Errors", "/errors", "e", "errors"),
    Place("Metrics", "/instruments", "m", "metrics"),
    Place("Logs", "/logs", "l", "logs"),
    Place("Telemetry", "/telemetry", "y", "telemetry"),
)


def navigation(path: str, *, store: bool) -> list[Place]:
    """The pages there are, and which of them this one belongs to.

    Args:
        path: Of this page.
        store: There is a store of our own; else a Jaeger is looked at, which has traces alone.
    """
    first = "/" + path.lstrip("/").split("/", 1)[0]
    belongs = {"/compare": "/traces"}.get(first, first)
    return [
        Place(one.name, one.path, one.key, one.icon, one.traces, one.path == belongs)
        for one in PLACES
        if store or one.traces
    ]
