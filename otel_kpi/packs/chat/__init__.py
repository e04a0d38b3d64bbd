"""Chat services: sessions, messages, recommendations, feedback, and what was turned away.

`track_chat_message`, `track_ai_request` and `record_error` are the words of an older system for the same.
"""

from otel_kpi.packs.chat.ai import track_ai_request
from otel_kpi.packs.chat.conversation import (
    Session,
    feedback,
    message,
    recommendation,
    session,
    session_ended,
    session_started,
)
from otel_kpi.packs.chat.failures import error, rate_limit_hit, validation_error

track_chat_message = message
record_error = error

__all__ = [
    "Session",
    "error",
    "feedback",
    "message",
    "rate_limit_hit",
    "recommendation",
    "record_error",
    "session",
    "session_ended",
    "session_started",
    "track_ai_request",
    "track_chat_message",
    "validation_error",
]
