"""Clients that were found suspicious, told apart without their addresses.

A set of hashes, salted by the process as Python does: the addresses themselves are on events and nowhere else.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from otel_kpi import forks, record
from otel_kpi.packs.security import events, handles, instruments
from otel_kpi.packs.security.attempts import origin
from otel_kpi.packs.security.words import word

if TYPE_CHECKING:
    from collections.abc import Callable

_logger: Final = logging.getLogger("otel_kpi.security")

MOST_CLIENTS: Final = 10_000
"""Clients that are told apart; about a megabyte."""
REMEMBERED: Final = 3600.0
"""Seconds after which a client of which nothing more was heard is forgotten."""


class Clients:
    """Distinct clients of the last hour, up to a bound.

    Args:
        most: How many are told apart.
        seconds: How long one is remembered after it was last seen.
        clock: Seconds that only go up.

    Attributes:
        asked: Whether anybody was ever found suspicious here.
    """

    def __init__(
        self,
        most: int = MOST_CLIENTS,
        seconds: float = REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most = most
        self._seconds = seconds
        self._clock = clock
        self._seen: OrderedDict[int, float] = OrderedDict()  # a dict is slow at forgetting its first
        self._lock = threading.Lock()
        self._warned = False
        self.asked = False

    def see(self, client: str) -> bool:
        """Note a client; False when there is no room for one more."""
        now, key = self._clock(), hash(client)
        self.asked = True
        with self._lock:
            self._forget(now)
            # Taken out first: the order is that of the last sight.
            if self._seen.pop(key, None) is None and len(self._seen) >= self._most:
                warned, self._warned = self._warned, True
            else:
                self._seen[key] = now
                return True
        if not warned:
            _logger.warning(
                "more than %d suspicious clients in %.0f s: further ones are not told apart",
                self._most,
                self._seconds,
            )
        return False

    def __len__(self) -> int:
        with self._lock:
            self._forget(self._clock())
            return len(self._seen)

    def clear(self) -> None:
        """Forget all of them; in a forked child, whose lock may be one that nobody gives back."""
        self._lock = threading.Lock()
        self._seen = OrderedDict()
        self._warned = self.asked = False

    def _forget(self, now: float) -> None:
        while self._seen:
            first = next(iter(self._seen))
            if now - self._seen[first] < self._seconds:
                return
            self._seen.popitem(last=False)


_clients: Final = Clients()


def _readings() -> list[tuple[int]]:
    # Where nobody ever looks for suspicious clients there are not 0 of them: it is not known.
    return [(len(_clients),)] if _clients.asked else []


record.observe(instruments.SUSPICIOUS_CLIENTS, _readings, handles.SCOPE)
forks.in_child(_clients.clear)


def suspicious(address: object, reason: str, **attributes: object) -> None:
    """Say that a client is suspicious: it is counted by reason, among the distinct ones, and named in an event.

    Args:
        address: The client's address, or whatever tells it apart. On the log event `security.suspicion` alone.
        reason: Why, for example `"honeypot"`; at most 20 distinct values.
        **attributes: Further ones of the event: 16 at most.

    Exported as `kpi_security_suspicions_total` and, of the last hour, `kpi_security_suspicious_clients`; clients
    beyond 10,000 are in `kpi_security_suspicious_clients_uncounted_total`. It is not an intrusion attempt: call
    `intrusion()` when it is. Never raises.
    """
    try:
        name = word(reason, "the reason of a suspicion")
        handles.suspicions.add(1, name)
        where = origin().at(address)
        if where.address and not _clients.see(where.address):
            handles.uncounted_clients.add(1)
        events.write("security.suspicion", {"kpi.security.suspicion.reason": name}, where, attributes)
    except Exception:
        handles.dropped_events.add(1, "security.suspicion", "error")
