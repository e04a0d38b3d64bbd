"""Redis: PING over a connection of the check's own."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from otel_kpi.health.checks.check import Check
from otel_kpi.health.result import Result

_OPERATIONAL: Final = Result("healthy", MappingProxyType({"connected": True, "message": "Redis operational"}))
_NO_PONG: Final = Result("unhealthy", MappingProxyType({"connected": True}))


def redis(client: Any) -> Check:
    """Send PING to a Redis.

    Args:
        client: `redis.Redis` or `redis.asyncio.Redis`: each check opens a connection in the same manner and closes
            it. A client with another kind of pool (Sentinel, a cluster) is asked itself if it is sync; an async one
            is bound to the application's event loop, and cannot be: give a coroutine function that makes its own.
    """
    module = type(client).__module__
    asynchronous = any(cls.__module__.startswith("redis.asyncio") for cls in type(client).__mro__)
    if not asynchronous:
        return Check("cache", lambda timeout: _ping(client, timeout))
    if _own_options(client, 1.0) is None:
        raise TypeError(f"an async client of {module} without a pool of its own is bound to its event loop")
    return Check("cache", lambda timeout: _ping_async(client, timeout))


def _own_options(client: Any, timeout: float) -> dict[str, Any] | None:
    """Give the arguments of a client that connects as this one does; None where its pool is of another kind."""
    pool: Any = getattr(client, "connection_pool", None)
    if type(pool).__name__ not in {"ConnectionPool", "BlockingConnectionPool"}:
        return None
    # An abandoned PING ends too, when the other side never answers.
    limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    return {
        "connection_class": pool.connection_class,
        "max_connections": 1,
        **pool.connection_kwargs,
        **limits,
    }


def _ping(client: Any, timeout: float) -> Result:
    from redis import ConnectionPool, Redis

    options = _own_options(client, timeout)
    if options is None:
        return _OPERATIONAL if client.ping() is True else _NO_PONG
    pool = ConnectionPool(**options)
    try:
        return _OPERATIONAL if Redis(connection_pool=pool).ping() is True else _NO_PONG
    finally:
        pool.disconnect()


async def _ping_async(client: Any, within: float) -> Result:
    from redis.asyncio import ConnectionPool, Redis

    pool: Any = ConnectionPool(**(_own_options(client, within) or {}))
    try:
        return _OPERATIONAL if await Redis(connection_pool=pool).ping() is True else _NO_PONG
    finally:
        await pool.disconnect()
