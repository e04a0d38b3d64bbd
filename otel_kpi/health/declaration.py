"""A declared check and what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_kpi import redaction
from otel_kpi.health.checks.function import check_of
from otel_kpi.health.checks.machine import cpu, disk, memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.health.checks.check import Check
    from otel_kpi.health.result import Result

TIMEOUT: Final = 2.0
INTERVAL: Final = 30.0
MOST_CHECKS: Final = 100
"""Each may have a thread at a time."""

_LONGEST_NAME: Final = 100
_SHORTEST: Final = 0.01
_SLACK: Final = 1.0


@dataclass(frozen=True, slots=True)
class Declaration:
    """A check with its name and its place.

    Attributes:
        name: In the answer.
        check: What is asked.
        timeout: Seconds after which it is given up.
        interval: Seconds between two runs.
        critical: Whether the process must not receive traffic while it fails.
        depends_on: Names of checks; while one of them is unhealthy this one is not asked.
    """

    name: str
    check: Check
    timeout: float = TIMEOUT
    interval: float = INTERVAL
    critical: bool = False
    depends_on: tuple[str, ...] = ()

    @property
    def lifetime(self) -> float:
        """Seconds after which an outcome says nothing any more: somebody should have asked twice since."""
        return 2 * self.interval + self.timeout + _SLACK


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the last run of a check gave.

    Attributes:
        result: What it found.
        at: When it ended, on the monotonic clock.
        time: The same in seconds since 1970.
        seconds: How long it took; None when it was not asked.
        error: The exception's type, where there was one.
        blocked_by: Dependencies because of which it was not asked.
    """

    result: Result
    at: float
    time: float
    seconds: float | None = None
    error: str | None = None
    blocked_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a check at one moment.

    Attributes:
        declaration: Of which check.
        outcome: Of its last run; None before the first.
        hanging_since: When the run began that was given up and has not ended, in seconds since 1970.
    """

    declaration: Declaration
    outcome: Outcome | None
    hanging_since: float | None = None

    def status(self, now: float) -> str:
        """`"starting"` before the first outcome, `"unknown"` once it is too old, else what was found."""
        if self.outcome is None:
            return "starting"
        return "unknown" if self.is_stale(now) else self.outcome.result.status

    def is_stale(self, now: float) -> bool:
        """Whether the outcome is older than it can be while checks run."""
        return self.outcome is not None and now - self.outcome.at > self.declaration.lifetime


def declared(  # noqa: PLR0913 - what a person may say of a check
    name: str,
    target: Any,
    *,
    critical: bool | None,
    timeout: float,
    interval: float,
    depends_on: Iterable[str],
) -> Declaration:
    """Give the declaration.

    Raises:
        TypeError: `target` is nothing that can be asked, or a name is no text.
        ValueError: A time is not positive, or the name is empty or too long.
    """
    if type(name) is not str or not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} characters")
    for seconds in (timeout, interval):
        if not math.isfinite(seconds) or seconds < _SHORTEST:
            raise ValueError(f"timeout and interval are seconds, at least {_SHORTEST}")
    check = check_of(target)
    others = (depends_on,) if isinstance(depends_on, str) else tuple(depends_on)
    return Declaration(
        shown(name),
        check,
        timeout,
        interval,
        check.critical if critical is None else critical,
        tuple(map(shown, others)),
    )


def shown(name: str) -> str:
    """Give a name as it may be read by everybody: an address with a password is one that people hand over."""
    return str(redaction.redact_value("name", name))[:_LONGEST_NAME]


def machine() -> dict[str, Declaration]:
    """Give the checks that every process has."""
    return {
        name: Declaration(name, make()) for name, make in (("memory", memory), ("cpu", cpu), ("disk", disk))
    }


def without_cycles(declarations: Mapping[str, Declaration], added: Declaration) -> tuple[str, ...]:
    """Give the dependencies of a check that do not lead back to it: each would wait for the other for ever."""

    def leads_back(name: str, seen: set[str]) -> bool:
        if name == added.name:
            return True
        if name in seen or name not in declarations:
            return False
        seen.add(name)
        return any(leads_back(each, seen) for each in declarations[name].depends_on)

    return tuple(name for name in added.depends_on if not leads_back(name, set()))
