"""Django on SQLite with `DEBUG = True`: no span for the statements of Django's own record of queries.

To note a query with its parameters, Django has SQLite quote them: `SELECT QUOTE(?)`, once more for each query
that the application made.
"""

from __future__ import annotations

from typing import Any

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.silence import in_silence


class Instrumentor:
    """Wraps `DatabaseOperations.last_executed_query`."""

    is_instrumented_by_opentelemetry = False

    def instrument(self, **_options: Any) -> None:
        """Have drivers keep silent while Django writes down a query."""
        from django.db.backends.sqlite3.operations import DatabaseOperations
        from wrapt import wrap_function_wrapper

        guarded = Boundary("django_sqlite").wrap(in_silence)
        wrap_function_wrapper(DatabaseOperations, "last_executed_query", guarded)

    def uninstrument(self) -> None:
        """Unwrap it."""
        from django.db.backends.sqlite3.operations import DatabaseOperations
        from opentelemetry.instrumentation.utils import unwrap

        unwrap(DatabaseOperations, "last_executed_query")
