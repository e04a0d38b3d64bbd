"""The handles of the pack's instruments, one for each."""

from __future__ import annotations

from typing import Final

from otel_kpi import record
from otel_kpi.packs.coaching import instruments

SCOPE: Final = "otel_kpi.coaching"
"""Instrumentation scope of the pack's spans and series."""

sessions: Final = record.counter(instruments.SESSIONS, SCOPE)
sessions_active: Final = record.up_down_counter(instruments.SESSIONS_ACTIVE, SCOPE)
session_duration: Final = record.histogram(instruments.SESSION_DURATION, SCOPE)
plans: Final = record.counter(instruments.PLANS, SCOPE)
plan_duration: Final = record.histogram(instruments.PLAN_DURATION, SCOPE)
coaching_sessions: Final = record.counter(instruments.COACHING_SESSIONS, SCOPE)
coaching_session_duration: Final = record.histogram(instruments.COACHING_SESSION_DURATION, SCOPE)
coaching_plan_duration: Final = record.histogram(instruments.COACHING_PLAN_DURATION, SCOPE)
