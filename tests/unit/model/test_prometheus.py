"""Names as Prometheus makes them of OpenTelemetry's."""

from __future__ import annotations

import pytest

from otel_kpi.model import label_name, series_name


@pytest.mark.parametrize(
    ("name", "unit", "kind", "expected"),
    [
        # As the documents have them.
        ("kpi.etl.quality_score", "{score}", "gauge", "kpi_etl_quality_score"),
        (
            "kpi.analytics.anomalies_detected",
            "{anomaly}",
            "counter",
            "kpi_analytics_anomalies_detected_total",
        ),
        (
            "kpi.websocket.active_connections",
            "{connection}",
            "updowncounter",
            "kpi_websocket_active_connections",
        ),
        ("kpi.security.intrusion_attempts", "{attempt}", "counter", "kpi_security_intrusion_attempts_total"),
        ("django.auth.failures", "{failure}", "counter", "django_auth_failures_total"),
        (
            "innatural_chatbot.http_request_duration",
            "s",
            "histogram",
            "innatural_chatbot_http_request_duration_seconds",
        ),
        # As Prometheus' translator has them.
        ("process.memory.usage", "By", "updowncounter", "process_memory_usage_bytes"),
        ("process.cpu.time", "s", "counter", "process_cpu_time_seconds_total"),
        ("system.cpu.utilization", "1", "gauge", "system_cpu_utilization_ratio"),
        ("system.io", "By/s", "gauge", "system_io_bytes_per_second"),
        ("requests.total", "{request}", "counter", "requests_total"),
        ("request.seconds", "s", "histogram", "request_seconds"),
        ("a.b", "%", "gauge", "a_b_percent"),
        ("a.b", "{packet}/s", "gauge", "a_b_per_second"),
        ("2xx.count", "", "gauge", "_2xx_count"),
        ("a__b..c", "", "gauge", "a_b_c"),
    ],
)
def test_a_series_has_the_name_that_prometheus_gives(name: str, unit: str, kind: str, expected: str) -> None:
    assert series_name(name, unit, kind) == expected


@pytest.mark.parametrize(
    ("attribute", "label"), [("error.type", "error_type"), ("model_name", "model_name"), ("4xx", "key_4xx")]
)
def test_a_label_has_underscores_for_dots(attribute: str, label: str) -> None:
    assert label_name(attribute) == label
