"""What a piece of code tells, as something a test can ask: spans, statements, cost, metrics, log records.

In pytest the fixture `otel_kpi_capture` has it; elsewhere `with capture() as captured:` does. docs/testing.md shows both.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otel_kpi.testing.capturing import Capture, capture
    from otel_kpi.testing.logs import Logs
    from otel_kpi.testing.measurements import Measured
    from otel_kpi.testing.spans import Spans, Statements

__all__ = ["Capture", "Logs", "Measured", "Spans", "Statements", "capture"]

_LAZY = {
    "Capture": "capturing",
    "Logs": "logs",
    "Measured": "measurements",
    "Spans": "spans",
    "Statements": "spans",
    "capture": "capturing",
}
"""pytest loads the plugin in this package in every project of an environment: what it does not use costs nothing."""


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)
