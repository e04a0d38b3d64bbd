"""Entry point `opentelemetry_configurator = otel_kpi`: what upstream's loader asks after the distro."""

from __future__ import annotations

import os
import sys
from typing import Any

from otel_kpi.distro import hide_from_loader
from otel_kpi.process import configure_process

# Python programs that only start the application. They inherit the environment of an instrumented parent, and
# what they would say of themselves is said again by what they become.
_LAUNCHERS = frozenset({"otel-kpi", "opentelemetry-instrument"})


class Configurator:
    """What the loader instantiates and calls."""

    def configure(self, **_: Any) -> None:
        """Configure the process from its environment; never raises, does nothing the second time."""
        if not _is_launcher():
            configure_process()
        hide_from_loader()


def _is_launcher() -> bool:
    # `sys.argv` is not there yet when `sitecustomize` runs.
    return any(os.path.basename(word) in _LAUNCHERS for word in sys.orig_argv[1:2])  # noqa: PTH119 - start-up
