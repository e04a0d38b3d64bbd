"""Pools of asyncpg. A pool tells its own figures; who takes a connection tells how long one waited and had it."""

from __future__ import annotations

import weakref
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.packs.database.pools import Pool, Usage, pools

if TYPE_CHECKING:
    from otel_kpi.instrumentation.boundary import Boundary

_taken: Final[weakref.WeakKeyDictionary[Any, tuple[float, Pool]]] = weakref.WeakKeyDictionary()
"""By connection: since when somebody has it."""


class AsyncpgPools:
    """Wraps what every connection of a pool goes through.

    Args:
        boundary: That of the instrumentor.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self._methods = Methods()

    def instrument(self) -> None:
        """Know pools from their next connection on."""
        from asyncpg.pool import Pool as AsyncpgPool

        pools()
        self._methods.wrap(AsyncpgPool, (_compat.asyncpg_pool_method(),), self._acquire)
        self._methods.wrap(AsyncpgPool, ("release",), self._release)

    def uninstrument(self) -> None:
        """Unwrap them."""
        self._methods.unwrap()

    async def _acquire(self, wrapped: Any, pool: Any, args: Any, kwargs: Any) -> Any:
        noted = self._known(pool)
        began = perf_counter()
        if noted is not None:
            noted.waiting.append(None)
        try:
            connection = await wrapped(*args, **kwargs)
        except TimeoutError:
            if noted is not None:
                noted.timed_out()
            raise
        finally:
            if noted is not None:
                noted.waiting.pop()
        self._got(noted, pool, connection, began)
        return connection

    def _release(self, wrapped: Any, _pool: Any, args: Any, kwargs: Any) -> Any:
        try:
            connection = _compat.asyncpg_connection(args[0] if args else kwargs.get("connection"))
            taken = None if connection is None else _taken.pop(connection, None)
            if taken is not None:
                since, noted = taken
                noted.given_back(since)
        except Exception as error:
            self._boundary.failed(error)
        return wrapped(*args, **kwargs)

    def _known(self, pool: Any) -> Pool | None:
        """What is noted of a pool; None before its first connection, which says where it leads."""
        try:
            anchor = _compat.asyncpg_pool_anchor(pool) if self._boundary.open else None
            return None if anchor is None else pools().get(anchor)
        except Exception as error:
            self._boundary.failed(error)
            return None

    def _got(self, noted: Pool | None, pool: Any, connection: Any, began: float) -> None:
        if not self._boundary.open:
            return
        try:
            now = perf_counter()
            inner = _compat.asyncpg_connection(connection)
            if noted is None:
                anchor = _compat.asyncpg_pool_anchor(pool)
                noted = pools().get(anchor) or pools().add(anchor, _name_of(inner), _usage)
            noted.got(now - began)
            _taken[inner] = (now, noted)
        except Exception as error:
            self._boundary.failed(error)


def _usage(anchor: Any, noted: Pool) -> Usage | None:
    used, idle, most = _compat.asyncpg_pool_usage(anchor)
    return Usage(used, idle, most, most, len(noted.waiting))


def _name_of(connection: Any) -> str:
    database, address = _compat.asyncpg_server(connection)
    server = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
    return f"{server}/{database}" if database else server
