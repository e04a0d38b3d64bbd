"""Exponential histograms, added up at the coarser scale and written as classic buckets.

The text formats have no other buckets. In Prometheus the same metric is a native histogram: its count and sum are
the same, and it has no `_bucket` series.
https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_BUCKETS = 640
"""On each side; a worker has 160, and the scale is made coarser where a sum would have more."""


@dataclass(frozen=True, slots=True)
class Exponential:
    """What one series of an exponential histogram says.

    Attributes:
        scale: Buckets have the bounds `2 ** (index / 2 ** scale)`.
        zero: How many values were zero.
        positive: Counts by index; the bucket `index` reaches from its bound to the next.
        negative: The same of absolute values.
        total: Sum of the values.
    """

    scale: int
    zero: int
    positive: tuple[tuple[int, int], ...]
    negative: tuple[tuple[int, int], ...]
    total: int | float

    @classmethod
    def of(cls, point: Any) -> Exponential:
        """What a data point of the SDK says."""
        return cls(point.scale, point.zero_count, _counts(point.positive), _counts(point.negative), point.sum)

    def count(self) -> int:
        """How many values there were."""
        return self.zero + sum(count for _, count in (*self.positive, *self.negative))

    def plus(self, other: Exponential) -> Exponential:
        """The sum of two."""
        scale = min(self.scale, other.scale)
        while True:
            positive = _merged(self.positive, self.scale, other.positive, other.scale, scale)
            negative = _merged(self.negative, self.scale, other.negative, other.scale, scale)
            if max(len(positive), len(negative)) <= _MOST_BUCKETS:
                break
            scale -= 1
        zero = self.zero + other.zero
        return Exponential(scale, zero, _sorted(positive), _sorted(negative), self.total + other.total)

    def buckets(self) -> list[tuple[float, int]]:
        """Upper bounds and cumulative counts of the buckets that hold something, without infinity."""
        below = 0
        found: list[tuple[float, int]] = []
        for index, count in reversed(self.negative):
            below += count
            found.append((-_bound(index, self.scale), below))
        if self.zero:
            below += self.zero
            found.append((0.0, below))
        for index, count in self.positive:
            below += count
            found.append((_bound(index + 1, self.scale), below))
        # Of buckets so near to zero that a double has one bound for them the last has the count of all.
        apart = {bound + 0.0: count for bound, count in found if math.isfinite(bound)}
        return [*apart.items()]


def _bound(index: int, scale: int) -> float:
    try:
        return 2.0 ** math.ldexp(index, -scale)
    except OverflowError:
        return math.inf


def _counts(side: Any) -> tuple[tuple[int, int], ...]:
    return tuple((side.offset + at, count) for at, count in enumerate(side.bucket_counts) if count)


def _merged(
    one: tuple[tuple[int, int], ...],
    one_scale: int,
    other: tuple[tuple[int, int], ...],
    other_scale: int,
    scale: int,
) -> dict[int, int]:
    merged: dict[int, int] = {}
    for counts, own in ((one, one_scale), (other, other_scale)):
        for index, count in counts:
            coarse = index >> (own - scale)
            merged[coarse] = merged.get(coarse, 0) + count
    return merged


def _sorted(counts: Mapping[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(counts.items()))
