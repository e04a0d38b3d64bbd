"""Databases as a client sees them: the time of each operation, and the connections of pools.

Recorded by instrumentors. `connections_in_use()` is for who has another name for that figure.
"""

from __future__ import annotations

from otel_kpi.packs.database.instruments import PACK
from otel_kpi.packs.database.pools import connections_in_use

__all__ = ["PACK", "connections_in_use"]
