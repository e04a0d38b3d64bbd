"""The handles of the pack's instruments, one for each: two of one declaration would report one series twice."""

from __future__ import annotations

from typing import Final

from otel_kpi import record
from otel_kpi.packs.analytics import instruments

SCOPE: Final = "otel_kpi.analytics"
"""Instrumentation scope of the pack's spans, events and series."""

anomalies_detected: Final = record.counter(instruments.ANOMALIES_DETECTED, SCOPE)
analyses_started: Final = record.counter(instruments.ANALYSES_STARTED, SCOPE)
analyses_completed: Final = record.counter(instruments.ANALYSES_COMPLETED, SCOPE)
analyses_active: Final = record.up_down_counter(instruments.ANALYSES_ACTIVE, SCOPE)
analysis_duration: Final = record.histogram(instruments.ANALYSIS_DURATION, SCOPE)
stage_duration: Final = record.histogram(instruments.STAGE_DURATION, SCOPE)
algorithm_duration: Final = record.histogram(instruments.ALGORITHM_DURATION, SCOPE)
insights_generated: Final = record.counter(instruments.INSIGHTS_GENERATED, SCOPE)
correlations_calculated: Final = record.counter(instruments.CORRELATIONS_CALCULATED, SCOPE)
trends_detected: Final = record.counter(instruments.TRENDS_DETECTED, SCOPE)
data_points_processed: Final = record.counter(instruments.DATA_POINTS_PROCESSED, SCOPE)
