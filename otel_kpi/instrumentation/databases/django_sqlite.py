"""Django on SQLite: no span for the statements that are Django's own.

To note a query with its parameters when `DEBUG = True`, Django has SQLite quote them: `SELECT QUOTE(?)`, once more for
each query that the application made. And it begins transactions by a statement, where the drivers of other databases
do so by themselves.
"""

from __future__ import annotations

from typing import Any

from otel_kpi import _compat
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.instrumentation.databases.silence import in_silence


class Instrumentor:
    """Wraps `last_executed_query`, and what sends BEGIN."""

    is_instrumented_by_opentelemetry = False

    def __init__(self) -> None:
        self._methods = Methods()

    def instrument(self, **_options: Any) -> None:
        """Have drivers keep silent meanwhile."""
        from django.db.backends.sqlite3.base import DatabaseWrapper
        from django.db.backends.sqlite3.operations import DatabaseOperations

        self._methods.wrap(DatabaseOperations, ("last_executed_query",), in_silence)
        self._methods.wrap(DatabaseWrapper, (_compat.django_sqlite_begin(),), in_silence)

    def uninstrument(self) -> None:
        """Unwrap them."""
        self._methods.unwrap()
