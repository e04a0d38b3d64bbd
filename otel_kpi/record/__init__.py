"""Handles of declared instruments: tallies in Python, which OpenTelemetry reads when it collects.

A measurement of opentelemetry-sdk takes 6 to 8 µs; adding to a number that a callback reports takes a fraction of
one. So counters and gauges are kept here, by the values of their attributes, and reported through observable
instruments of opentelemetry-api: one report for each series and collection, whatever was counted. A distribution
cannot be observed: its values go through the API one by one, or are added up here and given to the SDK at once where
the distribution has lent a way to do that; see `distributions.py`.

A handle never raises and never waits. Values that make no sense are dropped and counted in
`otel_kpi.dropped_values`; attribute values beyond their budget are recorded as `other`, counted in
`otel_kpi.overflowed_values` and named once in the log. A forked child begins with empty tallies, and so does
whoever calls `clear()`. Without an SDK the tallies are kept all the same, and go out if one is set later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from otel_kpi import forks
from otel_kpi.record.distributions import AdoptedHistogram, BoundHistogram, HistogramHandle, fold
from otel_kpi.record.exact import ExactCounterHandle
from otel_kpi.record.handle import CHOICES, HANDLES, LOSSES, OTHER, UNKNOWN, Handle
from otel_kpi.record.holdings import Tally, tallied, tallies
from otel_kpi.record.own_instruments import DROPPED_VALUES, OVERFLOWED_VALUES
from otel_kpi.record.postponed import forget_waiting, postpone
from otel_kpi.record.tallies import (
    BoundCounter,
    CounterHandle,
    GaugeHandle,
    ObservedHandle,
    UpDownCounterHandle,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from opentelemetry.metrics import Histogram as OtelHistogram
    from opentelemetry.metrics import MeterProvider

    from otel_kpi.model import Counter, Gauge, Histogram, Instrument, UpDownCounter
    from otel_kpi.record.handle import Sums
    from otel_kpi.record.tallies import Reading

__all__ = [
    "DROPPED_VALUES",
    "OTHER",
    "OVERFLOWED_VALUES",
    "UNKNOWN",
    "AdoptedHistogram",
    "BoundCounter",
    "BoundHistogram",
    "CounterHandle",
    "ExactCounterHandle",
    "GaugeHandle",
    "HistogramHandle",
    "ObservedHandle",
    "Tally",
    "UpDownCounterHandle",
    "adopt",
    "clear",
    "counter",
    "exact_counter",
    "fold",
    "gauge",
    "histogram",
    "later",
    "observe",
    "tallied",
    "tallies",
    "up_down_counter",
    "use",
]

_Made = TypeVar("_Made", bound=Handle[Any])


def _begun(handle: _Made) -> _Made:
    handle.begin()
    return handle


def counter(declaration: Counter, scope: str = "otel_kpi") -> CounterHandle:
    """A handle of a counter. `scope` is the instrumentation scope of its series."""
    return _begun(CounterHandle(declaration, scope))


def exact_counter(declaration: Counter, scope: str = "otel_kpi") -> ExactCounterHandle:
    """A handle of a counter whose totals are decimals: money."""
    return _begun(ExactCounterHandle(declaration, scope))


def up_down_counter(declaration: UpDownCounter, scope: str = "otel_kpi") -> UpDownCounterHandle:
    """A handle of an up-down counter."""
    return _begun(UpDownCounterHandle(declaration, scope))


def gauge(declaration: Gauge, scope: str = "otel_kpi") -> GaugeHandle:
    """A handle of a gauge."""
    return _begun(GaugeHandle(declaration, scope))


def histogram(declaration: Histogram, scope: str = "otel_kpi") -> HistogramHandle:
    """A handle of a histogram."""
    return _begun(HistogramHandle(declaration, scope))


def adopt(declaration: Histogram, histogram: OtelHistogram) -> AdoptedHistogram:
    """Have the values of a histogram added up that another package made: for whoever is put in its place.

    Args:
        declaration: Its buckets, and how many series are added up; others are recorded one by one.
        histogram: What the package made. It is kept for as long as the process lives.
    """
    return _begun(AdoptedHistogram(declaration, histogram))


def observe(
    declaration: Instrument, callback: Callable[[], Iterable[Reading]], scope: str = "otel_kpi"
) -> ObservedHandle:
    """Have a callback asked at each collection.

    Args:
        declaration: A counter, an up-down counter or a gauge.
        callback: Gives readings: the value, then the values of the attributes in declared order. It is called on the
            thread that exports; what it raises is counted and the readings of that time are missing.
        scope: Instrumentation scope of its series.
    """
    return _begun(ObservedHandle(declaration, callback, scope))


def later(work: Callable[[], object]) -> None:
    """Have something recorded before the next reading of any handle, together with more of the kind. Never raises.

    Where each value of a histogram goes through the API it is recorded now: a reading is no place to call that from.

    Args:
        work: Records with handles; it is called once, on any thread.
    """
    if CHOICES.sums is None:
        work()
    else:
        postpone(work)


_KEEP: Final[Any] = object()


def use(
    *,
    provider: MeterProvider | None = _KEEP,
    compatibility: bool = _KEEP,
    prefixes: dict[str, str] = _KEEP,
    sums: Sums | None = _KEEP,
    followed: Mapping[str, Sequence[Instrument]] = _KEEP,
) -> None:
    """Choose what the handles record with; what is not given stays.

    Args:
        provider: A MeterProvider; None is that of the process. Tallies begin anew.
        compatibility: Whether compatibility series are recorded.
        prefixes: What stands for `{chat}` in names, by domain.
        sums: Takes many values of a histogram at once; who lends it calls `fold()` before each collection.
        followed: By their names, the histograms of which something follows and what that is: where it is recorded, each
            of their values goes through the API.
    """
    if compatibility is not _KEEP:
        CHOICES.compatibility = compatibility
    if prefixes is not _KEEP:
        CHOICES.prefixes = dict(prefixes)
    if sums is not _KEEP:
        fold()
        CHOICES.sums = sums
    if followed is not _KEEP:
        fold()
        CHOICES.followed = followed
    if provider is not _KEEP:
        CHOICES.provider = provider
        clear()
        return
    for handle in HANDLES:
        handle.begin()


def clear() -> None:
    """Begin with empty tallies and unused budgets; a histogram's past is the SDK's."""
    forget_waiting()
    for handle in HANDLES:
        handle.forget()
    for handle in HANDLES:
        handle.begin()


def _after_fork() -> None:
    # A thread of the parent may have held a lock, and what the parent counted is the parent's to tell.
    for handle in HANDLES:
        handle.renew()
    for handle in HANDLES:
        handle.begin()


_dropped_values = counter(DROPPED_VALUES)
_overflowed_values = counter(OVERFLOWED_VALUES)
LOSSES.dropped = lambda instrument, reason: _dropped_values.add(1, instrument, reason)
LOSSES.overflowed = lambda instrument, attribute: _overflowed_values.add(1, instrument, attribute)

forks.in_child(_after_fork)
