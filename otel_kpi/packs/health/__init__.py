"""Health checks as series. Recorded by `otel_kpi.health`, without any call."""

from __future__ import annotations

from otel_kpi.packs.health.instruments import PACK

__all__ = ["PACK"]
