"""What a chart says of points: resets, gaps, both temporalities, buckets that do not go together."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi.dev.store.reading.distributions import Distribution, IncompatibleError
from otel_kpi.dev.store.reading.history import Window, history, increases
from otel_kpi.dev.store.reading.metrics import Instrument, PointView
from otel_kpi.dev.telemetry import CUMULATIVE, DELTA

if TYPE_CHECKING:
    from collections.abc import Sequence

SECOND = 1_000_000_000
START = 1_000 * SECOND
WINDOW = Window(START, START + 60 * SECOND, 6)
COUNTER = Instrument(1, "requests", "sum", "1", "", CUMULATIVE, True, "shop", "", ("shop",), 1, None)


def cumulative(*values: tuple[int, float | None], began: int = 0) -> list[PointView]:
    """Points at seconds of the window."""
    return [PointView(START + at * SECOND, START + began * SECOND, value) for at, value in values]


def drawn(points: list[PointView], instrument: Instrument = COUNTER) -> list[float | None]:
    [line] = history(instrument, {"all": [points]}, WINDOW).lines
    return line.values


def test_a_counter_is_shown_as_what_it_rose_by_a_second() -> None:
    assert drawn(cumulative((0, 100), (10, 120), (20, 150), (30, 150))) == [2, 3, 0, None, None, None]


def test_a_process_that_began_anew_is_counted_from_its_beginning() -> None:
    before = cumulative((0, 100), (10, 120))
    after = cumulative((20, 30), (30, 50), began=12)

    told = history(COUNTER, {"all": [[*before, *after]]}, WINDOW)

    assert told.resets == 1
    assert told.lines[0].total == pytest.approx(20 + 30 + 20)
    assert all(value is None or value >= 0 for value in told.lines[0].values)


def test_a_counter_that_falls_without_a_new_start_began_anew_all_the_same() -> None:
    assert [(each.amount, each.fresh) for each in increases(cumulative((0, 100), (10, 5)), CUMULATIVE)] == [
        (5, True)
    ]


def test_the_first_point_of_an_old_series_adds_nothing_since_nobody_knows_how_much_is_new() -> None:
    assert history(COUNTER, {"all": [cumulative((10, 1_000_000), began=-5_000)]}, WINDOW).lines[0].total == 0


def test_where_nothing_came_there_is_a_gap_and_no_zero() -> None:
    window = Window(START, START + 300 * SECOND, 30)
    points = cumulative((0, 0), (10, 10), (20, 20), (30, 30), (200, 400), (210, 410))

    told = history(COUNTER, {"all": [points]}, window)

    values = told.lines[0].values
    assert values[:3] == [1, 1, 1]
    assert values[3:20] == [None] * 17
    assert values[20] == 1
    assert told.gaps == 1
    assert told.lines[0].total == pytest.approx(410), "what came in the gap is known to have come"


def test_deltas_and_cumulative_points_of_the_same_thing_are_drawn_alike() -> None:
    deltas = [
        PointView(START + at * SECOND, START + (at - 10) * SECOND, rise)
        for at, rise in ((10, 20.0), (20, 30.0))
    ]

    delta = history(replace(COUNTER, temporality=DELTA), {"all": [deltas]}, WINDOW).lines[0].values

    assert delta[:2] == drawn(cumulative((0, 100), (10, 120), (20, 150)))[:2] == [2, 3]


def test_a_gauge_that_has_gone_is_a_gap_until_it_comes_again() -> None:
    gauge = replace(COUNTER, kind="gauge", monotonic=False, temporality=0)

    values = drawn(cumulative((5, 3), (15, None), (25, 7), (35, 8)), gauge)

    assert values[:4] == [3, None, 7, 8]


def test_up_down_counters_of_several_processes_are_added_up_and_gauges_are_not() -> None:
    members = [cumulative((5, 3), (15, 4)), cumulative((5, 10), (15, 20))]
    levels = replace(COUNTER, monotonic=False)

    together = history(levels, {"all": members}, WINDOW).lines[0]
    mean = history(replace(levels, kind="gauge"), {"all": members}, WINDOW).lines[0]

    assert (together.values[:2], together.series) == ([13, 24], 2)
    assert mean.values[:2] == [6.5, 12]


def spread(counts: Sequence[int], bounds: tuple[float, ...] = (0.1, 1.0)) -> Distribution:
    return Distribution(sum(counts), 1.0, bounds, tuple(counts))


def histogram(at: int, counts: Sequence[int], bounds: tuple[float, ...] = (0.1, 1.0)) -> PointView:
    return PointView(START + at * SECOND, START - 9_000 * SECOND, sum(counts), spread(counts, bounds), 1.0)


def test_percentiles_are_of_what_came_in_a_column_and_not_since_the_beginning() -> None:
    kind = replace(COUNTER, kind="histogram", monotonic=False)
    points = [histogram(0, (1000, 0, 0)), histogram(10, (1000, 10, 0)), histogram(20, (1010, 10, 0))]

    told = history(kind, {"all": [points]}, WINDOW)

    [p50, p95, _] = told.lines
    assert p50.values[0] == pytest.approx(0.55), "all ten of the first interval lie between the bounds"
    assert p95.values[2] is None or p95.values[2] < 1
    assert told.counts[0].values[:2] == [1, 1]
    assert told.distribution is not None
    assert told.distribution.count == 20


def test_buckets_that_do_not_go_together_are_a_gap_that_is_said_and_still_counted() -> None:
    kind = replace(COUNTER, kind="histogram", monotonic=False)
    points = [histogram(0, (1, 0, 0)), histogram(10, (3, 0, 0)), histogram(20, (3, 4), (0.5,))]

    told = history(kind, {"all": [points]}, WINDOW)

    assert told.incompatible > 0
    assert told.lines[0].values[2] is None
    assert told.counts[0].total == pytest.approx(6)


def test_a_percentile_above_the_last_bound_is_not_made_up() -> None:
    assert spread((1, 1, 98)).quantile(0.5) == math.inf
    assert replace(spread((1, 1, 98)), most=5.0).quantile(0.99) == pytest.approx(5, rel=0.1)
    assert Distribution(0).quantile(0.5) is None


def test_exponential_histograms_are_put_together_at_the_coarser_scale() -> None:
    fine = Distribution(8, 1.0, scale=2, zero=0, positive=((0, 4), (4, 4)))
    coarse = Distribution(2, 1.0, scale=0, zero=1, positive=((1, 1),))

    together = fine.plus(coarse)

    assert (together.scale, together.positive, together.zero) == (0, ((0, 4), (1, 5)), 1)
    assert together.minus(coarse) is not None
    assert fine.minus(Distribution(3, 1.0, scale=2, positive=((7, 3),))) is None, (
        "it has fewer now: a new beginning"
    )


@pytest.mark.parametrize("other", [spread((1, 2), (0.5,)), Distribution(1, scale=0, positive=((0, 1),))])
def test_other_bounds_are_refused(other: Distribution) -> None:
    with pytest.raises(IncompatibleError):
        spread((1, 2, 3)).plus(other)


def test_points_in_any_order_of_starts_and_values_harm_nothing() -> None:
    wild: list[Any] = [cumulative((0, 5), (10, -3), (20, None), (30, 4), began=40), [], cumulative((70, 1))]
    for kind in ("sum", "gauge", "histogram", "summary"):
        for temporality in (0, DELTA, CUMULATIVE):
            for monotonic in (True, False):
                told = replace(COUNTER, kind=kind, temporality=temporality, monotonic=monotonic)  # type: ignore[arg-type] - one of the kinds
                history(told, {"all": wild}, WINDOW)
