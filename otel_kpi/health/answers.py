"""What is answered, in the shapes that the documents give. Pure."""

from __future__ import annotations

import json
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.exposition.answer import Answer
from otel_kpi.health.checks.check import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_kpi.health.declaration import Known

_JSON: Final = "application/json"
_READY: Final = 200
_NOT_READY: Final = 503
_PLATFORM: Final = sys.platform
_ARCHITECTURE: Final = platform.machine()
_PYTHON: Final = platform.python_version()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a question was asked.

    Attributes:
        monotonic: On the monotonic clock, for ages.
        time: In seconds since 1970.
    """

    monotonic: float
    time: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answers; what is not known is left out.

    Attributes:
        started: When the process began, in seconds since 1970.
        version: `service.version`.
        environment: `deployment.environment.name`.
    """

    started: float
    version: str | None = None
    environment: str | None = None


def overall(known: Sequence[Known], now: float) -> str:
    """Give the status of the whole.

    Unhealthy is what must not receive traffic: a critical check has failed. Before each critical check has had its
    first outcome it is starting. Anything else that fails, or of which nothing is known any more, degrades.
    """
    critical = {each.status(now) for each in known if each.declaration.critical}
    every = {each.status(now) for each in known}
    if "unhealthy" in critical:
        return "unhealthy"
    if "starting" in critical:
        return "starting"
    if not every.isdisjoint({"unhealthy", "degraded", "unknown"}):
        return "degraded"
    return "starting" if "starting" in every else "healthy"


def missing(known: Sequence[Known]) -> tuple[str, ...]:
    """Give the critical checks because of which the process must not receive traffic.

    What was found last counts, however old: that nobody asked since is no reason to take a process out of service.
    """
    return tuple(
        each.declaration.name
        for each in known
        if each.declaration.critical and (each.outcome is None or each.outcome.result.status == "unhealthy")
    )


def live(moment: Moment) -> Answer:
    """Say that the process answers."""
    return _answer(200, {"status": "ok", "timestamp": timestamp(moment.time)})


def ready(known: Sequence[Known], moment: Moment) -> Answer:
    """Say whether the process may receive traffic."""
    waiting = missing(known)
    said: dict[str, Any] = {
        "status": "not ready" if waiting else "ready",
        "timestamp": timestamp(moment.time),
    }
    if waiting:
        said["missing"] = list(waiting)
    return _answer(_NOT_READY if waiting else _READY, said)


def instrumentation(
    known: Sequence[Known], moment: Moment, identity: Identity, metrics: Mapping[str, Any] | None
) -> Answer:
    """Say how the whole is, and how its instrumentation is."""
    said: dict[str, Any] = {
        "status": overall(known, moment.monotonic),
        "timestamp": timestamp(moment.time),
    }
    if metrics is not None:
        said["metrics"] = metrics
    if identity.version is not None:
        said["version"] = identity.version
    return _answer(_NOT_READY if missing(known) else _READY, said)


def full(known: Sequence[Known], moment: Moment, identity: Identity, seconds: float) -> Answer:
    """Say all that is known.

    Args:
        known: Of each check.
        moment: When it was asked.
        identity: Who answers.
        seconds: How long it took to know this.
    """
    statuses = {each.declaration.name: each.status(moment.monotonic) for each in known}
    up = max(0, int(moment.time - identity.started))
    said: dict[str, Any] = {
        "status": overall(known, moment.monotonic),
        "timestamp": timestamp(moment.time),
        "uptime": {
            "seconds": up,
            "formatted": f"{up // 3600}h {up // 60 % 60}m {up % 60}s",
            "startTime": timestamp(identity.started),
        },
    }
    if identity.version is not None:
        said["version"] = identity.version
    if identity.environment is not None:
        said["environment"] = identity.environment
    said["responseTime"] = _milliseconds(seconds)
    shown = [(each, _shown(each, moment.monotonic, statuses)) for each in known]
    said["services"] = {
        each.declaration.name: entry for each, entry in shown if each.declaration.check.kind not in SYSTEM
    }
    said["system"] = {
        **{each.declaration.name: entry for each, entry in shown if each.declaration.check.kind in SYSTEM},
        "python": _PYTHON,
        "platform": _PLATFORM,
        "arch": _ARCHITECTURE,
    }
    return _answer(_NOT_READY if missing(known) else _READY, said)


def _shown(known: Known, now: float, statuses: Mapping[str, str]) -> dict[str, Any]:
    declaration, outcome = known.declaration, known.outcome
    entry: dict[str, Any] = {"status": statuses[declaration.name]}
    if declaration.check.kind not in SYSTEM:
        entry["critical"] = declaration.critical
    if outcome is not None:
        if known.is_stale(now):
            entry["lastStatus"] = outcome.result.status
        entry.update(outcome.result.details)
        if outcome.seconds is not None:
            entry["responseTime"] = _milliseconds(outcome.seconds)
        entry["age"] = round(max(0.0, now - outcome.at), 3)
        entry["checkedAt"] = timestamp(outcome.time)
        if outcome.error is not None:
            entry["error"] = outcome.error
        if outcome.blocked_by:
            entry["blockedBy"] = list(outcome.blocked_by)
    if known.hanging_since is not None:
        entry["hangingSince"] = timestamp(known.hanging_since)
    if declaration.depends_on:
        entry["dependencies"] = {name: statuses[name] for name in declaration.depends_on if name in statuses}
    return entry


def timestamp(seconds: float) -> str:
    """Write a time as ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _answer(status: int, said: Mapping[str, Any]) -> Answer:
    # Half a surrogate pair, which a name or a text of the application's may have, is no UTF-8.
    body = json.dumps(said, ensure_ascii=False, allow_nan=False).encode(errors="replace")
    return Answer(status, _JSON, body)
