"""One SQLite file: one writer, any number of readers.

`schema.py` has the tables, `writing.py` fills them, `reading/` asks them, `retention.py` forgets.
"""

from __future__ import annotations

from otel_kpi.dev.store.files import StoreError
from otel_kpi.dev.store.keeping import Store

__all__ = ["Store", "StoreError"]
