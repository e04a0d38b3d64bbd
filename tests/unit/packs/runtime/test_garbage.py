"""Pauses of the garbage collector are measured, whenever and wherever it runs."""

from __future__ import annotations

import gc
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from support.measured import Measured, measured
from support.pace import slowdown

from otel_kpi.packs.runtime import garbage
from otel_kpi.packs.runtime.instruments import SHORTEST_PAUSE
from otel_kpi.packs.runtime.speech import SPEECH

if TYPE_CHECKING:
    from collections.abc import Generator

PAUSE, TIME = "kpi_runtime_gc_pause_seconds", "kpi_runtime_gc_time_seconds_total"


@pytest.fixture
def series() -> Generator[Measured]:
    with measured() as made:
        SPEECH.allow(lambda: True)
        garbage._pauses.forget()
        garbage.watch_garbage()
        yield made
        garbage.leave_garbage()


class Node:
    def __init__(self) -> None:
        self.itself = self


def litter(number: int) -> None:
    """Leave cycles behind that only the collector can free."""
    for _ in range(number):
        Node()


def test_a_collection_that_takes_long_is_a_pause_of_its_generation(series: Measured) -> None:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        litter(100_000)
        begin = time.perf_counter()
        gc.collect()
        took = time.perf_counter() - begin
    finally:
        if was_enabled:
            gc.enable()
    count, total = series.value(PAUSE, cpython_gc_generation="2")
    assert count == 1
    assert SHORTEST_PAUSE <= total <= took
    assert series.value(TIME, cpython_gc_generation="2") >= total


def test_short_collections_are_in_the_total_alone(series: Measured) -> None:
    for _ in range(20):
        gc.collect(0)
    assert series.value(TIME, cpython_gc_generation="0") > 0
    assert garbage._pauses.seconds[0] < 20 * SHORTEST_PAUSE or series.points(PAUSE)


def test_collector_that_runs_while_a_measurement_has_its_lock_stops_nobody(series: Measured) -> None:
    """It runs wherever an object is made; a measurement from there would wait for itself."""
    threshold = gc.get_threshold()
    histogram = series.provider.get_meter("test").create_histogram("each")

    def measure() -> None:
        for number in range(2_000):
            histogram.record(number, {"kind": str(number % 10)})

    gc.set_threshold(1, 1, 1)  # at nearly every object
    try:
        thread = threading.Thread(target=measure, daemon=True)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
        # Not of the oldest: CPython passes over those while few objects are new.
        assert series.value(TIME, cpython_gc_generation="0") > 0
    finally:
        gc.set_threshold(*threshold)


def test_process_that_does_not_speak_keeps_its_pauses(series: Measured) -> None:
    SPEECH.allow(lambda: False)
    garbage._pauses.noted.append((0.5, 2))
    assert series.labels(TIME) == series.labels(PAUSE) == set()
    SPEECH.allow(lambda: True)
    assert series.value(PAUSE, cpython_gc_generation="2") == (1, 0.5)


def test_what_waits_is_bounded(series: Measured) -> None:
    del series
    for _ in range(20_000):
        garbage._pauses.noted.append((0.5, 2))
    assert len(garbage._pauses.noted) == 10_000


def test_a_callback_costs_a_fraction_of_a_microsecond(series: Measured) -> None:
    """Three times the figure of two calls for a collection."""
    del series
    calls: Any = garbage._pauses
    number = 20_000
    begin = time.perf_counter()
    for _ in range(number):
        calls("start", {"generation": 0})
        calls("stop", {"generation": 0})
    each = (time.perf_counter() - begin) / number
    assert each < 3e-6 * slowdown(), f"{each * 1e6:.2f} µs"
