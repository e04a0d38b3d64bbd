"""What telemetry says of itself: what was sent, what was lost, and which errors did not reach the application."""

from __future__ import annotations

from otel_kpi.packs.telemetry.instruments import PACK

__all__ = ["PACK"]
