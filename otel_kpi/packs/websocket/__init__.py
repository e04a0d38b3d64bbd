"""WebSockets: connections, messages and events, counted exactly; a trace for each message that does something."""

from __future__ import annotations

from otel_kpi.packs.websocket.instruments import PACK

__all__ = ["PACK"]
