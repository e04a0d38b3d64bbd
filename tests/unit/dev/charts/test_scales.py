"""Axes, ticks and the reduction of points."""

from __future__ import annotations

import math
import random
from decimal import Decimal

import pytest

from otel_kpi.dev.viewer.formats import elapsed
from otel_kpi.dev.viewer.scales import MOST, finite, m4, quantity, scale, segments, ticks, time_ticks

HOUR = 3_600_000_000_000
START = 1_795_248_000_000_000_000


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        ([], 0, 1),
        ([0.0], 0, 1),
        ([7.0], 0, 7),
        ([-3.0], -3, 0),
        ([3.0, 3.0, 3.0], 0, 3),
        ([1e-320], 0, 1e-320),
        ([-MOST, MOST], -MOST, MOST),
    ],
)
def test_every_axis_has_a_length(values: list[float], low: float, high: float) -> None:
    axis = scale(values)
    assert (axis.low, axis.high) == (low, high)
    assert all(0 <= axis.at(value) <= 1 for value in values)


def test_a_constant_far_from_zero_has_room_on_both_sides() -> None:
    axis = scale([1_000.0, 1_000.0], zero=False)
    assert (axis.low, axis.high) == (500, 1_500)


@pytest.mark.parametrize("values", [[0.0, 3.0], [0.001], [9_999.0], [-2.0, 5.0], [1e300], [1e-12]])
def test_an_axis_names_few_round_values_within_itself(values: list[float]) -> None:
    axis = scale(values)
    named = ticks(axis)
    assert 2 <= len(named) <= 9
    assert named == sorted(named)
    assert all(axis.low <= value <= axis.high * (1 + 1e-9) for value in named)


def test_a_logarithmic_axis_names_powers_of_ten_and_takes_what_is_not_positive() -> None:
    axis = scale([0.0, 12.0, 90_000.0], log=True)
    assert ticks(axis) == [10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]
    assert axis.at(0.0) == 0.0
    assert axis.at(100.0) == pytest.approx(0.25)


def test_what_is_no_number_is_none_and_what_is_too_large_is_at_the_end() -> None:
    assert [finite(value) for value in (None, math.nan, Decimal("NaN"), Decimal("sNaN"))] == [None] * 4
    assert finite(10**400) == MOST
    assert finite(-math.inf) == -MOST
    assert finite(Decimal("0.1")) == 0.1


@pytest.mark.parametrize(
    ("length", "step"), [(2, 1), (60, 15), (3_600, 900), (86_400, 21_600), (7 * 86_400, 172_800)]
)
def test_times_are_named_at_round_moments(length: int, step: int) -> None:
    named = time_ticks(START + 1, START + length * 1_000_000_000)
    assert 1 <= len(named) <= 6
    assert all(tick.value % (step * 1_000_000_000) == 0 for tick in named)


def test_no_time_and_a_clock_that_is_wrong_name_nothing_that_fails() -> None:
    assert time_ticks(START, START) == []
    assert all(tick.text for tick in time_ticks(0, 2**63 - 1))
    assert time_ticks(2**70, 2**70 + HOUR)[0].text == "?"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0 ns"), (850, "850 ns"), (999.9, "1 µs"), (1_500, "1.5 µs"), (1_500_000, "1.5 ms"), (12_340_000, "12.3 ms"), (999_600_000, "1 s"), (2_000_000_000, "2 s"),
        (61_000_000_000, "1 min 1 s"), (59_960_000_000, "1 min"),
        (245e9, "4 min 5 s"), (11_520e9, "3 h 12 min"), (200_000e9, "2 d 7 h"),
    ],
)  # fmt: skip
def test_a_duration_has_the_unit_that_suits_it(nanoseconds: float, text: str) -> None:
    assert elapsed(nanoseconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.05, "0.05"),
        (12, "12"),
        (1_234, "1.23k"),
        (34_000_000, "34M"),
        (2e-7, "2e-07"),
        (1e300, "1e+300"),
    ],
)
def test_a_quantity_is_short(value: float, text: str) -> None:
    assert quantity(value) == text


def test_a_line_ends_where_there_is_no_value() -> None:
    assert segments([(1, 1.0), (2, None), (3, None), (4, 2.0), (5, 3.0)]) == [
        [(1, 1.0)],
        [(4, 2.0), (5, 3.0)],
    ]


def test_a_reduction_keeps_what_a_picture_shows() -> None:
    draw = random.Random(1)
    points: list[tuple[float, float | None]] = [(at, draw.gauss(0, 1)) for at in range(100_000)]
    points[50_000] = (50_000, 99.0)
    points[70_123] = (70_123, None)
    kept = m4(points, 400, 0, 100_000)
    # Of the column with the gap what stands before it is reduced, and what comes after it.
    assert len(kept) <= 4 * 401 + 1
    assert (50_000, 99.0) in kept
    assert (70_123, None) in kept
    assert kept[0] == points[0]
    assert kept[-1] == points[-1]
    assert [at for at, _ in kept] == sorted(at for at, _ in kept)
    values = [value for _, value in points if value is not None]
    assert min(value for _, value in kept if value is not None) == min(values)


def test_few_points_are_left_as_they_are() -> None:
    points: list[tuple[float, float | None]] = [(1, 1.0), (2, None)]
    assert m4(points, 400, 0, 10) == points
