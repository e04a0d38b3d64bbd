"""The catalogue: one row for each instrument, as people and programs ask for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from otel_kpi.model import label_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.model import Instrument, Pack


@dataclass(frozen=True, slots=True)
class Entry:
    """One instrument.

    Attributes:
        pack: The pack's name.
        name: OpenTelemetry's.
        prometheus: The series; of a histogram without its suffixes.
        kind: Counter, up-down counter, gauge or histogram.
        unit: In UCUM.
        labels: In Prometheus, each with the values that it may have at most.
        series: Attribute sets at most.
        systems: The documents that have it.
        source: The requirement behind it.
        compatibility: Whether it is a second name for something.
        brief: What a reading says.
    """

    pack: str
    name: str
    prometheus: str
    kind: str
    unit: str
    labels: Mapping[str, int]
    series: int
    systems: tuple[str, ...]
    source: str
    compatibility: bool
    brief: str

    def as_json(self) -> dict[str, Any]:
        """The entry in plain types."""
        return {**asdict(self), "labels": dict(self.labels), "systems": list(self.systems)}


def entries(packs: Iterable[Pack]) -> tuple[Entry, ...]:
    """The rows, in the order of packs and of their pages."""
    return tuple(_entry(pack.name, instrument) for pack in packs for instrument in pack.instruments)


def _entry(pack: str, instrument: Instrument) -> Entry:
    domain, closed, rest = instrument.name.partition("}")
    series = instrument.series_name
    if closed:
        # Prometheus' name begins with what the setting says; the translation sees a name of its own.
        prefix = domain.removeprefix("{")
        series = f"<{prefix}_prefix>_{series.removeprefix(f'{prefix}_')}"
    return Entry(
        pack=pack,
        name=f"<{domain.removeprefix('{')}_prefix>{rest}" if closed else instrument.name,
        prometheus=series,
        kind=instrument.kind,
        unit=instrument.unit,
        labels={label_name(each.name): each.values for each in instrument.attributes},
        series=instrument.most_series,
        systems=instrument.systems,
        source=instrument.source,
        compatibility=instrument.compatibility,
        brief=instrument.brief,
    )
