"""Every instrument of every pack under ids: none passes its budget, and nothing that was recorded is missing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from support.measured import measured

from otel_kpi import record
from otel_kpi.model import Counter, Gauge, Histogram, Instrument, UpDownCounter
from otel_kpi.packs import own_packs

if TYPE_CHECKING:
    from collections.abc import Callable

IDS = 1_000

# Those that count what overflows do not count themselves.
COUNTING = {record.DROPPED_VALUES.name, record.OVERFLOWED_VALUES.name}
DECLARED = [
    instrument
    for pack in own_packs()
    for instrument in pack.instruments
    if instrument.attributes and instrument.name not in COUNTING
]


def recorder(instrument: Instrument) -> Callable[..., None]:
    """Record 1 in a series of the instrument, as a helper would."""
    match instrument:
        case Counter():
            return record.counter(instrument).add
        case UpDownCounter():
            return record.up_down_counter(instrument).add
        case Histogram():
            return record.histogram(instrument).record
        case Gauge():
            return record.gauge(instrument).set
        case _:
            raise AssertionError(instrument)


@pytest.mark.parametrize("instrument", DECLARED, ids=lambda each: each.name)
def test_ids_in_every_attribute_stay_within_the_budget_and_are_said_once(
    instrument: Instrument, caplog: pytest.LogCaptureFixture
) -> None:
    # What other tests observe, pools that are still open among it, is not in the series of this one.
    known = record.HANDLES[:]
    record.HANDLES[:] = [each for each in known if each.declaration.name in COUNTING]
    try:
        with (
            caplog.at_level(logging.WARNING, "otel_kpi.record"),
            measured(prefixes={"chat": "chatbot"}) as series,
        ):
            write = recorder(instrument)
            name = (
                instrument.series_name.replace("chat_", "chatbot_", 1)
                if "{" in instrument.name
                else instrument.series_name
            )
            before = _count(series.points(name))
            for number in range(IDS):
                write(1, *(f"v{number}" for _ in instrument.attributes))
            points = series.points(name)
            overflowed = series.points("otel_kpi_overflowed_values_total")
    finally:
        record.HANDLES[:] = known
    assert len(points) <= instrument.most_series + 1
    if not isinstance(instrument, Gauge):
        assert _count(points) - before == IDS
    assert (
        sum(p.value for labels, p in overflowed.items() if dict(labels)["instrument"] == instrument.name) > 0
    )
    lines = [line for line in caplog.messages if instrument.name in line]
    assert 0 < len(lines) <= len(instrument.attributes) + 1
    assert len(set(lines)) == len(lines)


def _count(points: dict[Any, Any]) -> float:
    return sum(point.value if hasattr(point, "value") else point.count for point in points.values())
