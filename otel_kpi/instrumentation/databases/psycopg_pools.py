"""Pools of psycopg_pool, sync and async, also those that Django opens for its option `pool`.

A pool tells its own figures; `getconn` and `putconn` tell how long one waited for a connection and had it.
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.packs.database.pools import Pool, Usage, pools

if TYPE_CHECKING:
    from otel_kpi.instrumentation.boundary import Boundary

_TAKEN: Final = "_otel_kpi_taken"
_NUMBERED: Final = re.compile(r"pool-\d+")
"""What a pool is called that the application gave no name."""


class PsycopgPools:
    """Wraps `getconn` and `putconn`, once psycopg_pool is imported.

    Args:
        boundary: That of the instrumentor.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self._methods = Methods()
        self._active = False

    def instrument(self) -> None:
        """Know pools from their next connection on."""
        self._active = True
        pools()
        _compat.after_import("psycopg_pool", self._hook)

    def uninstrument(self) -> None:
        """Unwrap them."""
        self._active = False
        self._methods.unwrap()

    def _hook(self, module: Any) -> None:
        if not self._active:
            return
        try:
            self._methods.wrap(module.ConnectionPool, ("getconn",), self._getconn)
            self._methods.wrap(module.ConnectionPool, ("putconn",), self._putconn)
            self._methods.wrap(module.AsyncConnectionPool, ("getconn",), self._getconn_async)
            self._methods.wrap(module.AsyncConnectionPool, ("putconn",), self._putconn)
        except Exception as error:
            self._boundary.failed(error)

    def _getconn(self, wrapped: Any, pool: Any, args: Any, kwargs: Any) -> Any:
        noted = self._noted(pool)
        if noted is None:
            return wrapped(*args, **kwargs)
        began = perf_counter()
        noted.waiting.append(None)
        try:
            connection = wrapped(*args, **kwargs)
        except BaseException as error:
            self._failed(noted, error)
            raise
        finally:
            noted.waiting.pop()
        self._got(noted, connection, began)
        return connection

    async def _getconn_async(self, wrapped: Any, pool: Any, args: Any, kwargs: Any) -> Any:
        noted = self._noted(pool)
        if noted is None:
            return await wrapped(*args, **kwargs)
        began = perf_counter()
        noted.waiting.append(None)
        try:
            connection = await wrapped(*args, **kwargs)
        except BaseException as error:
            self._failed(noted, error)
            raise
        finally:
            noted.waiting.pop()
        self._got(noted, connection, began)
        return connection

    def _putconn(self, wrapped: Any, _pool: Any, args: Any, kwargs: Any) -> Any:
        # Of the asynchronous class it gives a coroutine, as it came.
        try:
            connection = args[0] if args else kwargs.get("conn")
            taken = vars(connection).pop(_TAKEN, None)
            if taken is not None:
                since, noted = taken
                noted.taken.pop()
                noted.given_back(since)
        except Exception as error:
            self._boundary.failed(error)
        return wrapped(*args, **kwargs)

    def _noted(self, pool: Any) -> Pool | None:
        if not self._boundary.open:
            return None
        try:
            return pools().get(pool) or pools().add(pool, _name_of(pool), _usage)
        except Exception as error:
            self._boundary.failed(error)
            return None

    def _got(self, noted: Pool, connection: Any, began: float) -> None:
        try:
            now = perf_counter()
            noted.got(now - began)
            vars(connection)[_TAKEN] = (now, noted)
            noted.taken.append(None)
        except Exception as error:
            self._boundary.failed(error)

    def _failed(self, noted: Pool, error: BaseException) -> None:
        try:
            from psycopg_pool import PoolTimeout

            if isinstance(error, PoolTimeout):
                noted.timed_out()
        except Exception as ours:
            self._boundary.failed(ours)


def _usage(pool: Any, noted: Pool) -> Usage | None:
    if pool.closed:
        return None
    # `pool_size` has those that are still being opened, so those in use are counted here.
    stats = pool.get_stats()
    most = stats["pool_max"]
    return Usage(len(noted.taken), stats["pool_available"], most, most, len(noted.waiting))


def _name_of(pool: Any) -> str:
    """The name that the application gave the pool, or server and database."""
    if not _NUMBERED.fullmatch(pool.name):
        return str(pool.name)
    from psycopg.conninfo import conninfo_to_dict

    try:
        # Both may be functions that ask for a password.
        info = pool.conninfo if isinstance(pool.conninfo, str) else ""
        options = pool.kwargs if isinstance(pool.kwargs, dict) else {}
        told: dict[str, Any] = {**conninfo_to_dict(info), **options}
    except Exception:
        return str(pool.name)
    server = str(told.get("host") or told.get("hostaddr") or "postgresql")
    if told.get("port"):
        server = f"{server}:{told['port']}"
    return f"{server}/{told['dbname']}" if told.get("dbname") else server
