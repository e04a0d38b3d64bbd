"""What can be billed, and which units are parts of which: cached tokens of input tokens, and so on. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REQUESTS: Final = "requests"
"""The one unit that nobody reports: a call is one."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Something that is billed.

    Attributes:
        key: How usage names it: `input_tokens`.
        price_key: How rates name it: `input_mtok`.
        per: For how many a rate is.
        dimensions: What it is, by name. What has all of these and more is a part of it.
    """

    key: str
    price_key: str
    per: int
    dimensions: frozenset[tuple[str, str]]

    def has(self, other: Unit) -> bool:
        """Whether the other unit is a part of this one."""
        return self.dimensions < other.dimensions


class Units:
    """All units of a table."""

    def __init__(self, rows: Iterable[Any]) -> None:
        self.listed: Final = tuple(
            Unit(key, price_key, per, frozenset(dimensions.items()))
            for key, price_key, per, dimensions in rows
        )
        self.by_key: Final = {unit.key: unit for unit in self.listed}
        self.by_price_key: Final = {unit.price_key: unit for unit in self.listed}
        self._below: Final[dict[Unit, tuple[str, ...]]] = {}

    def below(self, unit: Unit) -> tuple[str, ...]:
        """The keys of a unit's parts."""
        if (below := self._below.get(unit)) is None:
            below = self._below[unit] = tuple(other.key for other in self.listed if unit.has(other))
        return below

    def overlap(self, unit: Unit, counts: Mapping[str, Any]) -> bool:
        """Whether two reported units meet in this one, so that nobody can say how many it has."""
        reported = [
            other.dimensions
            for key, count in counts.items()
            if count and (other := self.by_key.get(key)) is not None and other.dimensions < unit.dimensions
        ]
        return any(
            one | two == unit.dimensions and not (one <= two or two <= one)
            for number, one in enumerate(reported)
            for two in reported[number + 1 :]
        )

    def uncovered(self, priced: Iterable[Unit]) -> str | None:
        """Why rates do not fit together, in words: a part without its whole, two that meet without a rate; or None."""
        units = sorted(priced, key=lambda unit: unit.key)
        for unit in units:
            for whole in self.listed:
                if whole.has(unit) and whole not in units:
                    return f"{unit.price_key} needs {whole.price_key} beside it, of which it is a part"
        by_dimensions = {unit.dimensions: unit for unit in self.listed}
        for number, one in enumerate(units):
            for two in units[number + 1 :]:
                both = one.dimensions | two.dimensions
                if len({name for name, _ in both}) < len(both) or both in {one.dimensions, two.dimensions}:
                    continue
                join = by_dimensions.get(both)
                if join is None or join not in units:
                    needed = f"; {join.price_key} says what those cost" if join is not None else ""
                    return f"{one.price_key} and {two.price_key} meet in what is both{needed}"
        return None
