"""The handles of the pack's instruments, one for each: two of one declaration would report one series twice."""

from __future__ import annotations

from typing import Final

from otel_kpi import record
from otel_kpi.packs.etl import instruments

SCOPE: Final = "otel_kpi.etl"
"""Instrumentation scope of the pack's spans, events and series."""

records: Final = record.counter(instruments.RECORDS, SCOPE)
data_points: Final = record.counter(instruments.DATA_POINTS, SCOPE)
io: Final = record.counter(instruments.IO, SCOPE)
validation_errors: Final = record.counter(instruments.VALIDATION_ERRORS, SCOPE)
batches: Final = record.counter(instruments.BATCHES, SCOPE)
batch_size: Final = record.histogram(instruments.BATCH_SIZE, SCOPE)
stage_duration: Final = record.histogram(instruments.STAGE_DURATION, SCOPE)
quality_score: Final = record.gauge(instruments.QUALITY_SCORE, SCOPE)
freshness_lag: Final = record.gauge(instruments.FRESHNESS_LAG, SCOPE)
freshness_time: Final = record.gauge(instruments.FRESHNESS_TIME, SCOPE)
runs: Final = record.counter(instruments.RUNS, SCOPE)
run_duration: Final = record.histogram(instruments.RUN_DURATION, SCOPE)
active_runs: Final = record.up_down_counter(instruments.ACTIVE_RUNS, SCOPE)
active_processors: Final = record.up_down_counter(instruments.ACTIVE_PROCESSORS, SCOPE)
retries: Final = record.counter(instruments.RETRIES, SCOPE)
last_success_time: Final = record.gauge(instruments.LAST_SUCCESS_TIME, SCOPE)
last_run_time: Final = record.gauge(instruments.LAST_RUN_TIME, SCOPE)
last_run_duration: Final = record.gauge(instruments.LAST_RUN_DURATION, SCOPE)
last_run_records: Final = record.gauge(instruments.LAST_RUN_RECORDS, SCOPE)
