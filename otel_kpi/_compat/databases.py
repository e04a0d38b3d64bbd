"""Private parts that the instrumentors of databases need: of SQLAlchemy's upstream instrumentor and of drivers."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


# --- opentelemetry-instrumentation-sqlalchemy: names and attributes, without its listeners


def database_schema_url() -> str:
    """Give the schema of the database conventions that are in force."""
    from opentelemetry.instrumentation import _semconv

    _semconv._OpenTelemetrySemanticConventionStability._initialize()
    kinds = _semconv._OpenTelemetryStabilitySignalType
    return _semconv._get_schema_url_for_signal_types([kinds.DATABASE, kinds.HTTP])


def sqlalchemy_names(engine: Any) -> Any:
    """Give upstream's `EngineTracer` of an engine, without the listeners that its constructor registers."""
    from opentelemetry.instrumentation import _semconv
    from opentelemetry.instrumentation.sqlalchemy import engine as upstream

    stability = _semconv._OpenTelemetrySemanticConventionStability
    kinds = _semconv._OpenTelemetryStabilitySignalType
    stability._initialize()
    names: Any = object.__new__(upstream.EngineTracer)
    names.vendor = upstream._normalize_vendor(engine.name)
    names._leading_comment_remover = re.compile(r"^/\*.*?\*/")
    names._sem_conv_opt_in_mode_db = stability._get_opentelemetry_stability_opt_in_mode(kinds.DATABASE)
    names._sem_conv_opt_in_mode_http = stability._get_opentelemetry_stability_opt_in_mode(kinds.HTTP)
    return names


def has_upstream_span(execution: Any) -> bool:
    """Say whether upstream's `EngineTracer` has started its span of an execution; it leaves it there."""
    return getattr(execution, "_otel_span", None) is not None


def sqlalchemy_name_and_attributes(
    names: Any, conn: Any, cursor: Any, statement: str
) -> tuple[str, dict[str, Any]]:
    """Name the span of a statement as upstream does, and give its attributes.

    Args:
        names: From `sqlalchemy_names` of the connection's engine.
        conn: The SQLAlchemy connection.
        cursor: The driver's cursor.
        statement: The SQL text.
    """
    from opentelemetry.instrumentation import _semconv
    from opentelemetry.instrumentation.sqlalchemy import engine as upstream

    modes = (names._sem_conv_opt_in_mode_db, names._sem_conv_opt_in_mode_http)
    attributes, found = upstream._get_attributes_from_url(conn.engine.url, *modes)
    if not found:
        attributes = upstream._get_attributes_from_cursor_or_conn(
            names.vendor, conn, cursor, attributes, *modes
        )
    database = upstream._get_db_name_from_cursor_or_conn(names.vendor, conn, cursor)
    name = names._operation_name(database, statement)
    _semconv._set_db_statement(attributes, statement, modes[0])
    _semconv._set_db_system(attributes, names.vendor, modes[0])
    return name, attributes


# --- SQLAlchemy: pools


def sqlalchemy_overflow(pool: Any) -> int:
    """Give how many connections a `QueuePool` opens beyond its size; -1 is without limit. `status()` is a text."""
    return pool._max_overflow


def sqlalchemy_pool_of(entry: Any) -> Any:
    """Give the pool of a connection's entry, which its events have and the entry does not say."""
    return getattr(entry, "_ConnectionRecord__pool", None)


# --- drivers of databases


def instrumented_by_upstream(path: str) -> bool:
    """Say whether the user called upstream's instrumentor; asking its class would make one.

    Args:
        path: `module:Class`; empty when there is none.
    """
    module, _, name = path.partition(":")
    loaded = sys.modules.get(module)
    if loaded is None:
        return False
    instance = getattr(getattr(loaded, name, None), "_instance", None)
    return getattr(instance, "_is_instrumented_by_opentelemetry", False)


def database_names() -> tuple[bool, bool]:
    """Say which generations of the database conventions are in force: the stable one, the former one."""
    from opentelemetry.instrumentation import _semconv

    stability = _semconv._OpenTelemetrySemanticConventionStability
    stability._initialize()
    mode = stability._get_opentelemetry_stability_opt_in_mode(
        _semconv._OpenTelemetryStabilitySignalType.DATABASE
    )
    return _semconv._report_new(mode), _semconv._report_old(mode)


def asyncpg_cursor_starts() -> tuple[str, ...]:
    """Name the methods of asyncpg's `BaseCursor` that send its statement; what comes later fetches further rows."""
    return ("_bind", "_bind_exec")


def asyncpg_transaction_methods() -> tuple[str, ...]:
    """Name those of `Transaction` that send BEGIN, COMMIT, ROLLBACK; its context manager calls the private ones."""
    return ("start", "_Transaction__commit", "_Transaction__rollback")


def django_sqlite_begin() -> str:
    """Name the method of Django's `DatabaseWrapper` for SQLite that sends BEGIN.

    `set_autocommit`, which calls it, runs the application's hooks too.
    """
    return "_start_transaction_under_autocommit"


def asyncpg_server(connection: Any) -> tuple[Any, Any]:
    """Give the database of a connection, and its server: `(host, port)` or a socket's path."""
    return getattr(connection._params, "database", None), connection._addr


def asyncpg_statement(statement: Any) -> tuple[Any, Any]:
    """Give connection and text of a prepared statement or cursor; only the former's text is public."""
    return statement._connection, statement._query


def asyncpg_pool_method() -> str:
    """Name the coroutine function that gives a pool's connections, whoever asks; `acquire` only makes a context."""
    return "_acquire"


def asyncpg_pool_anchor(pool: Any) -> Any:
    """Give what lives as long as a pool and can be held weakly, which the pool cannot; None before it is open."""
    return pool._queue


def asyncpg_pool_usage(anchor: Any) -> tuple[int, int, int]:
    """Give how many connections of a pool are in use, idle, and open at most, from its anchor.

    The anchor is the queue of those places that nobody has, connected or not.
    """
    free = list(anchor._queue)
    return anchor.maxsize - len(free), sum(place.is_connected() for place in free), anchor.maxsize


def asyncpg_connection(proxy: Any) -> Any:
    """Give the connection behind what a pool gives out; None when it was given back."""
    return getattr(proxy, "_con", None)


def redis_queue(pipeline: Any) -> Any:
    """Give the commands that a pipeline will send; a cluster's keeps them in its strategy since 6.0."""
    strategy = getattr(pipeline, "_execution_strategy", None)
    for holder, name in (
        (strategy, "_command_queue"),
        (pipeline, "command_stack"),
        (pipeline, "_command_stack"),
    ):
        queue = getattr(holder, name, None)
        if queue is not None:
            return queue
    return ()


# --- aiosqlite


def wrap_aiosqlite_calls(wrapper: Callable[..., Any]) -> None:
    """Wrap `Connection._execute(function, …)`: every call of a connection or cursor passes it to the thread."""
    from aiosqlite.core import Connection
    from wrapt import wrap_function_wrapper

    wrap_function_wrapper(Connection, "_execute", wrapper)


def unwrap_aiosqlite_calls() -> None:
    """Undo `wrap_aiosqlite_calls`."""
    from aiosqlite.core import Connection
    from opentelemetry.instrumentation.utils import unwrap

    unwrap(Connection, "_execute")
