"""What is dropped or changed while metrics are collected is counted, and the collection ends."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from support.measured import Measured, measured

from otel_kpi import record
from otel_kpi.model import Attribute, Gauge

if TYPE_CHECKING:
    from collections.abc import Generator

ROOM = Attribute(name="kpi.test.room", brief="The room.", budget=2)
LEVEL = Gauge(name="kpi.test.level", unit="{level}", brief="Level.", attributes=(ROOM,), observable=True)


@pytest.fixture
def series() -> Generator[Measured]:
    known = len(record.HANDLES)
    with measured() as made:
        yield made
        del record.HANDLES[known:]  # no other test collects what these observe


def collected_in_time(series: Measured) -> bool:
    """Collect twice, on a thread of its own: a collection that waits for itself never ends."""
    thread = threading.Thread(target=lambda: [series.points("kpi_test_level") for _ in range(2)], daemon=True)
    thread.start()
    thread.join(10)
    return not thread.is_alive()


def test_callback_beyond_its_budget_is_counted_inside_the_collection(series: Measured) -> None:
    record.observe(LEVEL, lambda: [(number, f"room-{number}") for number in range(5)])
    assert collected_in_time(series)
    assert series.value(
        "otel_kpi_overflowed_values_total", instrument="kpi.test.level", attribute="kpi.test.room"
    )


def test_callback_that_raises_is_counted_inside_the_collection(series: Measured) -> None:
    def broken() -> list[tuple[int]]:
        raise RuntimeError

    record.observe(LEVEL, broken)
    assert collected_in_time(series)
    assert series.labels("otel_kpi_dropped_values_total")
