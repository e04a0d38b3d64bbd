"""Private parts of opentelemetry-sdk: adding many values to a histogram at once.

`Histogram.record` takes one value and 5 µs; there is no histogram that is observed, and no way to hand over counts
that are there already. The sums of a series stand in one object for each reader, which is what is added to here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context

from otel_kpi._compat.series_starts import since

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.metrics import MeterProvider


def before_collection(provider: MeterProvider, callback: Callable[[], None]) -> None:
    """Have `callback` called at the beginning of each collection, whichever reader asks for it.

    Nobody is told of a collection but observable instruments, whose callbacks come in the order in which they were
    made; this one stands before all of them.
    """
    consumer: Any = provider._measurement_consumer
    consumer._async_instruments.insert(0, _Before(callback))


class _Before:
    """An observable instrument as the consumer sees it: something with a callback."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback

    def callback(self, options: Any) -> tuple[()]:
        del options
        self._callback()
        return ()


class HistogramSums:
    """The sums of the histograms of a provider.

    Args:
        provider: Whose they are.
        admit: Gives the attributes under which a measurement is recorded.
    """

    def __init__(
        self, provider: MeterProvider, admit: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
    ) -> None:
        self._consumer: Any = provider._measurement_consumer
        self._admit = admit

    def takes(self, histogram: Any, bounds: Sequence[float]) -> bool:
        """Whether values may be added to a histogram of opentelemetry-api: it is ours, with these buckets."""
        instrument = _real(histogram)
        if getattr(instrument, "_measurement_consumer", None) is not self._consumer:
            return False
        if not instrument._is_enabled():
            return False
        return all(_has_bounds(match, bounds) for match in self._matches(instrument))

    def first(self, histogram: Any, attributes: Mapping[str, Any], first: tuple[float, int, Any]) -> None:
        """Add one value to a series, as `Histogram.record` had done when it was measured.

        Args:
            histogram: That of opentelemetry-api; `takes` said yes to it.
            attributes: Of the series.
            first: The value, when it was recorded, and the SpanContext in which it was. The API takes no time.
        """
        from opentelemetry.sdk.metrics._internal.measurement import Measurement

        value, at, leads_to = first
        context = trace.set_span_in_context(trace.NonRecordingSpan(leads_to), Context())
        measurement = Measurement(value, at, _real(histogram), context, attributes)
        for each in since(at, (measurement,)):
            self._consumer.consume_measurement(each)

    def add(
        self, histogram: Any, attributes: Mapping[str, Any], values: tuple[Sequence[int], float, float, float]
    ) -> None:
        """Add values to a series.

        Args:
            histogram: That of opentelemetry-api; `takes` said yes to it.
            attributes: Of the series.
            values: Counts of the buckets, the sum, the least and the greatest value.
        """
        from opentelemetry.sdk.metrics._internal._view_instrument_match import _hash_attributes

        instrument = _real(histogram)
        admitted = self._admit(instrument, attributes) if attributes else attributes
        for match in self._matches(instrument):
            keys = match._view._attribute_keys
            kept = {key: value for key, value in admitted.items() if keys is None or key in keys}
            key = _hash_attributes(kept)
            with match._lock:
                aggregation = match._attributes_aggregation.get(key)
                if aggregation is None:
                    aggregation = match._attributes_aggregation[key] = _made(match, kept)
            _add(aggregation, *values)

    def _matches(self, instrument: Any) -> Iterator[Any]:
        for storage in self._consumer._reader_storages.values():
            yield from storage._get_or_init_view_instrument_match(instrument)


def _real(histogram: Any) -> Any:
    """What a histogram that was made before there was a provider stands for."""
    return getattr(histogram, "_real_instrument", None) or histogram


def _has_bounds(match: Any, bounds: Sequence[float]) -> bool:
    return tuple(getattr(match._aggregation, "_boundaries", ())) == tuple(bounds)


def _made(match: Any, attributes: Mapping[str, Any]) -> Any:
    from opentelemetry.sdk.metrics.view import DefaultAggregation

    aggregation = match._view._aggregation
    if isinstance(aggregation, DefaultAggregation):
        aggregation = match._instrument_class_aggregation[match._instrument.__class__]
    reservoir = match._view._exemplar_reservoir_factory
    return aggregation._create_aggregation(match._instrument, attributes, reservoir, time.time_ns())


def _add(aggregation: Any, counts: Sequence[int], total: float, least: float, greatest: float) -> None:
    with aggregation._lock:
        if aggregation._value is None:
            aggregation._value = aggregation._get_empty_bucket_counts()
        for index, count in enumerate(counts):
            if count > 0:
                aggregation._value[index] += count
        aggregation._sum += total
        if aggregation._record_min_max:
            aggregation._min = min(aggregation._min, least)
            aggregation._max = max(aggregation._max, greatest)
