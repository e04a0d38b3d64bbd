"""What an analysis finds is counted by what rules select, and named in events alone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from otel_kpi import analytics

if TYPE_CHECKING:
    from support.measured import Measured

ANOMALIES = "kpi_analytics_anomalies_detected_total"


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> InMemoryLogRecordExporter:
    """Log records of the test. The provider of the process is set once, so the lookup is turned to this one."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    monkeypatch.setattr(_logs, "get_logger", provider.get_logger)
    return exporter


def _written(events: InMemoryLogRecordExporter) -> list[tuple[str | None, dict[str, Any]]]:
    return [
        (each.log_record.event_name, dict(each.log_record.attributes or {}))
        for each in events.get_finished_logs()
    ]


def test_anomaly_has_the_labels_of_the_alert_and_its_method(series: Measured) -> None:
    analytics.anomaly("marketing", "conversion_rate", "zscore", "high")
    analytics.anomaly("marketing", "bounce_rate", "zscore", "high", count=2)
    analytics.anomaly("sales", "revenue", "modified_zscore", "low")
    assert (
        series.value(ANOMALIES, severity="high", model_name="marketing", kpi_analytics_method="zscore") == 3
    )
    assert (
        series.value(ANOMALIES, severity="low", model_name="sales", kpi_analytics_method="modified_zscore")
        == 1
    )


def test_name_of_the_kpi_is_on_the_event_and_on_no_series(
    series: Measured, events: InMemoryLogRecordExporter
) -> None:
    analytics.anomaly("marketing", "conversion_rate", "iqr", "critical", score=3.5)
    analytics.insight("marketing", "medium", metric="bounce_rate")
    assert _written(events) == [
        (
            "kpi.analytics.anomaly",
            {
                "model_name": "marketing",
                "kpi.analytics.metric": "conversion_rate",
                "kpi.analytics.method": "iqr",
                "severity": "critical",
                "kpi.analytics.score": 3.5,
            },
        ),
        (
            "kpi.analytics.insight",
            {"model_name": "marketing", "severity": "medium", "kpi.analytics.metric": "bounce_rate"},
        ),
    ]
    for name in (ANOMALIES, "kpi_analytics_insights_generated_total"):
        assert "conversion_rate" not in str(series.labels(name))


def test_score_that_is_no_number_is_left_out(events: InMemoryLogRecordExporter) -> None:
    analytics.anomaly("marketing", "rate", "zscore", "low", score=float("inf"))
    ((_, attributes),) = _written(events)
    assert "kpi.analytics.score" not in attributes


def test_insights_correlations_trends_and_data_points_are_counted(series: Measured) -> None:
    analytics.insight("sales", "info")
    analytics.correlations("sales", 6)
    analytics.trend("sales", "up")
    analytics.data_points("sales", 90)
    assert series.value("kpi_analytics_insights_generated_total", severity="info", model_name="sales") == 1
    assert series.value("kpi_analytics_correlations_calculated_total", model_name="sales") == 6
    assert (
        series.value(
            "kpi_analytics_trends_detected_total", model_name="sales", kpi_analytics_trend_direction="up"
        )
        == 1
    )
    assert series.value("kpi_analytics_data_points_processed_total", model_name="sales") == 90


def test_hundred_thousand_ids_stay_within_the_budgets_and_are_named_once(
    series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="otel_kpi.record"):
        for number in range(100_000):
            analytics.correlations(f"model-{number}")
    for number in range(1_000):
        text = f"id-{number}"
        analytics.anomaly(text, text, text, text)
        analytics.insight(text, text)
        analytics.trend(text, text)
        with analytics.analysis(text), analytics.stage(text, text), analytics.algorithm(text, text):
            pass
    assert len([each for each in caplog.records if "kpi.analytics.correlations" in each.getMessage()]) == 1
    for instrument in analytics.PACK.instruments:
        assert len(series.labels(instrument.series_name)) <= instrument.most_series + 1, instrument.name
    many = series.value("kpi_analytics_correlations_calculated_total", model_name="other")
    assert many == 100_000 - 40
    assert (
        series.value(
            "otel_kpi_overflowed_values_total",
            instrument="kpi.analytics.correlations.calculated",
            attribute="model_name",
        )
        == many
    )
