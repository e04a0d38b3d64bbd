"""The rates of one model for one kind of call, and the arithmetic on them.

Usage counts wholes and parts: `input_tokens` has the cached ones in it. A unit with a rate of its own is taken out of
the units that it is part of, so that each token is billed once, at the rate of the most specific unit that has one.
"""

from __future__ import annotations

import decimal
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.llm.prices.amounts import INCOMPLETE_USAGE, INCONSISTENT_USAGE, NO_RATE, NO_USAGE, Line
from otel_kpi.packs.llm.prices.units import REQUESTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.packs.llm.prices.units import Unit, Units

ARITHMETIC: Final = decimal.Context(prec=28, rounding=decimal.ROUND_HALF_EVEN, traps=[])
"""Not the thread's context: an application may have given that six digits, or have it raise."""

_multiply: Final = ARITHMETIC.multiply
_add: Final = ARITHMETIC.add
_divide: Final = ARITHMETIC.divide
_INPUT: Final = "input_tokens"
_NOTHING: Final = Decimal(0)
SECONDS: Final = "seconds"
CALLS: Final = "calls"
_MEETING: Final = 3  # dimensions; no two units meet in one that has fewer


class Unbillable(Exception):  # noqa: N818 - a reason, not an error
    """Usage that cannot be billed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of `per` of a unit, and what it is for long prompts.

    Attributes:
        base: The price.
        steps: For prompts of more than so many input tokens *all* cost this: (tokens, price), ascending.
    """

    base: Decimal
    steps: tuple[tuple[int, Decimal], ...] = ()

    def at(self, sent: Any) -> Decimal:
        """The price for a prompt of so many tokens."""
        rate = self.base
        for threshold, step in self.steps:
            if sent > threshold:
                rate = step
        return rate

    def times(self, factor: Decimal) -> Rate:
        """The rate multiplied."""
        steps = tuple((threshold, _multiply(step, factor)) for threshold, step in self.steps)
        return Rate(_multiply(self.base, factor), steps)


