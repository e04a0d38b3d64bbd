"""Security: intrusions, authentication, rate limits, sanitised input and suspicious clients."""

from __future__ import annotations

from otel_kpi.packs.security.instruments import PACK

__all__ = ["PACK"]
