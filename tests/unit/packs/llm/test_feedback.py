"""What is thought of answers: counted within bounds, an event in the answer's trace, words by consent only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.trace import SpanContext, TraceFlags

from otel_kpi.packs import consent
from otel_kpi.packs.conversations import conversation
from otel_kpi.packs.llm import answers, attribution
from otel_kpi.packs.llm.evaluation import evaluation, feedback

if TYPE_CHECKING:
    from support.measured import Measured

ANSWER = SpanContext(0xABC, 0xDEF, is_remote=False, trace_flags=TraceFlags(1))


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch) -> InMemoryLogRecordExporter:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    # The provider of the process could be set but once.
    monkeypatch.setattr(_logs, "get_logger", provider.get_logger)
    monkeypatch.delenv(consent.VARIABLE, raising=False)
    return exporter


def only(events: InMemoryLogRecordExporter) -> Any:
    (found,) = events.get_finished_logs()
    return found.log_record


def test_feedback_is_counted_and_an_event_in_the_trace_of_its_answer(
    series: Measured, events: InMemoryLogRecordExporter
) -> None:
    answers.remember("chatcmpl-1", ANSWER)
    with attribution.context(tenant="acme", feature="coach"), conversation("c-42"):
        feedback("positive", "chatcmpl-1", "my knee hurts")
    labels = {"kpi_llm_feedback_rating": "positive", "kpi_tenant": "acme", "kpi_feature": "coach"}
    assert series.value("kpi_llm_feedback_total", **labels) == 1
    event = only(events)
    assert event.event_name == "gen_ai.evaluation.result"
    assert (event.trace_id, event.span_id) == (ANSWER.trace_id, ANSWER.span_id)
    assert dict(event.attributes) == {
        "gen_ai.evaluation.name": "user_feedback",
        "gen_ai.evaluation.score.label": "positive",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.conversation.id": "c-42",
        "kpi.tenant": "acme",
        "kpi.feature": "coach",
    }


def test_number_is_a_score_and_one_rating_however_it_is_written(
    series: Measured, events: InMemoryLogRecordExporter
) -> None:
    feedback(5)
    feedback(5.0)
    assert series.value("kpi_llm_feedback_total", kpi_llm_feedback_rating="5") == 2
    scores = [dict(each.log_record.attributes or {}) for each in events.get_finished_logs()]
    assert [each["gen_ai.evaluation.score.value"] for each in scores] == [5.0, 5.0]


def test_feedback_on_an_answer_that_nobody_remembers_names_it(events: InMemoryLogRecordExporter) -> None:
    feedback("negative", "of-another-process")
    event = only(events)
    assert event.trace_id == 0
    assert event.attributes["gen_ai.response.id"] == "of-another-process"


@pytest.mark.parametrize(("mode", "leaves"), [("SPAN_ONLY", False), ("EVENT_ONLY", True), ("", False)])
def test_comment_and_explanation_stand_in_the_event_by_consent(
    events: InMemoryLogRecordExporter,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    leaves: bool,  # noqa: FBT001 - a case
) -> None:
    monkeypatch.setenv(consent.VARIABLE, mode)
    feedback("negative", comment="my knee hurts")
    evaluation("relevance", 0.2, "fail", "it speaks of knees")
    told = [dict(each.log_record.attributes or {}) for each in events.get_finished_logs()]
    assert ["gen_ai.evaluation.explanation" in each for each in told] == [leaves, leaves]


def test_evaluation_is_counted_by_its_word_and_its_score(
    series: Measured, events: InMemoryLogRecordExporter
) -> None:
    evaluation("relevance", 0.9, "pass")
    evaluation("relevance", error_type="TimeoutError")
    labels = {"gen_ai_evaluation_name": "relevance", "gen_ai_evaluation_score_label": "pass"}
    assert series.value("kpi_llm_evaluations_total", **labels) == 1
    assert series.value("kpi_llm_evaluations_total", gen_ai_evaluation_name="relevance") == 1
    assert series.value("kpi_llm_evaluation_score", gen_ai_evaluation_name="relevance") == (1, 0.9)
    failed = dict(events.get_finished_logs()[1].log_record.attributes or {})
    assert failed == {"gen_ai.evaluation.name": "relevance", "error.type": "TimeoutError"}


def test_ratings_and_labels_are_bounded(series: Measured) -> None:
    for number in range(40):
        feedback(f"r{number}")
        evaluation("relevance", label=f"l{number}")
    assert len(series.labels("kpi_llm_feedback_total")) == 11
    assert len(series.labels("kpi_llm_evaluations_total")) == 21


def test_bad_input_raises_nothing(series: Measured) -> None:
    bad: Any = object()
    feedback(bad, bad, bad)
    evaluation(bad, bad, bad, bad, response_id=bad, error_type=bad)
    evaluation("relevance", float("nan"))
    assert series.value("kpi_llm_evaluation_score", gen_ai_evaluation_name="relevance") is None


def test_only_the_last_answers_are_remembered() -> None:
    for number in range(1100):
        answers.remember(f"m{number}", ANSWER)
    assert answers.span_of("m0") is None
    assert answers.span_of("m1099") == ANSWER
    anything: Any = object()
    answers.remember(anything, ANSWER)
    answers.remember("x" * 300, ANSWER)
    assert answers.span_of("x" * 300) is None