class Tariff:
    """Rates by unit, ready to be multiplied.

    Args:
        units: All that there are.
        rates: By unit, in the order of the data: a sum of rounded amounts depends on it.
        least: Of which units a call that has some is billed for at least so many.
        per_second: Of the call.
        per_call: Each.
        free: Whether what has no rate costs nothing.
    """

    __slots__ = ("_order", "_plain", "_units", "covered", "least", "per_call", "per_second", "rates")

    def __init__(  # noqa: PLR0913 - all that a bill is made of
        self,
        units: Units,
        rates: Mapping[Unit, Rate],
        *,
        least: Mapping[str, int] | None = None,
        per_second: Decimal | None = None,
        per_call: Decimal | None = None,
        free: bool = False,
    ) -> None:
        self._units = units
        self.rates = dict(rates)
        self.least = dict(least or {})
        self.per_second = per_second
        self.per_call = per_call
        # The most specific first: what is left of a whole is known when its parts are.
        ordered = sorted(self.rates, key=lambda unit: (-len(unit.dimensions), unit.key))
        counted = [unit for unit in ordered if unit.key != REQUESTS]
        places = {unit: place for place, unit in enumerate(counted)}
        self._order = tuple(
            (
                unit.key,
                unit if units.below(unit) or len(unit.dimensions) >= _MEETING else None,
                tuple(places[part] for part in counted if unit.has(part)),
            )
            for unit in counted
        )
        self._plain = tuple(
            (places.get(unit, -1), unit.key, *_for_one(rate, unit.per), rate, unit.per)
            for unit, rate in self.rates.items()
        )
        self.covered = (
            frozenset(units.by_key)
            if free
            else frozenset(key for unit in self.rates for key in (unit.key, *units.below(unit)))
        )
        """Units that have a rate, or are a part of one that has; where all is free, all."""

    def amount(self, counts: Mapping[str, Any], seconds: float | None) -> Decimal:
        """What a call costs.

        Raises:
            Unbillable: The usage contradicts itself, or something that has a rate cannot be known from it.
        """
        left = self._left(counts)
        total = _NOTHING
        for place, _, one, steps, rate, per in self._plain:
            count = left[place]
            if not count:
                continue
            if one is None or type(count) is not int:
                at = rate.at(self._sent(counts)) if rate.steps else rate.base
                total = _add(total, _divide(_multiply(at, _decimal(count)), per))
                continue
            if steps:
                sent = self._sent(counts)
                for threshold, dearer in steps:
                    if sent > threshold:
                        one = dearer  # noqa: PLW2901 - the price of one, of this prompt
            total = _add(total, _multiply(one, count))
        if self.per_call is not None:
            total = _add(total, self.per_call)
        if self.per_second is not None:
            total = _add(total, _multiply(self.per_second, _duration(seconds)))
        return total

    def lines(self, counts: Mapping[str, Any], seconds: float | None) -> tuple[Line, ...]:
        """The amount line by line; units of which there are none are left out."""
        left = self._left(counts)
        lines: list[Line] = []
        for place, key, _, _, rate, per in self._plain:
            if count := left[place]:
                at = rate.at(self._sent(counts)) if rate.steps else rate.base
                number = _decimal(count)
                lines.append(Line(key, number, at, per, _divide(_multiply(at, number), per)))
        if self.per_call is not None:
            lines.append(Line(CALLS, Decimal(1), self.per_call, 1, self.per_call))
        if self.per_second is not None:
            spent = _duration(seconds)
            lines.append(Line(SECONDS, spent, self.per_second, 1, _multiply(self.per_second, spent)))
        return tuple(lines)

    def missing(self, counts: Mapping[str, Any]) -> tuple[str, ...]:
        """Units that were used and that no rate is for.

        Raises:
            Unbillable: There is a rate for nothing of it.
        """
        known = self._units.by_key
        missing = tuple(
            key for key, count in counts.items() if count and key in known and key not in self.covered
        )
        if self.per_call is not None or self.per_second is not None:
            return missing
        if missing and not any(count for key, count in counts.items() if key in self.covered):
            raise Unbillable(NO_RATE)
        return missing

    def _left(self, counts: Mapping[str, Any]) -> list[Any]:
        """How many of each unit are billed at its own rate, in the order of `_order`; one request at the end."""
        if self.least:
            counts = self._at_least(counts)
        left: list[Any] = []
        reported = counts.get
        fractions = False
        for key, doubtful, parts in self._order:
            count = reported(key)
            if count is None:
                if doubtful is not None:
                    self._unsaid(doubtful, counts)
                left.append(0)
                continue
            if type(count) is not int:
                fractions = True
            if parts:
                if fractions:
                    count = _rest(count, [left[part] for part in parts])
                else:
                    for part in parts:
                        count -= left[part]
                if count < 0:
                    raise Unbillable(INCONSISTENT_USAGE)
            left.append(count)
        left.append(1)
        return left

    def _unsaid(self, unit: Unit, counts: Mapping[str, Any]) -> None:
        """What was not reported is none, unless parts of it were: then nobody knows the whole."""
        if any(counts.get(key) for key in self._units.below(unit)) or self._units.overlap(unit, counts):
            raise Unbillable(INCOMPLETE_USAGE)

    def _sent(self, counts: Mapping[str, Any]) -> Any:
        """The length of the prompt."""
        sent = counts.get(_INPUT)
        if sent is not None:
            return sent
        self._unsaid(self._units.by_key[_INPUT], counts)
        return 0

    def _at_least(self, counts: Mapping[str, Any]) -> Mapping[str, Any]:
        said = next((counts[key] for key in self.least if counts.get(key)), None)
        if said is None:
            return counts
        return {**counts, **{key: max(said, least) for key, least in self.least.items()}}


def _for_one(rate: Rate, per: int) -> tuple[Decimal | None, tuple[tuple[int, Decimal], ...]]:
    """The price of one, and of one in long prompts, where dividing by `per` only moves the point."""
    if str(per).strip("0") != "1":
        return None, ()
    return _divide(rate.base, per), tuple((threshold, _divide(step, per)) for threshold, step in rate.steps)


def _decimal(count: Any) -> Decimal:
    # 0.1 s is a tenth, as the provider wrote it and as genai-prices has it, and not the double next to it.
    return Decimal(repr(count)) if type(count) is float else Decimal(count)


def _rest(whole: Any, parts: list[Any]) -> Any:
    """A whole without its parts, exactly; a number with a fraction is what its shortest decimal spelling says."""
    values = [_decimal(each) for each in (whole, *parts)]
    with decimal.localcontext(decimal.Context(prec=400, traps=[])):
        rest = values[0] - sum(values[1:], _NOTHING)
    return rest if any(isinstance(each, Decimal) for each in (whole, *parts)) else float(rest)


def _duration(seconds: float | None) -> Decimal:
    if seconds is None or not 0 <= seconds < float("inf"):
        raise Unbillable(NO_USAGE)
    return Decimal(repr(round(seconds, 6)))
