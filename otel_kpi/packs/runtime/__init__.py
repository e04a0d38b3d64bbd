"""The process and its interpreter: CPU, memory, threads, event loops, garbage collection. Recorded without any call."""

from __future__ import annotations

from otel_kpi.packs.runtime.instruments import PACK

__all__ = ["PACK"]
