"""Databases: one statement over a connection of the check's own.

Not over one of the application's pool: a pool that is used up would make every replica unready at once, when there
is most to do; a connection that a forked worker inherited would be shared with its siblings; and one of an async
engine is bound to the application's event loop. Whether the pool is used up, the pool's metrics say.
"""

from __future__ import annotations

import math
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.health.checks.check import Check
from otel_kpi.health.result import Result

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_TIMED: Final = frozenset(
    {"psycopg", "psycopg2", "psycopg2cffi", "pymysql", "mysqldb", "postgresql", "mysql"}
)
"""Sync drivers of SQLAlchemy, and Django's two, that take the option `connect_timeout`; an async one is cancelled."""

_POOL: Final = "health"
_asking = threading.local()
_CONNECTED: Final = Result("healthy", MappingProxyType({"connected": True}))


def sqlalchemy(engine: Engine | AsyncEngine) -> Check:
    """Connect to the database of an engine, and ask for 1. Critical unless the declaration says otherwise.

    Args:
        engine: Sync or async. Its pool is left alone: each check opens a connection in the same manner, with the same
            arguments, and closes it.
    """
    synchronous: Any = getattr(engine, "sync_engine", None)
    if synchronous is None:
        _connect_in_time_for_checks(engine)
        return Check("database", lambda timeout: _ask_engine(engine, timeout), critical=True)
    return Check("database", lambda _timeout: _ask_async_engine(synchronous), critical=True)


def _separate(engine: Any) -> Any:
    """Give an engine with the same dialect and arguments and a pool of its own."""
    from sqlalchemy.engine import Engine

    pool = engine.pool.recreate()
    # By which series of pools are named: what is measured of this one is not the application's.
    pool.logging_name = _POOL
    return Engine(pool, engine.dialect, engine.url)


def _ask_engine(engine: Any, timeout: float) -> Result:
    from sqlalchemy import select

    own = _separate(engine)
    _asking.limits = _limits(engine.dialect.driver, timeout)
    try:
        with own.connect() as connection:
            connection.execute(select(1))
    finally:
        _asking.limits = None
        own.dispose()
    return _CONNECTED


def _connect_in_time_for_checks(engine: Any) -> None:
    from sqlalchemy import event

    # When it is declared, and not when it is asked: listeners may not change while another thread connects.
    if not event.contains(engine, "do_connect", _connect_in_time):
        event.listen(engine, "do_connect", _connect_in_time)


def _connect_in_time(dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> Any:
    """Connect for a check with the driver's own time-out; None leaves it to SQLAlchemy, as for the application.

    A server that takes a connection and says nothing would have the check hang for ever, and nobody would see that
    the server is back. The options outlive the call in many versions (Azure/azure-sdk-for-python#48382), so that a copy
    is what the application's own listeners get, which may add a password to it.
    """
    limits: dict[str, int] | None = getattr(_asking, "limits", None)
    if not limits:
        return None
    given, copied = list(arguments), {**limits, **options}
    for listener in tuple(dialect.dispatch.do_connect):
        connection = listener(dialect, record, given, copied) if listener is not _connect_in_time else None
        if connection is not None:
            return connection
    return dialect.connect(*given, **copied)


def _limits(name: str, timeout: float) -> dict[str, int]:
    """Give the options by which a driver gets a time to connect: whole seconds, two at least for libpq."""
    return {"connect_timeout": max(2, math.ceil(timeout))} if name in _TIMED else {}


async def _ask_async_engine(engine: Any) -> Result:
    from sqlalchemy import select
    from sqlalchemy.ext.asyncio import AsyncEngine

    own = AsyncEngine(_separate(engine))
    try:
        async with own.connect() as connection:
            await connection.execute(select(1))
    finally:
        await own.dispose()
    return _CONNECTED


def django_database(alias: str = "default") -> Check:
    """Connect to a database of Django's settings, and ask for 1. Critical unless the declaration says otherwise.

    Args:
        alias: Its key in `DATABASES`.
    """
    return Check("database", lambda timeout: _ask_django(alias, timeout), critical=True)


def _ask_django(alias: str, timeout: float) -> Result:
    from django.db import connections

    # Not `connections[alias]`: that one would stay open with this thread's locals.
    connection: Any = connections.create_connection(alias)
    options = connection.get_connection_params
    limits = _limits(connection.vendor, timeout)
    connection.get_connection_params = lambda: {**limits, **options()}
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1{connection.features.bare_select_suffix}")
            cursor.fetchone()
    finally:
        connection.close()
    return _CONNECTED
