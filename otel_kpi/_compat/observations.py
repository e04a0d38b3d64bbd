"""Private parts of opentelemetry-sdk: what observable instruments said, between their callbacks and the end of a collection.

Their values wait in the sums of a reader until the collection ends, and are taken out by whoever reads these sums. So
who reads while somebody collects takes half of what is about to be sent. And what a collection that was given up (a
callback took too long) has left is added to what the next one is told: each counter is twice what it was, once, and
then falls, which is a reset to Prometheus. `MeasurementConsumer.collect` leaves it there.
"""

from __future__ import annotations

import copy
from typing import Any

from opentelemetry.metrics import Asynchronous


def forget_unfinished(consumer: Any) -> None:
    """Forget what a collection has left that was given up; by who holds the consumer's lock and begins another.

    Args:
        consumer: The measurement consumer of a provider.
    """
    from opentelemetry.sdk.metrics._internal.aggregation import _LastValueAggregation, _SumAggregation

    for storage in consumer._reader_storages.values():
        for instrument, matches in storage._instrument_view_instrument_matches.copy().items():
            if isinstance(instrument, Asynchronous):
                for match in matches:
                    for aggregation in match._attributes_aggregation.values():
                        if isinstance(aggregation, _SumAggregation | _LastValueAggregation):
                            aggregation._value = None


def without_observed(storage: Any) -> Any:
    """The sums of a reader without those of observable instruments, which are somebody's who collects right now."""
    part = copy.copy(storage)
    part._instrument_view_instrument_matches = {
        instrument: matches
        for instrument, matches in storage._instrument_view_instrument_matches.copy().items()
        if not isinstance(instrument, Asynchronous)
    }
    return part
