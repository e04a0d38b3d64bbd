"""psycopg 3: a client span for each statement, stream and COPY; sync, async, server-side cursors, pools.

The methods of its cursor classes are wrapped. Upstream passes another `cursor_factory` to `connect` instead, which a
later assignment takes away, and which server-side cursors, `stream` and `copy` do not go through.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.databases import calls, sql
from otel_kpi.instrumentation.databases.database import Database, Failure, Statement, first_line
from otel_kpi.instrumentation.databases.psycopg_pools import PsycopgPools

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


def failure(error: BaseException) -> Failure:
    """Give the SQLSTATE of psycopg and asyncpg."""
    code = getattr(error, "sqlstate", None)
    return Failure(code if isinstance(code, str) else "", first_line(error))


DATABASE: Final = Database(
    "psycopg",
    "postgresql",
    upstream="opentelemetry.instrumentation.psycopg:PsycopgInstrumentor",
    failure=failure,
)
_servers: Final[weakref.WeakKeyDictionary[Any, dict[str, AttributeValue]]] = weakref.WeakKeyDictionary()


class Instrumentor:
    """Wraps the methods of psycopg's cursors, and those of its pools that give a connection and take it back."""

    def __init__(self) -> None:
        self._methods = calls.Methods()
        self._pools = PsycopgPools(DATABASE.boundary)

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Wrap them."""
        import psycopg

        DATABASE.activate()
        wrap = self._methods.wrap
        for cursor in (psycopg.Cursor, psycopg.ServerCursor):
            wrap(cursor, ("execute",), calls.call(DATABASE, _execute))
            wrap(cursor, ("executemany",), calls.call(DATABASE, _executemany))
            wrap(cursor, ("stream",), calls.generator(DATABASE, _execute))
            wrap(cursor, ("copy",), calls.context_manager(DATABASE, _execute))
        for cursor in (psycopg.AsyncCursor, psycopg.AsyncServerCursor):
            wrap(cursor, ("execute",), calls.coroutine(DATABASE, _execute))
            wrap(cursor, ("executemany",), calls.coroutine(DATABASE, _executemany))
            wrap(cursor, ("stream",), calls.async_generator(DATABASE, _execute))
            wrap(cursor, ("copy",), calls.async_context_manager(DATABASE, _execute))
        self._pools.instrument()

    def uninstrument(self) -> None:
        """Unwrap them."""
        DATABASE.active = False
        self._pools.uninstrument()
        self._methods.unwrap()


def _execute(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    connection = cursor.connection
    text = sql.text_of(sql.argument(args, kwargs, 0, "query", "statement"), connection)
    return sql.statement(text, _where(connection))


def _executemany(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    connection = cursor.connection
    text = sql.text_of(sql.argument(args, kwargs, 0, "query"), connection)
    return sql.statement(text, _where(connection), sql.argument(args, kwargs, 1, "params_seq"))


def _where(connection: Any) -> dict[str, AttributeValue]:
    found = _servers.get(connection)
    if found is None:
        info = connection.info
        found = sql.server(info.dbname, info.host, info.port)
        _servers[connection] = found
    return found
