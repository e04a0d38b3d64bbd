"""Databases: one statement over a connection of the check's own.

Not over one of the application's pool: a pool that is used up would make every replica unready at once, when there
is most to do; a connection that a forked worker inherited would be shared with its siblings; and one of an async
engine is bound to the application's event loop. Whether the pool is used up, the pool's metrics say.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.health.checks.check import Check
from otel_kpi.health.result import Result

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_POOL: Final = "health"
_CONNECTED: Final = Result("healthy", MappingProxyType({"connected": True}))


def sqlalchemy(engine: Engine | AsyncEngine) -> Check:
    """Connect to the database of an engine, and ask for 1. Critical unless the declaration says otherwise.

    Args:
        engine: Sync or async. Its pool is left alone: each check opens a connection in the same manner, with the same
            arguments, and closes it.
    """
    synchronous: Any = getattr(engine, "sync_engine", None)
    if synchronous is None:
        return Check("database", lambda _timeout: _ask_engine(engine), critical=True)
    return Check("database", lambda _timeout: _ask_async_engine(synchronous), critical=True)


def _separate(engine: Any) -> Any:
    """Give an engine with the same dialect and arguments and a pool of its own."""
    from sqlalchemy.engine import Engine

    pool = engine.pool.recreate()
    # By which series of pools are named: what is measured of this one is not the application's.
    pool.logging_name = _POOL
    return Engine(pool, engine.dialect, engine.url)


def _ask_engine(engine: Any) -> Result:
    from sqlalchemy import select

    own = _separate(engine)
    try:
        with own.connect() as connection:
            connection.execute(select(1))
    finally:
        own.dispose()
    return _CONNECTED


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
    return Check("database", lambda _timeout: _ask_django(alias), critical=True)


def _ask_django(alias: str) -> Result:
    from django.db import connections

    # Not `connections[alias]`: that one would stay open with this thread's locals.
    connection = connections.create_connection(alias)
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT 1{connection.features.bare_select_suffix}")
            cursor.fetchone()
    finally:
        connection.close()
    return _CONNECTED
