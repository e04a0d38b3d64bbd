"""Checks as series."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from support.measured import measured

from otel_kpi import health

if TYPE_CHECKING:
    from support.measured import Measured


def until_counted(series: Measured, name: str, **labels: str) -> float:
    deadline = time.monotonic() + 10
    while True:
        value = series.value(name, **labels)
        if value is not None:
            return value
        assert time.monotonic() < deadline
        time.sleep(0.01)  # the outcome comes from another thread, and nothing says when


def test_each_outcome_is_counted_timed_and_read_under_the_documents_names() -> None:
    with measured() as series:
        health.clear()
        health.check("database", lambda: True)
        health.check("ai", lambda: False)
        assert series.value("kpi_health_check_status", kpi_health_check_name="database") is None
        health.start()
        try:
            labels = {"kpi_health_check_name": "ai", "kpi_health_status": "unhealthy"}
            assert until_counted(series, "monitoring_health_checks_total", **labels) == 1
            assert until_counted(series, "kpi_health_check_status", kpi_health_check_name="database") == 1.0
            assert until_counted(series, "kpi_health_check_status", kpi_health_check_name="ai") == 0.0
            assert series.points("kpi_health_check_duration_seconds")
        finally:
            health.clear()


def test_a_check_that_hangs_is_counted_once() -> None:
    go = threading.Event()
    with measured() as series:
        health.clear()
        health.check("database", lambda: go.wait(10), timeout=0.02, interval=0.02)
        health.start()
        try:
            labels = {"kpi_health_check_name": "database", "kpi_health_status": "unhealthy"}
            until_counted(series, "monitoring_health_checks_total", **labels)
            time.sleep(0.2)  # ten intervals in which it could be counted again
            assert series.value("monitoring_health_checks_total", **labels) == 1
        finally:
            go.set()
            health.clear()
