"""Pools of SQLAlchemy, 1.4 to 2.1: their connections, who waits for one and for how long.

`Pool.connect` is where every connection is given out, sync and async, also by pools of engines that were made before.
A pool does not know its engine; `Engine.raw_connection` tells us, and with it server and database, which name the
pool where the application did not. Where several share one connection (`StaticPool`), or each thread has its own
(`SingletonThreadPool`), there is nothing to count.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import _compat
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.packs.database.pools import Pool, Usage, pools

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.instrumentation.boundary import Boundary

_TAKEN: Final = "otel_kpi.taken"
_CONNECTING: Final = "otel_kpi.connecting"
"""Keys of `record_info`, which SQLAlchemy keeps beside each connection of a pool for who listens to it."""

_FILES: Final = "sqlite"


class SqlalchemyPools:
    """Wraps `Pool.connect`, and listens to the events of the `Pool` class.

    Args:
        boundary: That of the instrumentor.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self._methods = Methods()
        self._listeners: list[tuple[Any, str, Callable[..., Any]]] = []

    def instrument(self) -> None:
        """Know pools from their next connection on."""
        from sqlalchemy import event, pool
        from sqlalchemy.engine import Engine

        pools()
        self._methods.wrap(Engine, ("raw_connection",), self._raw_connection)
        self._methods.wrap(pool.Pool, ("connect",), self._connect)
        self._listeners = [
            (pool.Pool, "checkin", self._boundary.listener(self._checkin)),
            (Engine, "do_connect", self._boundary.listener(self._do_connect)),
            # What a dialect asks a server that it sees for the first time comes between these two.
            (pool.Pool, "first_connect", self._boundary.listener(self._connected)),
            (pool.Pool, "connect", self._boundary.listener(self._connected)),
        ]
        for target, name, listener in self._listeners:
            event.listen(target, name, listener)

    def uninstrument(self) -> None:
        """Take everything back."""
        from sqlalchemy import event

        for target, name, listener in self._listeners:
            event.remove(target, name, listener)
        self._listeners = []
        self._methods.unwrap()

    # --- wrappers

    def _raw_connection(self, wrapped: Any, engine: Any, args: Any, kwargs: Any) -> Any:
        if self._boundary.open:
            try:
                if pools().get(engine.pool) is None:
                    pools().add(engine.pool, _name_of(engine), _usage)
            except Exception as error:
                self._boundary.failed(error)
        return wrapped(*args, **kwargs)

    def _connect(self, wrapped: Any, pool: Any, args: Any, kwargs: Any) -> Any:
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
        self._got(noted, pool, connection, began)
        return connection

    def _noted(self, pool: Any) -> Pool | None:
        if not self._boundary.open:
            return None
        try:
            # A pool without an engine is called after its kind.
            return pools().get(pool) or pools().add(pool, _given_name(pool) or type(pool).__name__, _usage)
        except Exception as error:
            self._boundary.failed(error)
            return None

    def _got(self, noted: Pool, pool: Any, connection: Any, began: float) -> None:
        try:
            now = perf_counter()
            noted.got(now - began)
            if _is_exclusive(pool):
                info = connection.record_info
                if info is not None:
                    noted.taken.append(None)
                    info[_TAKEN] = (now, noted)
        except Exception as error:
            self._boundary.failed(error)

    def _failed(self, noted: Pool, error: BaseException) -> None:
        try:
            from sqlalchemy.exc import TimeoutError as PoolTimeout

            if isinstance(error, PoolTimeout):
                noted.timed_out()
        except Exception as ours:
            self._boundary.failed(ours)

    # --- listeners, each behind the boundary

    def _checkin(self, _connection: Any, entry: Any) -> None:
        # Also by the garbage collector, for a connection that the application forgot.
        taken = entry.record_info.pop(_TAKEN, None)
        if taken is not None:
            since, noted = taken
            noted.taken.pop()
            noted.given_back(since)

    def _do_connect(self, _dialect: Any, entry: Any, _args: Any, _kwargs: Any) -> None:
        if entry is not None:
            entry.record_info[_CONNECTING] = perf_counter()

    def _connected(self, _connection: Any, entry: Any) -> None:
        began = entry.record_info.pop(_CONNECTING, None)
        if began is None:
            return  # seen by the first of the two, or made by a function of the application's
        noted = pools().get(_compat.sqlalchemy_pool_of(entry))
        if noted is not None:
            noted.created(perf_counter() - began)


def _usage(pool: Any, noted: Pool) -> Usage | None:
    from sqlalchemy.pool import NullPool, QueuePool

    pending = len(noted.waiting)
    if isinstance(pool, QueuePool):
        # The queue's size is 0 where there is no limit.
        size, overflow = pool.size(), _compat.sqlalchemy_overflow(pool)
        most = size + overflow if size and overflow >= 0 else None
        return Usage(pool.checkedout(), pool.checkedin(), most, size or None, pending)
    if isinstance(pool, NullPool):
        return Usage(len(noted.taken), 0, None, 0, pending)
    return None


def _is_exclusive(pool: Any) -> bool:
    """Whether a connection of it is one's own until it is given back."""
    from sqlalchemy.pool import NullPool, QueuePool

    return isinstance(pool, QueuePool | NullPool)


def _given_name(pool: Any) -> str:
    name = getattr(pool, "logging_name", None)
    return name if isinstance(name, str) else ""


def _name_of(engine: Any) -> str:
    """The name that the application gave the pool, or server and database."""
    given = _given_name(engine.pool)
    if given:
        return given
    url = engine.url
    backend = url.get_backend_name()
    if backend == _FILES:
        return backend  # there is no end to files
    host = url.host or url.query.get("host")
    server = host if isinstance(host, str) else backend
    if url.port is not None:
        server = f"{server}:{url.port}"
    return f"{server}/{url.database}" if url.database else server
