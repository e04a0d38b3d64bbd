"""Two traces by what they have in common: the same service and name below the same parent is the same place. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from otel_kpi.dev.viewer.waterfall import Waterfall


@dataclass(slots=True)
class Side:
    """What one of the traces has at a place, a parent that never came too; durations in nanoseconds, together."""

    spans: int = 0
    duration: int = 0
    errors: int = 0


@dataclass(slots=True)
class Place:
    """A place in both trees.

    Attributes:
        start: Where it begins first, for the order.
        only: Which of the two has it alone; empty is both.
    """

    service: str
    name: str
    depth: int
    start: int
    sides: tuple[Side, Side] = field(default_factory=lambda: (Side(), Side()))

    @property
    def only(self) -> Literal["", "a", "b"]:
        """Which trace has it alone."""
        if not self.sides[1].spans:
            return "a"
        return "" if self.sides[0].spans else "b"

    @property
    def difference(self) -> int:
        """Nanoseconds that the second takes more."""
        return self.sides[1].duration - self.sides[0].duration


def compare(first: Waterfall, second: Waterfall) -> list[Place]:
    """Lay two traces (with nothing folded) over each other, from top to bottom."""
    places: list[Place] = []
    below: dict[tuple[int, str, str], int] = {}
    for side, laid in enumerate((first, second)):
        where: list[int] = []
        for row in laid.rows:
            above = where[row.parent] if row.parent >= 0 else -1
            key = (above, row.service, row.name)
            at = below.setdefault(key, len(places))
            if at == len(places):
                places.append(Place(row.service, row.name, row.depth, row.start))
            place = places[at]
            place.start = min(place.start, row.start)
            place.sides[side].spans += 1
            place.sides[side].duration += row.duration
            place.sides[side].errors += row.failed
            where.append(at)
    children: dict[int, list[int]] = {}
    for (above, _, _), at in below.items():
        children.setdefault(above, []).append(at)
    ordered: list[Place] = []
    waiting = sorted(children.get(-1, ()), key=lambda at: places[at].start, reverse=True)
    while waiting:
        at = waiting.pop()
        ordered.append(places[at])
        waiting.extend(sorted(children.get(at, ()), key=lambda one: places[one].start, reverse=True))
    return ordered
