"""The rest of an analytics engine's words: each is the series that docs/kpi-system.md names for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_kpi import AnalyticsInstrumentation

if TYPE_CHECKING:
    from support.measured import Measured


def test_each_word_is_counted_in_the_series_of_the_page(series: Measured) -> None:
    engine = AnalyticsInstrumentation.instrument_analytics_engine()
    engine.insight_generated("marketing", "high")
    engine.correlation_calculated("marketing", 3)
    engine.trend_detected("marketing", "up")
    engine.data_points_processed("marketing", 40)
    end_timer = engine.time_algorithm("marketing", "zscore")
    assert end_timer() == end_timer() >= 0  # ended once
    model = {"model_name": "marketing"}
    assert series.value("kpi_analytics_insights_generated_total", severity="high", **model) == 1
    assert series.value("kpi_analytics_correlations_calculated_total", **model) == 3
    assert (
        series.value("kpi_analytics_trends_detected_total", kpi_analytics_trend_direction="up", **model) == 1
    )
    assert series.value("kpi_analytics_data_points_processed_total", **model) == 40
    took = series.value("kpi_analytics_algorithm_duration_seconds", kpi_analytics_method="zscore", **model)
    assert took[0] == 1
