"""psycopg2: a client span for each statement, call of a procedure and COPY, whatever the cursor's class.

Its classes are written in C: connections and cursors are instances of subclasses. Upstream sets a `cursor_factory`
for the connection, so that cursors asked for by class (`cursor(cursor_factory=RealDictCursor)`) have no span.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.databases import calls, sql
from otel_kpi.instrumentation.databases.database import Database, Failure, Statement, first_line
from otel_kpi.instrumentation.databases.subclasses import Subclasses

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

_FACTORY: Final = 1  # of `connect(dsn, connection_factory, …)` and of `cursor(name, cursor_factory, …)`
_WHERE: Final = "_otel_kpi_where"


def _failure(error: BaseException) -> Failure:
    return Failure(getattr(error, "pgcode", None) or "", first_line(error))


DATABASE: Final = Database(
    "psycopg2",
    "postgresql",
    upstream="opentelemetry.instrumentation.psycopg2:Psycopg2Instrumentor",
    failure=_failure,
)


class _Cursor:
    """The methods that send something."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        return _EXECUTE(super().execute, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in

    def executemany(self, *args: Any, **kwargs: Any) -> Any:
        return _EXECUTEMANY(super().executemany, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in

    def callproc(self, *args: Any, **kwargs: Any) -> Any:
        return _CALLPROC(super().callproc, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in

    def copy_expert(self, *args: Any, **kwargs: Any) -> Any:
        return _EXECUTE(super().copy_expert, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in

    def copy_from(self, *args: Any, **kwargs: Any) -> Any:
        return _COPY_FROM(super().copy_from, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in

    def copy_to(self, *args: Any, **kwargs: Any) -> Any:
        return _COPY_TO(super().copy_to, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in


class Instrumentor:
    """Wraps `psycopg2.connect`."""

    def __init__(self) -> None:
        self._methods = calls.Methods()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Have connections made of subclasses."""
        import psycopg2
        from psycopg2 import extensions

        DATABASE.activate()
        cursors = Subclasses(_Cursor, first=True)
        plain_cursor = extensions.cursor

        class Connection(extensions.connection):
            """Gives cursors that have spans."""

            def cursor(self, *args: Any, **kwargs: Any) -> Any:
                factory = sql.argument(args, kwargs, _FACTORY, "cursor_factory")
                factory = cursors.of(factory or self.cursor_factory or plain_cursor)
                return super().cursor(*_replaced(args, kwargs, "cursor_factory", factory), **kwargs)

        connections = Subclasses(Connection, first=False)

        def connect(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
            if not DATABASE.active or DATABASE.foreign:
                return wrapped(*args, **kwargs)
            kwargs = dict(kwargs)
            factory = sql.argument(args, kwargs, _FACTORY, "connection_factory")
            args = _replaced(
                args, kwargs, "connection_factory", connections.of(factory or extensions.connection)
            )
            return wrapped(*args, **kwargs)

        self._methods.wrap(psycopg2, ("connect",), connect)

    def uninstrument(self) -> None:
        """Unwrap it; cursors of connections that exist are silent."""
        DATABASE.active = False
        self._methods.unwrap()


def _replaced(args: tuple[Any, ...], kwargs: dict[str, Any], name: str, factory: Any) -> tuple[Any, ...]:
    if len(args) > _FACTORY:
        return (*args[:_FACTORY], factory, *args[_FACTORY + 1 :])
    kwargs[name] = factory
    return args


def _execute(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    query = sql.argument(args, kwargs, 0, "query", "sql")
    return sql.statement(sql.text_of(query, cursor), _where(cursor.connection))


def _executemany(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    query, many = sql.argument(args, kwargs, 0, "query"), sql.argument(args, kwargs, 1, "vars_list")
    return sql.statement(sql.text_of(query, cursor), _where(cursor.connection), many)


def _callproc(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    name = sql.argument(args, kwargs, 0, "procname")
    return sql.statement(f"SELECT * FROM {name}", _where(cursor.connection))  # noqa: S608 -- nobody runs this text


def _copy(text: str) -> Any:
    def describe(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
        table = sql.argument(args, kwargs, 1, "table")
        return sql.statement(text.format(table=table), _where(cursor.connection))

    return describe


def _where(connection: Any) -> dict[str, AttributeValue]:
    found: dict[str, AttributeValue] | None = getattr(connection, _WHERE, None)
    if found is None:
        info = connection.info
        found = sql.server(info.dbname, info.host, info.port)
        setattr(connection, _WHERE, found)
    return found


_EXECUTE: Final = calls.call(DATABASE, _execute)
_EXECUTEMANY: Final = calls.call(DATABASE, _executemany)
_CALLPROC: Final = calls.call(DATABASE, _callproc)
_COPY_FROM: Final = calls.call(DATABASE, _copy("COPY {table} FROM STDIN"))
_COPY_TO: Final = calls.call(DATABASE, _copy("COPY {table} TO STDOUT"))
