"""PyMySQL: a client span for each statement and call of a procedure; connections stay what they were.

Upstream returns a proxy of the connection, and its cursors' `executemany` of many rows has one name for what may be
several statements; here it is one operation with its size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.databases import calls, sql
from otel_kpi.instrumentation.databases.database import Database, Failure, Statement

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


def failure(error: BaseException) -> Failure:
    """Give MySQL's error number. Its message quotes the row's values, so it is not the description."""
    code = error.args[0] if error.args else None
    if isinstance(code, int) and not isinstance(error, OSError):
        return Failure(str(code), f"{type(error).__name__} {code}")
    return Failure("", type(error).__name__)


WHERE: Final = "_otel_kpi_where"
"""Attribute of a connection that does not say itself where it is connected to."""

DATABASE: Final = Database(
    "pymysql",
    "mysql",
    upstream="opentelemetry.instrumentation.pymysql:PyMySQLInstrumentor",
    failure=failure,
)


class Instrumentor:
    """Wraps the methods of PyMySQL's cursor."""

    def __init__(self) -> None:
        self._methods = calls.Methods()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Wrap them."""
        from pymysql.cursors import Cursor

        DATABASE.activate()
        self._methods.wrap(Cursor, ("execute",), calls.call(DATABASE, execute))
        self._methods.wrap(Cursor, ("executemany",), calls.call(DATABASE, executemany))
        self._methods.wrap(Cursor, ("callproc",), calls.call(DATABASE, callproc))

    def uninstrument(self) -> None:
        """Unwrap them."""
        DATABASE.active = False
        self._methods.unwrap()


def execute(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    """Describe `execute(query, args)`."""
    return sql.statement(sql.text_of(sql.argument(args, kwargs, 0, "query")), _where(cursor.connection))


def executemany(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    """Describe `executemany(query, args)`."""
    text, many = sql.text_of(sql.argument(args, kwargs, 0, "query")), sql.argument(args, kwargs, 1, "args")
    return sql.statement(text, _where(cursor.connection), many)


def callproc(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    """Describe `callproc(procname, args)`; PyMySQL sets a variable for each argument beforehand."""
    return sql.statement(f"CALL {sql.argument(args, kwargs, 0, 'procname')}", _where(cursor.connection))


def _where(connection: Any) -> dict[str, AttributeValue]:
    if connection is None:  # a closed cursor; the driver will say so
        return {}
    known: dict[str, AttributeValue] | None = getattr(connection, WHERE, None)
    if known is not None:
        return known
    path = getattr(connection, "unix_socket", None)
    return sql.server(connection.db, path or connection.host, connection.port)
