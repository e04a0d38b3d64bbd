"""Security events: log records named `security.*`, the only place for addresses.

An attack makes many of them. One process writes a thousand at once and a hundred a second after that; what is
beyond is counted in `kpi.security.events.dropped`, and in the metrics in any case.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry._logs import SeverityNumber

from otel_kpi import forks
from otel_kpi.packs.events import emit
from otel_kpi.packs.security import handles
from otel_kpi.packs.security.origin import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_kpi.packs.security.origin import Moment, Origin

_logger: Final = logging.getLogger("otel_kpi.security")

_MOST_ATTRIBUTES: Final = 16
_LONGEST: Final = 256
"""Characters of an attribute's value."""
_GREATEST: Final = 2**63
_MOST_HOPS: Final = 8
_EVENTS: Final = {
    "security.intrusion": ("Intrusion attempt", SeverityNumber.ERROR),
    "security.authentication": ("Auth failure", SeverityNumber.WARN),
    "security.rate_limit": ("Rate limit reached", SeverityNumber.INFO),
    "security.suspicion": ("Suspicious client", SeverityNumber.WARN),
}


class Allowance:
    """So many at once, and so many a second after that.

    Args:
        burst: How many may come at once.
        rate: How many come back each second.
        clock: Seconds that only go up.
    """

    def __init__(
        self, burst: float = 1000.0, rate: float = 100.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = self._left = burst
        self._rate = rate
        self._clock = clock
        self._since = clock()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take one, if there is one left."""
        at = self._clock()
        with self._lock:
            self._left = min(self._burst, self._left + (at - self._since) * self._rate)
            self._since = at
            if self._left < 1:
                return False
            self._left -= 1
            return True

    def after_fork(self) -> None:
        """Have a lock that nobody holds: one of the parent's threads may have held it."""
        self._lock = threading.Lock()


_allowance: Final = Allowance()
_exceeded = False
forks.in_child(_allowance.after_fork)


def write(
    name: str,
    attributes: Mapping[str, Any],
    origin: Origin,
    further: Mapping[str, Any] | None = None,
    when: Moment | None = None,
) -> None:
    """Write an event. Never raises.

    Args:
        name: One of `_EVENTS`.
        attributes: The pack's; their values are the body too, for people, and the address ends it.
        origin: Of the request.
        further: The caller's: 16 at most, texts cut at 256 characters.
        when: It happened; None is now.
    """
    try:
        if not _allowance.take():
            _exceed()
            handles.dropped_events.add(1, name, "rate")
            return
        title, severity = _EVENTS[name]
        said = {key: value for key, value in attributes.items() if value is not None}
        said = {key: _plain(value) for key, value in said.items()}
        body = f"{title}: {', '.join(str(value) for value in said.values())}"
        for key, value in list((further or {}).items())[:_MOST_ATTRIBUTES]:
            said.setdefault(_text(key), _plain(value))
        if origin.address:
            said["client.address"] = address = _text(origin.address)
            body = f"{body} from {address}"
        if origin.forwarded:
            hops = [_text(each) for each in origin.forwarded[:_MOST_HOPS]]
            said["http.request.header.x-forwarded-for"] = hops
        when = when or now()
        emit(
            handles.SCOPE,
            name,
            said,
            severity=severity,
            body=body,
            within=when.context,
            timestamp=when.timestamp,
        )
    except Exception:
        handles.dropped_events.add(1, name, "error")


def _plain(value: Any) -> Any:
    kind = type(value)
    if kind is bool or kind is float or (kind is int and -_GREATEST <= value < _GREATEST):
        return value
    return _text(value)


def _text(value: Any) -> str:
    # Half a surrogate pair, as names of files have them, would cost all records that leave with this one.
    return str(value)[:_LONGEST].encode(errors="replace").decode()


def _exceed() -> None:
    global _exceeded
    if not _exceeded:
        _exceeded = True
        _logger.warning("more security events than a hundred a second: further ones are counted, not written")
