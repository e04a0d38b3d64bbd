"""Entry point `opentelemetry_configurator = otel_kpi`: what upstream's loader asks after the distro."""

from __future__ import annotations

from typing import Any

from otel_kpi.distro import hide_from_loader
from otel_kpi.process import configure_process


class Configurator:
    """What the loader instantiates and calls."""

    def configure(self, **_: Any) -> None:
        """Configure the process from its environment; never raises, does nothing the second time."""
        configure_process()
        hide_from_loader()
