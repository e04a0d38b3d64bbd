"""What a histogram's point says: taken apart by time, put together by series, asked for percentiles. Pure.

Both kinds are kept as cells, a count between two bounds. Those of explicit bounds can be put together where the bounds
are the same; those of exponential histograms always, at the coarser scale.
https://opentelemetry.io/docs/specs/otel/metrics/data-model/#histogram
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

Cell = tuple[float, float, float]
"""Lower bound, upper bound, how many."""
_MOST_CELLS = 640
"""On each side of an exponential histogram; the scale is made coarser where there would be more."""
_LEAST_SCALE = -10


class IncompatibleError(ValueError):
    """Two distributions over different bounds: there is no honest sum or difference of them."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many values there were, and where.

    Attributes:
        count: Of values.
        total: Their sum; None where the sender leaves it out.
        bounds: Upper bounds of explicit buckets, one fewer than `counts`; empty for exponential ones.
        counts: In each explicit bucket alone; empty where the sender has no buckets at all.
        scale: Of exponential buckets, which reach from `2 ** (index / 2 ** scale)` to the next; None of explicit ones.
        zero: How many values were zero, in exponential ones.
        positive: Counts by index.
        negative: The same of absolute values.
        least: The smallest value, where it is known.
        most: The largest.
    """

    count: float
    total: float | None = None
    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = ()
    scale: int | None = None
    zero: float = 0
    positive: tuple[tuple[int, float], ...] = ()
    negative: tuple[tuple[int, float], ...] = ()
    least: float | None = None
    most: float | None = None

    def cells(self) -> list[Cell]:
        """Where the values are, from the smallest up, without empty cells."""
        if self.scale is None:
            edges = (-math.inf, *self.bounds, math.inf)
            return [(edges[at], edges[at + 1], count) for at, count in enumerate(self.counts) if count]
        scale = self.scale
        below = [(-_bound(at + 1, scale), -_bound(at, scale), count) for at, count in reversed(self.negative)]
        zero = [(0.0, 0.0, self.zero)] if self.zero else []
        return (
            below + zero + [(_bound(at, scale), _bound(at + 1, scale), count) for at, count in self.positive]
        )

    def quantile(self, share: float) -> float | None:
        """The value below which this share of them is, as well as buckets can tell.

        Returns:
            Infinite where it is above the last bound and the largest value is not known; None where there are no
            values or no buckets.
        """
        cells = self.cells()
        count = sum(cell[2] for cell in cells)
        if not count:
            return None
        rank, below = share * count, 0.0
        for lower, upper, inside in cells:
            below += inside
            if below < rank:
                continue
            lower, upper = self._known(lower, upper)  # noqa: PLW2901 - the same cell, with what is known of its ends
            if math.isinf(upper) or math.isinf(lower):
                return upper if upper > 0 else lower
            return upper - (upper - lower) * (below - rank) / inside
        return None

    def _known(self, lower: float, upper: float) -> tuple[float, float]:
        if math.isinf(lower):
            lower = self.least if self.least is not None else 0.0 if upper > 0 else lower
        if math.isinf(upper) and self.most is not None:
            upper = max(self.most, lower)
        return lower, upper

    def plus(self, other: Distribution) -> Distribution:
        """Both together.

        Raises:
            IncompatibleError: Their bounds differ.
        """
        return _combined(self, other, 1)

    def minus(self, older: Distribution) -> Distribution | None:
        """What came since an older state of the same; None where there was a new beginning in between.

        Raises:
            IncompatibleError: Their bounds differ.
        """
        if older.count > self.count:
            return None
        left = _combined(self, older, -1)
        cells = (*left.counts, left.zero, *(count for _, count in (*left.positive, *left.negative)))
        return None if any(count < 0 for count in cells) else left


def decoded(count: float, data: Mapping[str, Any]) -> Distribution:
    """A distribution from what the store has of a point.

    Args:
        count: The point's count.
        data: `sum`, `min`, `max`; `bounds` and `counts`, or `scale`, `zero_count`, `positive` and `negative`.
    """
    least, most = _number(data.get("min")), _number(data.get("max"))
    total = _number(data.get("sum"))
    if data.get("scale") is None:
        bounds, counts = tuple(data.get("bounds") or ()), tuple(data.get("counts") or ())
        return Distribution(count, total, bounds, counts, least=least, most=most)
    return Distribution(
        count,
        total,
        scale=int(data["scale"]),
        zero=data.get("zero_count") or 0,
        positive=_indexed(data.get("positive")),
        negative=_indexed(data.get("negative")),
        least=least,
        most=most,
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _indexed(side: Any) -> tuple[tuple[int, float], ...]:
    if not side:
        return ()
    offset, counts = cast("tuple[int, list[float]]", side)
    return tuple((offset + at, count) for at, count in enumerate(counts) if count)


def _combined(one: Distribution, other: Distribution, sign: int) -> Distribution:
    count = one.count + sign * other.count
    total = None if one.total is None or other.total is None else one.total + sign * other.total
    # The smallest and largest of a difference are nobody's to know.
    least = _both(min, one.least, other.least) if sign > 0 else None
    most = _both(max, one.most, other.most) if sign > 0 else None
    if one.scale is None or other.scale is None:
        if one.scale is not other.scale or one.bounds != other.bounds or len(one.counts) != len(other.counts):
            raise IncompatibleError("the buckets have different bounds")
        counts = tuple(mine + sign * theirs for mine, theirs in zip(one.counts, other.counts, strict=True))
        return Distribution(count, total, one.bounds, counts, least=least, most=most)
    scale = min(one.scale, other.scale)
    while True:
        positive = _merged(one.positive, one.scale, other.positive, other.scale, scale, sign)
        negative = _merged(one.negative, one.scale, other.negative, other.scale, scale, sign)
        if max(len(positive), len(negative)) <= _MOST_CELLS or scale <= _LEAST_SCALE:
            break
        scale -= 1
    zero = one.zero + sign * other.zero
    return Distribution(
        count, total, scale=scale, zero=zero, positive=positive, negative=negative, least=least, most=most
    )


def _both(choose: Any, one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else choose(one, other)


def _merged(  # noqa: PLR0913, PLR0917 - two sides, each with its scale
    one: tuple[tuple[int, float], ...],
    one_scale: int,
    other: tuple[tuple[int, float], ...],
    other_scale: int,
    scale: int,
    sign: int,
) -> tuple[tuple[int, float], ...]:
    merged: dict[int, float] = {}
    for counts, own, factor in ((one, one_scale, 1), (other, other_scale, sign)):
        for index, count in counts:
            coarse = index >> (own - scale)
            merged[coarse] = merged.get(coarse, 0) + factor * count
    return tuple((index, count) for index, count in sorted(merged.items()) if count)


def _bound(index: int, scale: int) -> float:
    try:
        return 2.0 ** math.ldexp(index, -scale)
    except OverflowError:
        return math.inf
