"""An instrument: what is measured, in which unit, with which attributes, and what Prometheus calls it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, Literal

from otel_kpi.model.prometheus import series_name

if TYPE_CHECKING:
    from otel_kpi.model.attribute import Attribute

Kind = Literal["counter", "updowncounter", "gauge", "histogram"]
Stability = Literal["stable", "development"]

MOST_SERIES = 500
"""Attribute sets of one instrument at most, however many its attributes would give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """What all kinds have.

    Attributes:
        name: As OpenTelemetry has it, `kpi.etl.quality_score`. `{chat}` in it stands for a prefix that a setting gives.
        unit: UCUM; `{thing}` where things are counted, `s` for time, `By` for volume.
        brief: One sentence: what a reading says.
        attributes: In the order in which a handle takes their values.
        prometheus: The series' name where a document fixes it; else it follows from name and unit. The linter proves
            that the two are the same.
        source: Which requirement or document asks for it.
        systems: The documents that have it, `S0` … `S4`.
        series: Attribute sets at most, without the one for overflow; 0 is what the attributes' budgets give, up to 500.
        exempt: Why the name breaks a rule of OpenTelemetry's naming, where a document fixes it.
        observable: Read by a callback at each collection.
        compatibility: A second name for what another instrument says; can be switched off.
        stability: Whether the name may still change.
    """

    kind: ClassVar[Kind]

    name: str
    unit: str
    brief: str
    attributes: tuple[Attribute, ...] = ()
    prometheus: str = ""
    source: str = ""
    systems: tuple[str, ...] = ()
    series: int = 0
    exempt: str = ""
    observable: bool = False
    compatibility: bool = False
    stability: Stability = "development"

    @property
    def series_name(self) -> str:
        """What Prometheus calls it; of a histogram without `_bucket`, `_sum`, `_count`."""
        return self.prometheus or series_name(self.name, self.unit, self.kind)

    @property
    def most_series(self) -> int:
        """Attribute sets at most, without the one for overflow."""
        if self.series:
            return self.series
        # One more for `other`, and one for `unknown`, or where the attribute may be missing.
        return min(MOST_SERIES, prod(each.values + 2 for each in self.attributes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter(Instrument):
    """Something that only goes up.

    Attributes:
        initial: Attribute values of series that are there from the start, with 0: an alert on the first intrusion
            needs a value before it.
        exact: For money, whose totals are decimals: the attribute that has the currency. What is beyond a budget is
            kept apart by it, since amounts of two currencies have no sum.
    """

    kind: ClassVar[Kind] = "counter"

    exact: str = ""
    initial: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class UpDownCounter(Instrument):
    """Something that goes up and down and adds up over processes: connections, sessions.

    Attributes:
        initial: Attribute values of series that are there from the start, with 0.
    """

    kind: ClassVar[Kind] = "updowncounter"

    initial: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge(Instrument):
    """A reading that does not add up: a score, an age.

    Attributes:
        minimum: Least value that makes sense; a smaller one is dropped and counted.
        maximum: Greatest value that makes sense.
    """

    kind: ClassVar[Kind] = "gauge"

    minimum: float = float("-inf")
    maximum: float = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram(Instrument):
    """A distribution: durations, sizes.

    Attributes:
        buckets: Upper bounds, ascending; they hold every threshold that an alert or an objective uses.
        minimum: Least value that makes sense; a smaller one is dropped and counted.
        maximum: Greatest value that makes sense.
    """

    kind: ClassVar[Kind] = "histogram"

    buckets: tuple[float, ...]
    minimum: float = 0.0
    maximum: float = float("inf")
