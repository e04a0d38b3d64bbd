"""Django's connections: how many it has open, and whether somebody has them.

Django gives each thread its own connection to each database, and keeps it between requests when `CONN_MAX_AGE` says
so. Between two requests it is idle; outside of requests, in a command or a task, it is in use as long as it is open.
A database with the option `pool` is told of by its pool.
"""

from __future__ import annotations

import threading
import weakref
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks, record
from otel_kpi.instrumentation.databases.calls import Methods
from otel_kpi.packs.database.instruments import DJANGO_CONNECTIONS
from otel_kpi.packs.database.pools import Pool, Usage, pools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_kpi.instrumentation.boundary import Boundary

_IDLE: Final = "_otel_kpi_idle"
_UID: Final = "otel_kpi.connections"


class _Wrappers:
    """Django's `DatabaseWrapper`s that have connected in this process; each thread has its own."""

    def __init__(self) -> None:
        self.forget()
        record.observe(DJANGO_CONNECTIONS, self._readings)
        forks.in_child(self.forget)

    def forget(self) -> None:
        """Begin anew in a forked child, which connects anew."""
        self._lock = threading.RLock()
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._any = False

    def add(self, wrapper: Any) -> None:
        with self._lock:
            self._any = True
            self._known.add(wrapper)

    def _readings(self) -> Iterator[tuple[int]]:
        with self._lock:
            known = list(self._known)
        if self._any:
            yield (sum(wrapper.connection is not None for wrapper in known),)


_wrappers: _Wrappers | None = None


class DjangoConnections:
    """Wraps `BaseDatabaseWrapper.connect`, and listens to the beginning and the end of requests.

    Args:
        boundary: That of the instrumentor.
    """

    def __init__(self, boundary: Boundary) -> None:
        self._boundary = boundary
        self._methods = Methods()
        self._began = boundary.listener(_requested)
        self._ended = boundary.listener(_answered)

    def instrument(self) -> None:
        """Know connections that are opened from now on."""
        global _wrappers
        from django.core import signals
        from django.db.backends.base.base import BaseDatabaseWrapper

        pools()
        _wrappers = _wrappers or _Wrappers()
        self._methods.wrap(BaseDatabaseWrapper, ("connect",), self._connect)
        signals.request_started.connect(self._began, dispatch_uid=_UID)
        signals.request_finished.connect(self._ended, dispatch_uid=_UID)

    def uninstrument(self) -> None:
        """Take everything back."""
        from django.core import signals

        signals.request_started.disconnect(dispatch_uid=_UID)
        signals.request_finished.disconnect(dispatch_uid=_UID)
        self._methods.unwrap()

    def _connect(self, wrapped: Any, wrapper: Any, args: Any, kwargs: Any) -> Any:
        began = perf_counter()
        result = wrapped(*args, **kwargs)
        if self._boundary.open:
            try:
                _connected(wrapper, perf_counter() - began)
            except Exception as error:
                self._boundary.failed(error)
        return result


def _connected(wrapper: Any, took: float) -> None:
    if _wrappers is not None:
        _wrappers.add(wrapper)
    if wrapper.settings_dict.get("OPTIONS", {}).get("pool"):
        return
    vars(wrapper).pop(_IDLE, None)
    noted = pools().get(wrapper) or pools().add(wrapper, wrapper.alias, _usage)
    noted.created(took)


def _usage(wrapper: Any, _noted: Pool) -> Usage:
    is_open = wrapper.connection is not None
    is_idle = is_open and _IDLE in vars(wrapper)
    return Usage(int(is_open and not is_idle), int(is_idle))


def _requested(**_signal: Any) -> None:
    for wrapper in _of_this_thread():
        vars(wrapper).pop(_IDLE, None)


def _answered(**_signal: Any) -> None:
    for wrapper in _of_this_thread():
        vars(wrapper)[_IDLE] = True


def _of_this_thread() -> list[Any]:
    from django.db import connections

    return connections.all(initialized_only=True)
