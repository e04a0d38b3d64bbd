"""The pools of this process: what instrumentors know of them, said at each collection.

A pool is held weakly and asked when metrics are collected; several of one name add up. What a pool does not tell is
not said. Its names keep to their budget: the fifty-first and all after it are one pool, `other`.
"""

from __future__ import annotations

import threading
import weakref
from collections import defaultdict, deque
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import forks, record
from otel_kpi.packs.database import instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_USES: Final = 10_000
"""Times of use that wait for the next connection or collection."""


@dataclass(frozen=True, slots=True)
class Usage:
    """A pool as it is now.

    Attributes:
        used: Connections that somebody has.
        idle: Connections that wait for somebody.
        most: Connections that it opens at most; None is without limit, or nobody knows.
        most_idle: Connections that it keeps open at most.
        pending: Those who wait for a connection; None when nobody counts them.
    """

    used: int
    idle: int | None = None
    most: int | None = None
    most_idle: int | None = None
    pending: int | None = None


class Pool:
    """What is noted of one pool.

    Lists, since adding to one and taking from it is one step: a connection may be given back by the garbage
    collector, in the middle of anything, so that no lock may be waited for.

    Attributes:
        name: The label of its series.
        taken: One entry for each connection that somebody has, where the library does not count them.
        waiting: One entry for each who waits for a connection.
    """

    __slots__ = ("_pools", "_read", "name", "taken", "waiting")

    def __init__(self, pools: Pools, name: str, read: Callable[[Any, Pool], Usage | None]) -> None:
        self.name = name
        self.taken: list[None] = []
        self.waiting: list[None] = []
        self._pools = pools
        self._read = read

    def usage(self, pool: object) -> Usage | None:
        """The pool as it is now."""
        return self._read(pool, self)

    def got(self, waited: float) -> None:
        """Somebody got a connection after so many seconds."""
        self._pools.wait_time.record(waited, self.name)
        self._pools.measure_uses()

    def timed_out(self) -> None:
        """Somebody waited for a connection and got none."""
        self._pools.timeouts.add(1, self.name)

    def created(self, took: float) -> None:
        """A connection was opened in so many seconds."""
        self._pools.create_time.record(took, self.name)

    def given_back(self, since: float) -> None:
        """A connection was given back that was taken then, by `time.perf_counter()`. Measured a little later."""
        self._pools.uses.append((perf_counter() - since, self.name))


class Pools:
    """Every pool that is known."""

    def __init__(self) -> None:
        self.forget()
        self._connections = record.observe(instruments.CONNECTIONS, self._counts)
        record.observe(
            instruments.MOST_CONNECTIONS, lambda: self._limits(lambda usage: usage.most, only_known=True)
        )
        record.observe(
            instruments.MOST_IDLE, lambda: self._limits(lambda usage: usage.most_idle, only_known=True)
        )
        record.observe(
            instruments.PENDING_REQUESTS, lambda: self._limits(lambda usage: usage.pending, only_known=False)
        )
        self.timeouts = record.counter(instruments.TIMEOUTS)
        self.create_time = record.histogram(instruments.CREATE_TIME)
        self.wait_time = record.histogram(instruments.WAIT_TIME)
        self._use_time = record.histogram(instruments.USE_TIME)
        forks.in_child(self.forget)

    def forget(self) -> None:
        """Begin anew in a forked child: a pool is known again when it gives its first connection."""
        self._lock = threading.RLock()
        self._known: weakref.WeakKeyDictionary[Any, Pool] = weakref.WeakKeyDictionary()
        self.uses: deque[tuple[float, str]] = deque(maxlen=_MOST_USES)
        self._asked: list[tuple[str, Usage]] = []
        """What the pools said in this collection: `_counts` asks them, and is the first that is called in each."""

    def get(self, pool: object) -> Pool | None:
        """What is noted of a pool; None when nobody named it yet."""
        return self._known.get(pool)

    def add(self, pool: object, name: str, read: Callable[[Any, Pool], Usage | None]) -> Pool:
        """Know a pool from now on, as long as somebody else holds it.

        Args:
            pool: The library's.
            name: What it is called; a user and a password in it are taken out.
            read: Gives its usage, from the library's pool and what is noted of it.
        """
        name = _without_credentials(name)
        series = self._connections.series(name, "used")
        admitted = str(series[1][instruments.POOL_NAME.name]) if series is not None else name
        noted = Pool(self, admitted, read)
        with self._lock:
            return self._known.setdefault(pool, noted)

    def connections_in_use(self) -> int | None:
        """Connections of all pools that somebody has; None while no pool is known."""
        usages = [usage for _, usage in self._usages()]
        return sum(usage.used for usage in usages) if usages else None

    def measure_uses(self) -> None:
        """Measure the times of use that were noted."""
        while self.uses:
            try:
                took, name = self.uses.popleft()
            except IndexError:
                return  # another thread was first
            self._use_time.record(took, name)

    def _usages(self) -> Iterator[tuple[str, Usage]]:
        with self._lock:
            known = [(noted, pool) for pool, noted in self._known.items()]
        for noted, pool in known:
            try:
                usage = noted.usage(pool)
            except Exception:  # noqa: S112 - a pool that is taken apart at this moment; what is not known is not said
                continue
            if usage is not None:
                yield noted.name, usage

    def _counts(self) -> Iterator[tuple[int, str, str]]:
        if self.uses:
            self.measure_uses()
            self._use_time.fold()  # this collection has folded already
        used: dict[str, int] = defaultdict(int)
        idle: dict[str, int] = defaultdict(int)
        self._asked = list(self._usages())
        for name, usage in self._asked:
            used[name] += max(0, usage.used)
            if usage.idle is not None:
                idle[name] += max(0, usage.idle)
        yield from ((count, name, "used") for name, count in used.items())
        yield from ((count, name, "idle") for name, count in idle.items())

    def _limits(
        self, figure: Callable[[Usage], int | None], *, only_known: bool
    ) -> Iterator[tuple[int, str]]:
        """A figure by name; of a name with a pool that does not have it, nothing, if only what is known counts."""
        total: dict[str, int] = defaultdict(int)
        unknown: set[str] = set()
        for name, usage in self._asked:
            value = figure(usage)
            if value is None:
                unknown.add(name)
            else:
                total[name] += max(0, value)
        yield from ((value, name) for name, value in total.items() if not (only_known and name in unknown))


def _without_credentials(name: str) -> str:
    """A name as it is, of a URL what comes after user and password, and nothing of a list of options."""
    if "=" in name:
        return record.UNKNOWN  # `host=db password=…`, as drivers of PostgreSQL and ODBC write it
    return name.rpartition("@")[2]


_made: Pools | None = None
_making: Final = threading.Lock()


def pools() -> Pools:
    """The pools of this process. The first call makes the instruments."""
    global _made
    if _made is None:
        with _making:
            if _made is None:
                _made = Pools()
    return _made


def connections_in_use() -> int | None:
    """Connections of all pools that somebody has; None while no pool is known."""
    return _made.connections_in_use() if _made is not None else None
