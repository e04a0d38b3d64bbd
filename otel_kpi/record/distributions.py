"""Histograms: values that are added up here and given to the SDK at once, or one by one through the API.

One value through opentelemetry-api takes 5 µs; adding to a bucket takes half of one. So where the distribution has
lent a way to hand over many (`Sums`), values are added up by bucket until the next collection. The first of each
bucket since the last collection is kept with its trace and handed over as a measurement of its own: that is how it
becomes an exemplar, and the slowest calls are not lost behind the many quick ones. With another SDK, and without one,
or where a view gives the histogram other buckets, each value goes through the API.

The SDK's locks are held by one thread once. What records in a signal handler, or when the garbage collector comes by,
may interrupt a thread that holds one; so what is added up here asks for no lock of the SDK, and what interrupts the
API's own path waits until that is through.
"""

from __future__ import annotations

import logging
import sys
import time
from bisect import bisect_left
from collections import deque
from threading import get_ident
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as contexts
from opentelemetry import trace

from otel_kpi.model import Histogram
from otel_kpi.record.handle import CHOICES, HANDLES, LOSSES, Cell, Handle
from otel_kpi.record.number import MOST, number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.metrics import Meter

    from otel_kpi.record.handle import First, Label

_logger = logging.getLogger("otel_kpi.record")

_GREATEST: Final = sys.float_info.max / MOST

_UNSEEN: Final = -1
"""Count of a bucket before its first value since the last collection."""
_MOST_WAITING: Final = 1000
_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class _Distribution(Cell):
    """One series: the values since the last collection, by bucket."""

    __slots__ = ("counts", "firsts", "greatest", "least", "total")

    def __init__(self, attributes: Mapping[str, Any], record: Any, buckets: int) -> None:
        super().__init__(attributes, record)
        self.begin(buckets)

    def begin(self, buckets: int) -> None:
        """Forget the values; `buckets` is 0 where each value goes through the API."""
        self.counts: list[int] = [_UNSEEN] * buckets
        self.firsts: list[First] = []
        self.total = 0.0
        self.least = float("inf")
        self.greatest = float("-inf")


class Distributions(Handle[Histogram]):
    """The series of a histogram, whoever finds them."""

    def __init__(self, declaration: Histogram, scope: str) -> None:
        # Neither NaN nor infinity is between two finite numbers, nor is any sum of what is between these. A histogram
        # of OpenTelemetry takes nothing below 0.
        self._least = max(declaration.minimum, 0.0)
        self._most = min(declaration.maximum, _GREATEST)
        self._bounds = declaration.buckets
        self._introduced = False
        self._inside: set[int] = set()
        self._waiting: deque[tuple[float, Cell, Context]] = deque()
        super().__init__(declaration, scope)

    def _count(self, value: float, cell: Any, context: Context | None) -> None:
        """Add a value to its bucket, or give it to the API."""
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
                # At once: a signal handler that records comes between two calls, and its values are counted from here.
                counts[bucket] = 0
                if self._introduced:
                    leads_to = trace.get_current_span(context).get_span_context()
                    cell.firsts.append((value, time.time_ns(), leads_to))
                    return
                self._introduced = True
        self._give(value, cell, context)

    def renew(self) -> None:
        """Begin with nothing counted in a forked child, where nobody is inside of the SDK any more."""
        super().renew()
        self._inside.clear()
        self._waiting.clear()

    def _give(self, value: float, cell: Cell, context: Context | None) -> None:
        """Give one value to the API; after the one in which this thread is now, if it is in one."""
        me = get_ident()
        if me in self._inside:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append((value, cell, context or contexts.get_current()))
            else:
                self._failed()
            return
        self._inside.add(me)
        try:
            cell.value(value, cell.attributes, context)
        finally:
            self._inside.discard(me)
        while self._waiting:
            try:
                waiting = self._waiting.popleft()
            except IndexError:
                return  # another thread was quicker
            self._give(*waiting)

    def fold(self) -> None:
        """Give the SDK what was added up."""
        sums = CHOICES.sums
        if sums is None:
            return
        for cell in self.cells():
            if not isinstance(cell, _Distribution) or not cell.counts:
                continue
            with self._lock:
                firsts = cell.firsts
                values = (cell.counts, cell.total, cell.least, cell.greatest)
                cell.begin(len(cell.counts))
            for first in firsts:
                sums.first(self._instrument, cell.attributes, first)
            if any(count > 0 for count in values[0]):
                sums.add(self._instrument, cell.attributes, values)

    def _cell(self, attributes: Mapping[str, Any]) -> Cell:
        return _Distribution(attributes, self._instrument.record, self._buckets())

    def _begin(self) -> None:
        # Who derives from a histogram learns of it by its first value, and says then that each is wanted.
        self._introduced = False
        # What was recorded before there was a provider, or a way to hand over many values.
        buckets = self._buckets()
        for cell in self.cells():
            if isinstance(cell, _Distribution) and len(cell.counts) != buckets:
                with self._lock:
                    cell.begin(buckets)

    def _buckets(self) -> int:
        """How many buckets are counted here; 0 where each value goes through the API."""
        sums = CHOICES.sums
        if sums is None or CHOICES.follows(self.declaration.name):
            return 0
        return len(self._bounds) + 1 if sums.takes(self._instrument, self._bounds) else 0

    def _make(self, meter: Meter, name: str) -> Any:
        declared = self.declaration
        return meter.create_histogram(
            name, declared.unit, declared.brief, explicit_bucket_boundaries_advisory=declared.buckets
        )


