"""Functions of the application: how long their calls take, and which fail. `otel_kpi.timed` is the whole of it."""

from otel_kpi.packs.code.instruments import PACK
from otel_kpi.packs.code.timed import timed

__all__ = ["PACK", "timed"]
