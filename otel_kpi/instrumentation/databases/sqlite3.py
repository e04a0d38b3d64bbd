"""sqlite3: a client span for each statement; connections and cursors stay instances of the application's classes.

Upstream returns proxies, which are no `sqlite3.Connection` for `backup`, and leave out `Connection.execute`
(contrib#3082).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.instrumentation.databases import calls, sql
from otel_kpi.instrumentation.databases.database import Database, Failure, Statement, first_line
from otel_kpi.instrumentation.databases.subclasses import Subclasses

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

_FACTORY: Final = (
    5  # of `connect(database, timeout, detect_types, isolation_level, check_same_thread, factory, …)`
)
_WHERE: Final = "_otel_kpi_where"


def _failure(error: BaseException) -> Failure:
    return Failure(getattr(error, "sqlite_errorname", ""), first_line(error))


DATABASE: Final = Database(
    "sqlite3",
    "sqlite",
    upstream="opentelemetry.instrumentation.sqlite3:SQLite3Instrumentor",
    files=True,
    failure=_failure,
)


class _Cursor:
    """The methods that run something."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        return _EXECUTE(super().execute, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in

    def executemany(self, *args: Any, **kwargs: Any) -> Any:
        return _EXECUTEMANY(super().executemany, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in

    def executescript(self, *args: Any, **kwargs: Any) -> Any:
        return _EXECUTE(super().executescript, self, args, kwargs)  # pyright: ignore[reportAttributeAccessIssue] - mixed in


class Instrumentor:
    """Wraps `sqlite3.connect`, under both of its names."""

    def __init__(self) -> None:
        self._methods = calls.Methods()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether upstream's instrumentor has the library."""
        return DATABASE.foreign

    foreign = is_instrumented_by_opentelemetry

    def instrument(self, **_options: Any) -> None:
        """Have connections made of subclasses."""
        import sqlite3
        from sqlite3 import dbapi2

        DATABASE.activate()
        connection_class = _connection_class()
        connections = Subclasses(connection_class, first=False)

        def connect(wrapped: Any, _module: Any, args: Any, kwargs: Any) -> Any:
            if not DATABASE.active or DATABASE.foreign:
                return wrapped(*args, **kwargs)
            if len(args) > _FACTORY:
                args = (*args[:_FACTORY], connections.of(args[_FACTORY]), *args[_FACTORY + 1 :])
            else:
                kwargs = {**kwargs, "factory": connections.of(kwargs.get("factory", sqlite3.Connection))}
            connection = wrapped(*args, **kwargs)
            if isinstance(connection, connection_class):
                setattr(connection, _WHERE, _server(sql.argument(args, kwargs, 0, "database")))
            return connection

        for module in (sqlite3, dbapi2):
            self._methods.wrap(module, ("connect",), connect)

    def uninstrument(self) -> None:
        """Unwrap it; cursors of connections that exist are silent."""
        DATABASE.active = False
        self._methods.unwrap()


def _connection_class() -> Any:
    import sqlite3

    cursors = Subclasses(_Cursor, first=True)
    plain = cursors.of(sqlite3.Cursor)

    class Connection(sqlite3.Connection):
        """Gives cursors that have spans."""

        def cursor(self, *args: Any, **kwargs: Any) -> Any:
            if args:
                args = (cursors.of(args[0]), *args[1:])
            else:
                kwargs["factory"] = cursors.of(kwargs.get("factory", sqlite3.Cursor))
            return super().cursor(*args, **kwargs)

        # In C these make a cursor of the plain class by themselves, past `cursor` (contrib#3082).
        def execute(self, *args: Any) -> Any:
            return super().cursor(plain).execute(*args)

        def executemany(self, *args: Any) -> Any:
            return super().cursor(plain).executemany(*args)

        def executescript(self, *args: Any) -> Any:
            return super().cursor(plain).executescript(*args)

    return Connection


def _execute(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    return sql.statement(sql.text_of(sql.argument(args, kwargs, 0, "sql")), _where(cursor))


def _executemany(cursor: Any, args: Any, kwargs: Any) -> Statement | None:
    text, many = (
        sql.text_of(sql.argument(args, kwargs, 0, "sql")),
        sql.argument(args, kwargs, 1, "parameters"),
    )
    return sql.statement(text, _where(cursor), many)


def _where(cursor: Any) -> dict[str, AttributeValue]:
    return getattr(cursor.connection, _WHERE, {})


def _server(database: Any) -> dict[str, AttributeValue]:
    path = os.fspath(database)
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    return {"db.namespace": path.partition("?")[0] if path.startswith("file:") else path}


_EXECUTE: Final = calls.call(DATABASE, _execute)
_EXECUTEMANY: Final = calls.call(DATABASE, _executemany)
