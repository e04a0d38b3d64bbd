"""Health checks as series: every outcome is counted and timed, the last ones are read at each collection."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from otel_kpi import record
from otel_kpi.packs.health.instruments import CHECK_DURATION, CHECK_STATUS, CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otel_kpi.health.declaration import Declaration, Known, Outcome

_VALUES: Final = {"healthy": 1.0, "degraded": 0.5, "unhealthy": 0.0}

_durations: Final = record.histogram(CHECK_DURATION)
_checks: Final = record.counter(CHECKS)


def measure(declaration: Declaration, outcome: Outcome) -> None:
    """Record one outcome."""
    _checks.add(1, declaration.name, outcome.result.status)
    if outcome.seconds is not None:
        _durations.record(outcome.seconds, declaration.name)


def observe(known: Callable[[], Sequence[Known]]) -> None:
    """Have the last outcomes read at each collection; of what is not known there is no value."""

    def read() -> Iterable[tuple[float, str]]:
        now = time.monotonic()
        for each in known():
            value = _VALUES.get(each.status(now))
            if value is not None:
                yield value, each.declaration.name

    record.observe(CHECK_STATUS, read)
