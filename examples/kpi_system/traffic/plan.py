"""What there will be: numbers under the names of series."""

import json
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Plan:
    """What there will be.

    Attributes:
        counts: By series, with labels: the value of a counter or a gauge, the number of values of a histogram.
        present: Series whose value nobody knows in advance.
        possible: Series that are there if a process reports at the right moment, and for five minutes after that.
        least: Series of whose value only a lower bound is known.
        answers: Answers by request and status.
        received: Events that each client gets, in the order of `script.SUBSCRIPTIONS`.
    """

    counts: dict[str, float] = field(default_factory=dict[str, float])
    present: set[str] = field(default_factory=set[str])
    possible: set[str] = field(default_factory=set[str])
    least: dict[str, float] = field(default_factory=dict[str, float])
    answers: Counter[str] = field(default_factory=Counter[str])
    received: list[int] = field(default_factory=list[int])

    def to_json(self) -> str:
        """Return the plan for people and programs."""
        said = {
            "series": {"total": len(self.counts), "of": dict(sorted(self.counts.items()))},
            "present": sorted(self.present),
            "at least": dict(sorted(self.least.items())),
            "answers": {"total": self.answers.total(), "of": dict(sorted(self.answers.items()))},
            "received": self.received,
        }
        return json.dumps(said, indent=2)

    def count(self, name: str, number: float = 1, /, **labels: str) -> None:
        """Add to a series."""
        key = series(name, **labels)
        self.counts[key] = self.counts.get(key, 0) + number

    def put(self, name: str, number: float, /, **labels: str) -> None:
        """Say the last value of a series."""
        self.counts[series(name, **labels)] = number

    def see(self, name: str, **labels: str) -> None:
        """Say that there is a series."""
        self.present.add(series(name, **labels))

    def allow(self, name: str, **labels: str) -> None:
        """Say that there may be a series."""
        self.possible.add(series(name, **labels))

    def expect(self, name: str, least: float, /, **labels: str) -> None:
        """Say how much a series is at least."""
        self.least[series(name, **labels)] = least

    def add(self, other: "Plan") -> None:
        """Add what another process does at the same time; who receives events is the server's alone."""
        for key, number in other.counts.items():
            self.counts[key] = self.counts.get(key, 0) + number
        self.present |= other.present
        self.possible |= other.possible
        self.least |= other.least
        self.answers += other.answers


def series(name: str, **labels: str) -> str:
    """Return a series as Prometheus writes it."""
    said = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    return f"{name}{{{said}}}"
