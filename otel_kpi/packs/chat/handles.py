"""The handles of what the helpers record, one for each instrument; what follows from other instruments has none here."""

from __future__ import annotations

from typing import Final

from otel_kpi import record
from otel_kpi.packs.chat import instruments

SCOPE: Final = "otel_kpi.chat"
"""Instrumentation scope of the pack's series."""

sessions_active: Final = record.up_down_counter(instruments.SESSIONS_ACTIVE, SCOPE)
session_duration: Final = record.histogram(instruments.SESSION_DURATION, SCOPE)
messages: Final = record.counter(instruments.MESSAGES, SCOPE)
product_recommendations: Final = record.counter(instruments.PRODUCT_RECOMMENDATIONS, SCOPE)
feedback: Final = record.counter(instruments.FEEDBACK, SCOPE)
rate_limit_hits: Final = record.counter(instruments.RATE_LIMIT_HITS, SCOPE)
validation_errors: Final = record.counter(instruments.VALIDATION_ERRORS, SCOPE)
errors: Final = record.counter(instruments.ERRORS, SCOPE)

chat_active_sessions: Final = record.up_down_counter(instruments.CHAT_ACTIVE_SESSIONS, SCOPE)
chat_messages: Final = record.counter(instruments.CHAT_MESSAGES, SCOPE)
chat_product_recommendations: Final = record.counter(instruments.CHAT_PRODUCT_RECOMMENDATIONS, SCOPE)
chat_user_feedback: Final = record.counter(instruments.CHAT_USER_FEEDBACK, SCOPE)
chat_rate_limit_hits: Final = record.counter(instruments.CHAT_RATE_LIMIT_HITS, SCOPE)
chat_validation_errors: Final = record.counter(instruments.CHAT_VALIDATION_ERRORS, SCOPE)
chat_errors: Final = record.counter(instruments.CHAT_ERRORS, SCOPE)
