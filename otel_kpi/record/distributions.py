"""Histograms: values that are added up here and given to the SDK at once, or one by one through the API.

One value through opentelemetry-api takes 5 µs; adding to a bucket takes half of one. So where the distribution has
lent a way to hand over many (`Sums`), values are added up by bucket until the next collection. The first of each
bucket since the last collection goes through the API all the same: that is how it becomes an exemplar, which leads to
a trace, and the slowest calls are not lost behind the many quick ones. With another SDK, and without one, or where a
view gives the histogram other buckets, each value goes through the API.
"""

from __future__ import annotations

import logging
import sys
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from otel_kpi.model import Histogram
from otel_kpi.record.handle import CHOICES, HANDLES, LOSSES, Cell, Handle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter

    from otel_kpi.record.handle import Label

_logger = logging.getLogger("otel_kpi.record")

_UNSEEN = -1
"""Count of a bucket before its first value since the last collection."""


class _Distribution(Cell):
    """One series: the values since the last collection, by bucket."""

    __slots__ = ("counts", "greatest", "least", "total")

    def __init__(self, attributes: Mapping[str, Any], record: Any, buckets: int) -> None:
        super().__init__(attributes, record)
        self.begin(buckets)

    def begin(self, buckets: int) -> None:
        """Forget the values; `buckets` is 0 where each value goes through the API."""
        self.counts: list[int] = [_UNSEEN] * buckets
        self.total = 0.0
        self.least = float("inf")
        self.greatest = float("-inf")


class HistogramHandle(Handle[Histogram]):
    """Records a distribution; made by `histogram()`."""

    def __init__(self, declaration: Histogram, scope: str) -> None:
        # Neither NaN nor infinity is between two finite numbers.
        self._least = max(declaration.minimum, -sys.float_info.max)
        self._most = min(declaration.maximum, sys.float_info.max)
        self._bounds = declaration.buckets
        super().__init__(declaration, scope)

    def record(self, value: float, *values: Label, context: Context | None = None) -> None:
        """Record one value in the series of these attribute values.

        Args:
            value: In the instrument's unit, within its range.
            *values: Of the attributes, in the order in which they are declared.
            context: Where an exemplar leads; None is the current one.
        """
        try:
            # What comes is of any type, whatever the signature says: a Decimal, a number of numpy's.
            if not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
                value = float(value)
            if not self._least <= value <= self._most:
                self._dropped(value)
                return
            cell: Any = self._came.get(values)
            if cell is None:
                cell = self._find(values)
                if cell is None:
                    return
            if cell.counts:
                bucket = bisect_left(self._bounds, value)
                with self._lock:
                    counts = cell.counts
                    if counts[bucket] != _UNSEEN:
                        counts[bucket] += 1
                        cell.total += value
                        cell.least = min(cell.least, value)
                        cell.greatest = max(cell.greatest, value)
                        return
                    counts[bucket] = 0
            cell.value(value, cell.attributes, context)
        except Exception:
            self._dropped(value)

    def bind(self, *values: Label) -> BoundHistogram:
        """A handle for one series."""
        return BoundHistogram(self, values)

    def fold(self) -> None:
        """Give the SDK what was added up."""
        sums = CHOICES.sums
        if sums is None:
            return
        for cell in self.cells():
            if not isinstance(cell, _Distribution) or not cell.counts:
                continue
            with self._lock:
                values = (cell.counts, cell.total, cell.least, cell.greatest)
                cell.begin(len(cell.counts))
            if any(count > 0 for count in values[0]):
                sums.add(self._instrument, cell.attributes, values)

    def _cell(self, attributes: Mapping[str, Any]) -> Cell:
        return _Distribution(attributes, self._instrument.record, self._buckets())

    def _begin(self) -> None:
        # What was recorded before there was a provider, or a way to hand over many values.
        buckets = self._buckets()
        for cell in self.cells():
            if isinstance(cell, _Distribution) and len(cell.counts) != buckets:
                with self._lock:
                    cell.begin(buckets)

    def _buckets(self) -> int:
        """How many buckets are counted here; 0 where each value goes through the API."""
        sums = CHOICES.sums
        if sums is None or self.declaration.name in CHOICES.followed:
            return 0
        return len(self._bounds) + 1 if sums.takes(self._instrument, self._bounds) else 0

    def _make(self, meter: Meter, name: str) -> Any:
        declared = self.declaration
        return meter.create_histogram(
            name, declared.unit, declared.brief, explicit_bucket_boundaries_advisory=declared.buckets
        )


class BoundHistogram:
    """A histogram with its attribute values."""

    __slots__ = ("_handle", "_values")

    def __init__(self, handle: HistogramHandle, values: tuple[Label, ...]) -> None:
        self._handle = handle
        self._values = values

    def record(self, value: float) -> None:
        """Record one value in the series."""
        self._handle.record(value, *self._values)


def fold() -> None:
    """Give the SDK what the histograms have added up: before each collection."""
    for handle in tuple(HANDLES):
        if isinstance(handle, HistogramHandle):
            try:
                handle.fold()
            except Exception as error:
                LOSSES.dropped(handle.declaration.name, "error")
                _logger.debug("values of %s were lost: %r", handle.declaration.name, error)
