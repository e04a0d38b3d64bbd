"""What is declared of opinions about answers: feedback of users, and evaluations."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Event, Histogram
from otel_kpi.packs.attributes import CONVERSATION_ID, FEATURE, TENANT

_GEN_AI: Final = (
    "OpenTelemetry https://github.com/open-telemetry/semantic-conventions-genai (gen_ai.evaluation.result)"
)

RATING: Final = Attribute(
    name="kpi.llm.feedback.rating",
    brief="What a user thought of an answer, a word or a number of the application's.",
    budget=10,
    examples=("positive", "negative", "5"),
    source="S2",
)
NAME: Final = Attribute(
    name="gen_ai.evaluation.name",
    brief="What was judged.",
    budget=30,
    examples=("relevance", "user_feedback"),
    source=_GEN_AI,
)
LABEL: Final = Attribute(
    name="gen_ai.evaluation.score.label",
    brief="The judgement in a word.",
    budget=20,
    examples=("pass", "fail"),
    source=_GEN_AI,
    required=False,
)
SCORE: Final = Attribute(
    name="gen_ai.evaluation.score.value",
    brief="The judgement as a number.",
    type="double",
    examples=("0.9",),
    source=_GEN_AI,
    required=False,
)
EXPLANATION: Final = Attribute(
    name="gen_ai.evaluation.explanation",
    brief="Why, or what the user wrote; only by consent.",
    examples=("It names the right product.",),
    source=_GEN_AI,
    required=False,
)
RESPONSE_ID: Final = Attribute(
    name="gen_ai.response.id",
    brief="Of which answer.",
    examples=("chatcmpl-123",),
    source=_GEN_AI,
    required=False,
)
ERROR_TYPE: Final = Attribute(
    name="error.type",
    brief="Why there is no judgement.",
    examples=("TimeoutError",),
    source=_GEN_AI,
    required=False,
)

FEEDBACK: Final = Counter(
    name="kpi.llm.feedback",
    unit="{answer}",
    brief="What users thought of answers.",
    attributes=(RATING, TENANT, FEATURE),
    source="B6; B7",
    systems=("S2", "S4"),
    series=500,
)
EVALUATIONS: Final = Counter(
    name="kpi.llm.evaluations",
    unit="{evaluation}",
    brief="Judgements of answers, by what was judged and by the word that came of it.",
    attributes=(NAME, LABEL),
    source="B6",
    series=500,
)
EVALUATION_SCORE: Final = Histogram(
    name="kpi.llm.evaluation.score",
    unit="{score}",
    brief="Judgements of answers as numbers, in the measure of whoever judges.",
    attributes=(NAME,),
    buckets=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 100.0),
    minimum=float("-inf"),
    source="B6",
)
EVALUATION_EVENT: Final = Event(
    name="gen_ai.evaluation.result",
    brief="Written for each judgement of an answer, a user's too; it stands in the trace of the answer.",
    attributes=(NAME, SCORE, LABEL, EXPLANATION, RESPONSE_ID, CONVERSATION_ID, TENANT, FEATURE, ERROR_TYPE),
    source=_GEN_AI,
    systems=("S2", "S4"),
)

INSTRUMENTS: Final = (FEEDBACK, EVALUATIONS, EVALUATION_SCORE)
EVENTS: Final = (EVALUATION_EVENT,)
