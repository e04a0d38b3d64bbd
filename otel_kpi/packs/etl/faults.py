"""What went wrong in the pack itself: see `packs.faults`."""

from __future__ import annotations

from otel_kpi.packs.faults import counted, failed

__all__ = ["counted", "failed"]
