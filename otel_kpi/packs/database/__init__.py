"""Databases as a client sees them: the time of each operation, and the connections of pools."""

from __future__ import annotations

from otel_kpi.packs.database.instruments import PACK

__all__ = ["PACK"]
