"""mysqlclient (`MySQLdb`): a client span for each statement and call of a procedure; connections stay what they were."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from otel_kpi.instrumentation.databases import calls, sql
from otel_kpi.instrumentation.databases.database import Database
from otel_kpi.instrumentation.databases.pymysql import WHERE, callproc, execute, executemany, failure

DATABASE: Final = Database(
    "mysqlclient",
    "mysql",
    upstream="opentelemetry.instrumentation.mysqlclient:MySQLClientInstrumentor",
    failure=failure,
)


class Instrumentor:
    """Wraps the methods of mysqlclient's cursors."""

    def __init__(self) -> None:
        self._methods = calls.Methods()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Wrap them."""
        # It is built where it is installed: no stubs, and not in every environment.
        library: Any = import_module("MySQLdb")
        # `pymysql.install_as_MySQLdb()` puts PyMySQL there, which has its own row.
        if library.__name__ != "MySQLdb":
            return
        connection: Any = import_module("MySQLdb.connections").Connection
        cursor: Any = import_module("MySQLdb.cursors").BaseCursor
        DATABASE.activate()
        self._methods.wrap(connection, ("__init__",), _remember)
        self._methods.wrap(cursor, ("execute",), calls.call(DATABASE, execute))
        self._methods.wrap(cursor, ("executemany",), calls.call(DATABASE, executemany))
        self._methods.wrap(cursor, ("callproc",), calls.call(DATABASE, callproc))

    def uninstrument(self) -> None:
        """Unwrap them."""
        DATABASE.active = False
        self._methods.unwrap()


def _remember(wrapped: Any, connection: Any, args: Any, kwargs: Any) -> None:
    """Keep where a connection goes: before 2.3 it does not know."""
    wrapped(*args, **kwargs)
    try:
        host = sql.argument(args, kwargs, 0, "host")
        database = sql.argument(args, kwargs, 3, "database", "db")
        path = kwargs.get("unix_socket")
        setattr(connection, WHERE, sql.server(database, path or host, getattr(connection, "port", None)))
    except Exception as error:
        DATABASE.boundary.failed(error)
