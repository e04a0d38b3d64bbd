"""asyncpg: a client span for each statement, prepared statement, cursor and COPY.

Upstream makes a span of each fetch of a cursor and none of COPY, and its transactions have spans where those of the
other drivers have none. Here a cursor is one statement, and BEGIN, COMMIT, ROLLBACK and a pool's reset, which asyncpg
sends on its own account, have no span.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.databases import calls, sql
from otel_kpi.instrumentation.databases.asyncpg_pools import AsyncpgPools
from otel_kpi.instrumentation.databases.database import Database, Statement
from otel_kpi.instrumentation.databases.psycopg import failure
from otel_kpi.instrumentation.databases.silence import in_silence_async

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

DATABASE: Final = Database(
    "asyncpg",
    "postgresql",
    upstream="opentelemetry.instrumentation.asyncpg:AsyncPGInstrumentor",
    failure=failure,
)
_servers: Final[weakref.WeakKeyDictionary[Any, dict[str, AttributeValue]]] = weakref.WeakKeyDictionary()


class Instrumentor:
    """Wraps the methods of asyncpg's connections, prepared statements, cursors and pools."""

    def __init__(self) -> None:
        self._methods = calls.Methods()
        self._pools = AsyncpgPools(DATABASE.boundary)

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Wrap them."""
        from asyncpg.connection import Connection
        from asyncpg.cursor import BaseCursor
        from asyncpg.prepared_stmt import PreparedStatement
        from asyncpg.transaction import Transaction

        DATABASE.activate()
        wrap = self._methods.wrap
        wrap(
            Connection,
            ("execute", "fetch", "fetchval", "fetchrow", "copy_from_query"),
            calls.coroutine(DATABASE, _execute),
        )
        wrap(Connection, ("executemany", "fetchmany"), calls.coroutine(DATABASE, _executemany))
        wrap(Connection, ("copy_from_table",), calls.coroutine(DATABASE, _copy("COPY {table} TO STDOUT")))
        wrap(
            Connection,
            ("copy_to_table", "copy_records_to_table"),
            calls.coroutine(DATABASE, _copy("COPY {table} FROM STDIN")),
        )
        wrap(PreparedStatement, ("fetch", "fetchval", "fetchrow"), calls.coroutine(DATABASE, _prepared))
        wrap(PreparedStatement, ("executemany", "fetchmany"), calls.coroutine(DATABASE, _prepared_many))
        wrap(BaseCursor, _compat.asyncpg_cursor_starts(), calls.coroutine(DATABASE, _prepared))
        wrap(Connection, ("reset",), in_silence_async)
        wrap(Transaction, _compat.asyncpg_transaction_methods(), in_silence_async)
        self._pools.instrument()

    def uninstrument(self) -> None:
        """Unwrap them."""
        DATABASE.active = False
        self._pools.uninstrument()
        self._methods.unwrap()


def _execute(connection: Any, args: Any, kwargs: Any) -> Statement | None:
    return sql.statement(sql.text_of(sql.argument(args, kwargs, 0, "query")), _where(connection))


def _executemany(connection: Any, args: Any, kwargs: Any) -> Statement | None:
    text = sql.text_of(sql.argument(args, kwargs, 0, "command", "query"))
    return sql.statement(text, _where(connection), sql.argument(args, kwargs, 1, "args"))


def _copy(text: str) -> Any:
    def describe(connection: Any, args: Any, kwargs: Any) -> Statement | None:
        table = sql.argument(args, kwargs, 0, "table_name")
        return sql.statement(text.format(table=table), _where(connection))

    return describe


def _prepared(statement: Any, _args: Any, _kwargs: Any) -> Statement | None:
    connection, query = _compat.asyncpg_statement(statement)
    return sql.statement(sql.text_of(query), _where(connection))


def _prepared_many(statement: Any, args: Any, kwargs: Any) -> Statement | None:
    connection, query = _compat.asyncpg_statement(statement)
    return sql.statement(sql.text_of(query), _where(connection), sql.argument(args, kwargs, 0, "args"))


def _where(connection: Any) -> dict[str, AttributeValue]:
    found = _servers.get(connection)
    if found is None:
        database, address = _compat.asyncpg_server(connection)
        host, port = address if isinstance(address, tuple) else (address, None)
        found = _servers[connection] = sql.server(database, host, port)
    return found
