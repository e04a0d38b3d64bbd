"""What the doctor says: findings first, then what was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]

_RANK = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        severity: `error` when telemetry is lost or wrong, `warning` when some may be missing, `note` else.
        what: One sentence.
        advice: What to type or to change; empty when there is nothing to do.
    """

    severity: Severity
    what: str
    advice: str = ""


@dataclass(frozen=True, slots=True)
class SettingRow:
    """A setting as it was resolved.

    Attributes:
        keyword: Of `configure()`; `keyword.signal` where it exists for each signal.
        value: For a person; never a secret.
        origin: Where the value came from.
    """

    keyword: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class Library:
    """A library and what instruments it.

    Attributes:
        name: Of the instrumentor.
        version: Of the library; empty when it is part of Python or not known.
        state: `loaded`, `armed`, `ready` (not in a process), `skipped`, `failed`, `missing`, …
        reason: Why; empty when it is as it should be.
    """

    name: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Trip:
    """One signal sent to its destination, and the answer.

    Attributes:
        signal: `traces`, `metrics`, `logs`, or `errors` for Sentry.
        destination: The address, without user and password.
        protocol: How it was written.
        answer: `accepted`, `partial`, `refused`, `failed`, or `not tried`.
        reason: The receiver's words, or why there are none.
        seconds: From the first byte to the answer.
        sent: What was sent, so that it can be recognised.
    """

    signal: str
    destination: str
    protocol: str
    answer: str
    reason: str = ""
    seconds: float = 0.0
    sent: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """What became of the items of one signal in a process."""

    signal: str
    destination: str
    sent: int
    waiting: int
    lost: dict[str, int]


@dataclass(frozen=True, slots=True)
class Report:
    """What the doctor found.

    Attributes:
        subject: What was looked at, for a person.
        pid: Of the process that was looked at; None for an environment.
        versions: Of what matters, by distribution.
        findings: The worst first.
        settings: Every setting.
        libraries: Every library that is installed, used, or known.
        trips: The round trips.
        counts: What a process has sent so far.
    """

    subject: str
    pid: int | None
    versions: dict[str, str]
    findings: tuple[Finding, ...]
    settings: tuple[SettingRow, ...] = ()
    libraries: tuple[Library, ...] = ()
    trips: tuple[Trip, ...] = ()
    counts: tuple[Count, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether nothing is an error."""
        return all(finding.severity != "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        return {"healthy": self.healthy, **asdict(self)}

    def __str__(self) -> str:
        from otel_kpi.diagnosis.text import render

        return render(self)


def worst_first(findings: list[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then notes; each once."""
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: _RANK[finding.severity]))


def from_json(found: dict[str, Any]) -> Report:
    """The report that another process gave.

    Raises:
        KeyError: It is none.
        TypeError: The same.
    """
    return Report(
        subject=str(found["subject"]),
        pid=found["pid"],
        versions=dict(found["versions"]),
        findings=tuple(Finding(**each) for each in found["findings"]),
        settings=tuple(SettingRow(**each) for each in found["settings"]),
        libraries=tuple(Library(**each) for each in found["libraries"]),
        trips=tuple(Trip(**each) for each in found["trips"]),
        counts=tuple(Count(**each) for each in found["counts"]),
    )