class HistogramHandle(Distributions):
    """Records a distribution; made by `histogram()`."""

    def record(self, value: float, *values: Label, context: Context | None = None) -> None:
        """Record one value in the series of these attribute values.

        Args:
            value: In the instrument's unit, within its range.
            *values: Of the attributes, in the order in which they are declared.
            context: Where an exemplar leads; None is the current one.
        """
        try:
            if type(value) is not int and type(value) is not float:
                value = number(value)
            if not self._least <= value <= self._most:
                self._dropped(value)
                return
            cell: Any
            try:
                cell = self._came.get(values)
            except Exception:  # a value without a hash
                cell = None
            if cell is None:
                cell = self._find(values)
                if cell is None:
                    return
            self._count(value, cell, context)
        except Exception:
            self._failed(value)

    def bind(self, *values: Label) -> BoundHistogram:
        """A handle for one series."""
        return BoundHistogram(self, values)


class AdoptedHistogram(Distributions):
    """A histogram of opentelemetry-api that another package made and records in, added up as ours are.

    It is put in the place of that histogram, by `adopt()`. The package's attributes stay as they are: budgets and limits
    are those of the SDK. What cannot be added up is recorded as if nobody had come between.
    """

    def __init__(self, declaration: Histogram, histogram: Any) -> None:
        self._adopted = histogram
        super().__init__(declaration, "otel_kpi")
        # The series are the package's, and so is whatever it records past this one.
        self.shared = True

    def record(
        self, amount: float, attributes: Mapping[str, Any] | None = None, context: Context | None = None
    ) -> None:
        """Record one value, as `opentelemetry.metrics.Histogram.record` does."""
        cell: Any = None
        try:
            if (type(amount) is float or type(amount) is int) and self._least <= amount <= self._most:
                given = attributes or _NONE
                cell = self._came.get((*given, *given.values())) or self._admitted(given)
        except Exception:  # a value without a hash
            cell = None
        if cell is None:
            self._adopted.record(amount, attributes=attributes, context=context)
            return
        try:
            self._count(amount, cell, context)
        except Exception:
            self._failed(amount)

    def _admitted(self, attributes: Mapping[str, Any]) -> Cell | None:
        """A new series of these attributes; None where there is no room, and of what has no hash."""
        key = (*attributes, *attributes.values())
        with self._lock:
            if len(self._came) >= self.declaration.most_series:
                return None
            cell = self._came[key] = self._series[key] = self._cell(dict(attributes))
        return cell

    def _register(self) -> None:
        self._instrument = self._adopted


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
        if isinstance(handle, Distributions):
            try:
                handle.fold()
            except Exception as error:
                LOSSES.dropped(handle.declaration.name, "error")
                _logger.debug("values of %s were lost: %r", handle.declaration.name, error)
