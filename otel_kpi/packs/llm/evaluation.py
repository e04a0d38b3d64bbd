"""What is thought of answers: by users, by models that judge, by rules. Counted, and an event in the answer's trace.

The event is OpenTelemetry's `gen_ai.evaluation.result`; a user's feedback is an evaluation of the name `user_feedback`.
What somebody wrote leaves only where content may stand in events.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry._logs import SeverityNumber

from otel_kpi import record
from otel_kpi.packs import consent, conversations
from otel_kpi.packs.events import emit
from otel_kpi.packs.faults import failed
from otel_kpi.packs.llm import answers, attribution
from otel_kpi.packs.llm import evaluation_instruments as names

if TYPE_CHECKING:
    from opentelemetry.context import Context

_SCOPE: Final = "otel_kpi.llm"
_LONGEST_LABEL: Final = 128
USER_FEEDBACK: Final = "user_feedback"
"""`gen_ai.evaluation.name` of what users say."""

_feedback: Final = record.counter(names.FEEDBACK, _SCOPE)
_evaluations: Final = record.counter(names.EVALUATIONS, _SCOPE)
_scores: Final = record.histogram(names.EVALUATION_SCORE, _SCOPE)


def feedback(rating: str | float, response_id: str | None = None, comment: str | None = None) -> None:
    """Record what a user thought of an answer.

    Args:
        rating: A word or a number of yours, `"positive"` or 5; at most 10 distinct ones. Never the user's own words.
        response_id: `id` of the answer that the SDK gave: the event stands in its trace, if it is one of the last
            1,024 of this process, and names it in any case. None is the answer that is current.
        comment: The user's own words; they leave by consent only.

    Counted in ``kpi_llm_feedback_total`` by rating, tenant and feature. Never raises.
    """
    whose = attribution.current()
    _feedback.add(1, _word(rating), whose.tenant, whose.feature)
    label, score = (None, _number(rating)) if _number(rating) is not None else (_word(rating), None)
    _write(USER_FEEDBACK, score, label, comment, response_id, None)


def evaluation(  # noqa: PLR0913 - what an evaluation is, by name
    name: str,
    score: float | None = None,
    label: str | None = None,
    explanation: str | None = None,
    *,
    response_id: str | None = None,
    error_type: str | None = None,
) -> None:
    """Record a judgement of an answer: of a model that judges, of a rule, of a person who checks.

    Args:
        name: What was judged, `"relevance"`; at most 30 distinct ones.
        score: The judgement as a number, in a measure of yours.
        label: The judgement in a word, `"pass"`; at most 20 distinct ones.
        explanation: Why; it leaves by consent only.
        response_id: As of `feedback`.
        error_type: Why there is no judgement, `"TimeoutError"`.

    Counted in ``kpi_llm_evaluations_total`` by name and label; the score in ``kpi_llm_evaluation_score``. Never raises.
    """
    _evaluations.add(1, name, _word(label))
    number = _number(score)
    if score is not None:
        _scores.record(float("nan") if number is None else number, name)  # no number is dropped, and counted
    _write(name, number, _word(label), explanation, response_id, error_type)


def _write(  # noqa: PLR0913, PLR0917 - what the event has
    name: str,
    score: float | None,
    label: Any,
    explanation: str | None,
    response_id: str | None,
    error_type: str | None,
) -> None:
    try:
        attributes: dict[str, Any] = {
            names.NAME.name: name,
            names.SCORE.name: score,
            names.LABEL.name: None if label is None else str(label),
            names.RESPONSE_ID.name: response_id,
            names.CONVERSATION_ID.name: conversations.current(),
            names.ERROR_TYPE.name: error_type,
            **attribution.current().labels(),
        }
        if explanation is not None and consent.on_events():
            attributes[names.EXPLANATION.name] = str(explanation)
        emit(
            _SCOPE,
            names.EVALUATION_EVENT.name,
            attributes,
            severity=SeverityNumber.INFO,
            within=_place_of(response_id),
        )
    except Exception as error:
        failed("an evaluation", error)


def _place_of(response_id: str | None) -> Context:
    span = answers.span_of(response_id)
    here = context.get_current()
    return here if span is None else trace.set_span_in_context(trace.NonRecordingSpan(span), here)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _word(value: Any) -> Any:
    """A label; a whole number as such, any other as text, so that 5 and 5.0 are one rating."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, float):
        return f"{value:g}"
    return value[:_LONGEST_LABEL] if type(value) is str else value
