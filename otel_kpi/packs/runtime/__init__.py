"""The process and its interpreter: CPU, memory, threads, event loops, garbage collection.

Recorded without any call. `watch_loop` is for an event loop that is of neither asyncio nor uvloop.
"""

from __future__ import annotations

from otel_kpi.packs.runtime.event_loop import watch_loop
from otel_kpi.packs.runtime.instruments import PACK

__all__ = ["PACK", "watch_loop"]
