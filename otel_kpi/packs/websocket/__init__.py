"""WebSockets: connections, messages and events, counted exactly; a trace for each message that does something.

Connections and messages of ASGI applications are counted by the instrumentors. The application says what its events
are: `published`, `delivered`, `delivery`, `subscription`, `filters`, `buffer`, `batch`. `inject` and `message` carry a
trace from one side to the other. `connection`, or `connected` and `disconnected`, count where no instrumentor does.
"""

from __future__ import annotations

from otel_kpi.packs.websocket.connections import Connection
from otel_kpi.packs.websocket.events import (
    batch,
    delivered,
    delivery,
    delivery_duration,
    published,
    subscription,
)
from otel_kpi.packs.websocket.instruments import PACK
from otel_kpi.packs.websocket.levels import buffer, filters
from otel_kpi.packs.websocket.messages import inject, message
from otel_kpi.packs.websocket.serving import connected, connection, disconnected

__all__ = [
    "PACK",
    "Connection",
    "batch",
    "buffer",
    "connected",
    "connection",
    "delivered",
    "delivery",
    "delivery_duration",
    "disconnected",
    "filters",
    "inject",
    "message",
    "published",
    "subscription",
]
