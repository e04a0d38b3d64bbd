"""What is wrong with telemetry here, and what to type: `otel-kpi doctor` and `otel_kpi.doctor()`."""

from __future__ import annotations

from otel_kpi.diagnosis.examination import TIMEOUT, examine_environment, examine_process
from otel_kpi.diagnosis.live import NoAnswer, ask
from otel_kpi.diagnosis.report import Finding, Report

__all__ = [
    "TIMEOUT",
    "Finding",
    "NoAnswer",
    "Report",
    "ask",
    "examine_environment",
    "examine_process",
]
