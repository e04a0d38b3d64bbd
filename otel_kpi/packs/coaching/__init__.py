"""Coaching: sessions with their durations, and plans that are made.

Public: `session` and `track_coaching_session` for a session that a block holds and for one that is over, `plan` around
the making of a plan. What is asked of documents in them is `otel_kpi.rag`'s, what of a language model `otel_kpi.llm`'s.
"""

from __future__ import annotations

from otel_kpi.packs.coaching.instruments import PACK
from otel_kpi.packs.coaching.plans import Plan, plan
from otel_kpi.packs.coaching.sessions import Session, session, track_coaching_session

__all__ = ["PACK", "Plan", "Session", "plan", "session", "track_coaching_session"]
