"""The detectors of the KPI system find what is out of line, and its script plans what they find."""

from __future__ import annotations

import math
import statistics

import pytest
from kpi_system import detectors, feeds
from kpi_system.traffic import script

QUIET = [10 + math.sin(day) for day in range(40)]


@pytest.mark.parametrize("method", detectors.METHODS)
def test_method_finds_the_day_that_is_out_of_line_and_no_other(method: str) -> None:
    values = [*QUIET[:20], 30.0, *QUIET[20:]]
    assert [each.place for each in detectors.METHODS[method](values)] == [20]
    assert detectors.METHODS[method](QUIET) == []


@pytest.mark.parametrize("method", detectors.METHODS)
def test_method_finds_nothing_where_every_day_is_the_same(method: str) -> None:
    assert detectors.METHODS[method]([7.0] * 30) == []


def test_scores_are_those_of_the_textbook() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 100.0]
    (modified,) = detectors.modified_zscore(values)
    assert modified.score == pytest.approx(0.6745 * (100 - 3) / 1)
    (fence,) = detectors.iqr(values)
    assert fence.score == pytest.approx((100 - 4) / 2)
    spread = [*[0.0] * 30, 1.0]
    (single,) = detectors.zscore(spread)
    assert single.score == pytest.approx((1 - statistics.fmean(spread)) / statistics.pstdev(spread))


def test_trend_is_up_down_or_stable() -> None:
    rising = [float(day) for day in range(20)]
    assert [detectors.direction(each) for each in (rising, rising[::-1], QUIET)] == ["up", "down", "stable"]


def test_plan_of_three_rounds_is_three_times_that_of_one() -> None:
    one, three = script.plan(1), script.plan(3)
    for series in (
        'kpi_etl_records_processed_total{kpi_etl_record_status="invalid",kpi_etl_stage_type="validate",model_name="sales"}',
        'kpi_analytics_anomalies_detected_total{kpi_analytics_method="iqr",model_name="sales",severity="critical"}',
        'kpi_websocket_events_published_total{kpi_websocket_event_type="kpi_update",model_name="marketing"}',
    ):
        assert three.counts[series] == 3 * one.counts[series]
    assert one.counts['kpi_etl_quality_score{model_name="sales"}'] == 87.5


def test_half_of_the_jobs_records_are_invalid() -> None:
    assert feeds.faults(feeds.JOB).total() * 2 == len(feeds.records(feeds.JOB))
