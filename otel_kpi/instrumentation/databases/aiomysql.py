"""aiomysql: as `pymysql`, on whose protocol it stands; upstream has no instrumentor for it."""

from __future__ import annotations

from typing import Any, Final

from otel_kpi.instrumentation.databases import calls
from otel_kpi.instrumentation.databases.database import Database
from otel_kpi.instrumentation.databases.pymysql import callproc, execute, executemany, failure

DATABASE: Final = Database("aiomysql", "mysql", upstream="", failure=failure)


class Instrumentor:
    """Wraps the methods of aiomysql's cursor."""

    is_instrumented_by_opentelemetry = False

    def __init__(self) -> None:
        self._methods = calls.Methods()

    def instrument(self, **_options: Any) -> None:
        """Wrap them."""
        from aiomysql.cursors import Cursor

        DATABASE.activate()
        self._methods.wrap(Cursor, ("execute",), calls.coroutine(DATABASE, execute))
        self._methods.wrap(Cursor, ("executemany",), calls.coroutine(DATABASE, executemany))
        self._methods.wrap(Cursor, ("callproc",), calls.coroutine(DATABASE, callproc))

    def uninstrument(self) -> None:
        """Unwrap them."""
        DATABASE.active = False
        self._methods.unwrap()
