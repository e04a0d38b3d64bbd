"""Private parts of opentelemetry-sdk: when a series began.

For the SDK a series of an observable instrument begins at the collection that meets it first, in the millisecond in
which it has its first value. So Prometheus has no moment at which to put the zero that it infers from a start
(`created-timestamp-zero-ingestion`): the first increase is lost to `increase()`, and a process that takes the place
and the `instance` of another one is no reset to it unless the value falls. In truth nothing was there when the
instrument was asked the last time. There is no other way to say so: the time is taken where a series is made.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Start(threading.local):
    at = 0


_start = _Start()


def _now() -> int:
    return _start.at or time.time_ns()


def tell_series_starts() -> None:
    """Have a series that is made while `since(...)` is consumed begin when that says; all others begin now."""
    from opentelemetry.sdk.metrics._internal import _view_instrument_match

    _view_instrument_match.time_ns = _now  # pyright: ignore[reportPrivateImportUsage] - the name that the module calls


def since(start: int, measurements: Iterable[Any]) -> Iterator[Any]:
    """The measurements, whose series began at `start` if they are new.

    Args:
        start: Nanoseconds since 1970.
        measurements: Of an observable instrument; consumed by the thread that asks for the next one.
    """
    for measurement in measurements:
        _start.at = start
        try:
            yield measurement
        finally:
            _start.at = 0
