"""Where a value stands on an axis, which values an axis names, and which of many points a picture needs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    Number = int | float | Decimal

MOST: Final = 1e300
"""Beyond it differences are no numbers any more; what is greater is drawn there."""
_SECOND: Final = 1_000_000_000
_STEPS: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    1_209_600, 2_592_000, 7_776_000, 31_536_000,
)  # fmt: skip
"""Seconds between two times that an axis names."""
_TICKS: Final = 4
_TIMES: Final = 5
"""Values and times that an axis names, about."""
_MINUTE: Final = 60
_DAY: Final = 86_400
_NO_PREFIX: Final = 1e18
"""From which on no prefix is known to everybody."""
_THREE_DIGITS: Final = 100
_TINY: Final = 1e-4
"""Below which an exponent is shorter."""
_PREFIXES: Final = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


class Tick(NamedTuple):
    """A value that an axis names."""

    value: float
    text: str


def finite(value: Number | None) -> float | None:
    """A value as it can be drawn; None of what is no number, for which there is a gap."""
    if value is None:
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond any float
        number = MOST if value > 0 else -MOST
    except ValueError:  # a decimal that signals
        return None
    if math.isnan(number):
        return None
    return max(-MOST, min(MOST, number))


@dataclass(frozen=True, slots=True)
class Scale:
    """An axis.

    Attributes:
        low: Its first value.
        high: Its last; greater than `low`.
        log: Equal distances are equal factors; `low` is positive then.
    """

    low: float
    high: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value stands, from 0 to 1; what lies beyond the axis stands at its end."""
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return max(0.0, min(1.0, share))


def scale(values: Iterable[float], *, zero: bool = True, log: bool = False) -> Scale:
    """The axis on which all values have room.

    Args:
        values: Finite ones; none and a single one give an axis, too.
        zero: The axis begins at 0, or has it within.
        log: Equal distances are equal factors; what is not positive stands at its begin.
    """
    known = list(values)
    if log:
        positive = [value for value in known if value > 0] or [1.0]
        low, high = min(positive), max(positive)
        low, high = 10.0 ** math.floor(math.log10(low)), 10.0 ** math.ceil(math.log10(high))
        return Scale(low or 1e-300, high if high > low else low * 10, log=True)
    low, high = min(known, default=0.0), max(known, default=0.0)
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if low == high:
        # A constant has room above, and below unless that is 0.
        low, high = (0.0, 1.0) if low == 0 else (low - abs(low) / 2, high + abs(high) / 2)
        if zero:
            low, high = min(low, 0.0), max(high, 0.0)
    if not low < high:  # a number too small for halves
        high = low + 1.0
    return Scale(low, high)


def ticks(axis: Scale) -> list[float]:
    """Round values on an axis, about as many as are wanted."""
    if axis.log:
        first, last = round(math.log10(axis.low)), round(math.log10(axis.high))
        every = max(1, math.ceil((last - first) / _TICKS))
        return [10.0**power for power in range(first, last + 1, every)]
    step = _round_step((axis.high - axis.low) / _TICKS)
    first = math.ceil(axis.low / step - 1e-9)
    found: list[float] = []
    for index in range(2 * _TICKS + 2):
        value = (first + index) * step
        if value > axis.high + step * 1e-9:
            break
        found.append(0.0 if abs(value) < step * 1e-9 else value)
    return found


def _round_step(rough: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    if rough <= 0 or not math.isfinite(rough):
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    if power == 0:  # beyond the least of floats
        return rough
    return next((factor * power for factor in (1, 2, 5) if factor * power >= rough * 0.999), 10 * power)


def time_ticks(start_ns: int, end_ns: int) -> list[Tick]:
    """Round moments of a time, UTC; days where it is long, seconds where it is short."""
    seconds = (end_ns - start_ns) / _SECOND
    if seconds <= 0:
        return []
    step = next((each for each in _STEPS if seconds / each <= _TIMES), 10 * _STEPS[-1])
    if seconds < _STEPS[0]:
        return [Tick(start_ns, _moment(start_ns, "%H:%M:%S")), Tick(end_ns, _moment(end_ns, "%H:%M:%S"))]
    form = "%d %b" if step >= _DAY else "%H:%M" if step >= _MINUTE else "%H:%M:%S"
    first = -(-start_ns // (step * _SECOND))
    return [
        Tick(at, _moment(at, form))
        for index in range(_TIMES + 2)
        if (at := (first + index) * step * _SECOND) <= end_ns
    ]


def _moment(time_ns: int, form: str) -> str:
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_ns // 1000)
    except OverflowError:  # a clock that is wrong by millennia
        return "?"
    return moment.strftime(form)


def moment(time_ns: int) -> str:
    """A time as a person reads it, UTC."""
    return _moment(time_ns, "%Y-%m-%d %H:%M:%S UTC")


def quantity(value: float) -> str:
    """A number in few letters: `1.2k`, `34M`, `0.05`."""
    size = abs(value)
    if size >= _NO_PREFIX:
        return f"{value:.2g}"
    for least, prefix in _PREFIXES:
        if size >= least:
            return f"{significant(value / least)}{prefix}"
    return significant(value) if value != int(value) or size < _THREE_DIGITS else f"{value:.0f}"


def significant(value: float) -> str:
    """Three digits, without zeros at the end."""
    if value == 0:
        return "0"
    if abs(value) < _TINY:
        return f"{value:.2g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def segments(points: Iterable[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """What can be joined by a line: where there is no value, one ends."""
    found: list[list[tuple[float, float]]] = []
    current: list[tuple[float, float]] = []
    for at, value in points:
        if value is None:
            if current:
                found.append(current)
                current = []
        else:
            current.append((at, value))
    if current:
        found.append(current)
    return found


def m4(
    points: Sequence[tuple[float, float | None]], columns: int, start: float, end: float
) -> list[tuple[float, float | None]]:
    """Of each column of a picture the first, the last, the least and the greatest value: what a line of all would show.

    Source: U. Jugel and others, "M4: A Visualization-Oriented Time Series Data Aggregation", VLDB 2014.

    Args:
        points: By time; a gap stays one.
        columns: How many the picture has; at most four points of each are left.
        start: Time of the picture's begin.
        end: Time of its end.
    """
    if len(points) <= 4 * columns or end <= start:
        return list(points)
    kept: list[tuple[float, float | None]] = []
    column = -1
    inside: list[tuple[float, float]] = []
    gap = False

    def leave() -> None:
        if not inside:
            return
        least = min(range(len(inside)), key=lambda at: inside[at][1])
        most = max(range(len(inside)), key=lambda at: inside[at][1])
        kept.extend(inside[at] for at in sorted({0, least, most, len(inside) - 1}))
        inside.clear()

    for at, value in points:
        where = int((at - start) / (end - start) * columns)
        if where != column:
            leave()
            column, gap = where, False
        if value is not None:
            inside.append((at, value))
        elif not gap:  # one gap in a column is seen as well as ten
            leave()
            kept.append((at, None))
            gap = True
    leave()
    return kept
