"""What is measured of coaching: sessions with their durations, and plans that are made."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Histogram, Pack, Span, UpDownCounter
from otel_kpi.packs.attributes import ERROR_TYPE
from otel_kpi.packs.outcome import RESULTS

_LABEL: Final = "S4 fixes the series; the labels are the words of track_coaching_session"
_SESSIONS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 2700.0, 3600.0, 7200.0)
"""10 s, which is a look around, to 2 h."""
_PLANS: Final = (0.5, 1.0, 2.5, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Half a second to 5 min; 3 s and 10 s are S4's warning and its critical of what a plan waits for."""

KIND: Final = Attribute(
    name="kpi.coaching.kind",
    brief="Of which kind the session or the plan is: a word of the application's, never a person.",
    budget=20,
    examples=("web_user", "running"),
    source="S4",
)
RESULT: Final = Attribute(name="kpi.coaching.result", brief="How it ended.", members=RESULTS)
_KIND: Final = Attribute(name="kind", brief=KIND.brief, budget=20, examples=KIND.examples, source=_LABEL)
_STATUS: Final = Attribute(name="status", brief="How it ended.", members=("success", "error"), source=_LABEL)

SESSIONS: Final = Counter(
    name="kpi.coaching.sessions",
    unit="{session}",
    brief="Coaching sessions that began, or that were told of when they had ended.",
    attributes=(KIND,),
    source="B8",
    systems=("S4",),
)
SESSIONS_ACTIVE: Final = UpDownCounter(
    name="kpi.coaching.sessions.active",
    unit="{session}",
    brief="Coaching sessions that are blocks of code and have not ended.",
    attributes=(KIND,),
    source="B8",
    systems=("S4",),
)
SESSION_DURATION: Final = Histogram(
    name="kpi.coaching.session.duration",
    unit="s",
    brief="From the beginning of a coaching session to its end.",
    attributes=(KIND,),
    buckets=_SESSIONS,
    source="B8",
    systems=("S4",),
)
PLANS: Final = Counter(
    name="kpi.coaching.plans",
    unit="{plan}",
    brief="Plans that were made, and attempts at it.",
    attributes=(KIND, RESULT),
    source="B8",
    systems=("S4",),
)
PLAN_DURATION: Final = Histogram(
    name="kpi.coaching.plan.duration",
    unit="s",
    brief="Time of making a plan.",
    attributes=(KIND, RESULT),
    buckets=_PLANS,
    source="B8",
    systems=("S4",),
)
COACHING_SESSIONS: Final = Counter(
    name="coaching.sessions",
    unit="{session}",
    brief=SESSIONS.brief,
    attributes=(_KIND,),
    source="B8",
    systems=("S4",),
    compatibility=True,
)
COACHING_SESSION_DURATION: Final = Histogram(
    name="coaching.session.duration",
    unit="s",
    brief=SESSION_DURATION.brief,
    attributes=(_KIND,),
    buckets=_SESSIONS,
    source="B8",
    systems=("S4",),
    compatibility=True,
)
COACHING_PLAN_DURATION: Final = Histogram(
    name="coaching.plan.generation.duration",
    unit="s",
    brief=PLAN_DURATION.brief,
    attributes=(_KIND, _STATUS),
    buckets=_PLANS,
    source="B8",
    systems=("S4",),
    compatibility=True,
)

PLAN_SPAN: Final = Span(
    id="kpi.coaching.plan",
    name="make plan {kpi.coaching.kind}",
    kind="internal",
    brief="A plan is made; what a language model is asked for it is a span of its client's below it.",
    attributes=(KIND, RESULT, ERROR_TYPE),
    source="B8",
    systems=("S4",),
)

PACK: Final = Pack(
    name="coaching",
    title="Coaching",
    brief="Coaching sessions by kind with their durations, and how long plans take to be made.",
    instruments=(
        SESSIONS,
        SESSIONS_ACTIVE,
        SESSION_DURATION,
        PLANS,
        PLAN_DURATION,
        COACHING_SESSIONS,
        COACHING_SESSION_DURATION,
        COACHING_PLAN_DURATION,
    ),
    spans=(PLAN_SPAN,),
)
