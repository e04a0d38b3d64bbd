"""Calls of a real SDK within a conversation, and what is said of their answers afterwards."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from openai import AsyncOpenAI
from support.llm import Answer, ScriptedProvider

from otel_kpi.packs import llm, rag

if TYPE_CHECKING:
    from openai import OpenAI

    from tests.unit.instrumentation.llm.conftest import Followed

ASKED: Any = [{"role": "user", "content": "hello"}]
ID = "gen_ai.conversation.id"


def test_every_call_within_a_conversation_has_its_id_streams_too(
    followed: Followed, openai_client: OpenAI
) -> None:
    with llm.conversation("c-42"):
        openai_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED)
        openai_client.responses.create(model="gpt-4o-mini", input="hello")
        stream = openai_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)
    for _ in stream:  # taken after its block was left
        pass
    openai_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED)
    assert [(span.attributes or {}).get(ID) for span in followed.spans()] == ["c-42", "c-42", "c-42", None]
    labels = {
        key
        for name in ("kpi_llm_cost_total", "kpi_llm_tokens_total")
        for each in followed.series.labels(name)
        for key, _ in each
    }
    assert "gen_ai_conversation_id" not in labels


def test_conversations_of_calls_side_by_side_do_not_mix(
    followed: Followed, scripted: ScriptedProvider
) -> None:
    async def talk(client: AsyncOpenAI, name: str) -> None:
        async with llm.conversation(name):
            await client.chat.completions.create(model=name, messages=ASKED)

    async def main() -> None:
        async with AsyncOpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=0) as client:
            await asyncio.gather(*(talk(client, f"m{number}") for number in range(4)))

    asyncio.run(main())
    told = {
        (span.attributes or {})["gen_ai.request.model"]: (span.attributes or {}).get(ID)
        for span in followed.spans()
    }
    assert told == {f"m{number}": f"m{number}" for number in range(4)}


def test_feedback_on_an_answer_stands_in_its_trace(
    followed: Followed, openai_client: OpenAI, scripted: ScriptedProvider
) -> None:
    scripted.next(Answer(more={"id": "chatcmpl-42"}))
    answer = openai_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED)
    assert answer.id == "chatcmpl-42"
    llm.feedback("positive", answer.id)
    (span,) = followed.spans()
    assert span.context is not None
    (event,) = [log for log in followed.captured.logs() if log.event_name == "gen_ai.evaluation.result"]
    assert (event.trace_id, event.span_id) == (span.context.trace_id, span.context.span_id)


def test_call_in_a_query_is_below_its_generation(followed: Followed, openai_client: OpenAI) -> None:
    def answer() -> Any:
        with rag.query("faq") as query, query.generation() as generation:
            return generation.stream(
                openai_client.chat.completions.create(model="gpt-4o-mini", messages=ASKED, stream=True)
            )

    chunks = list(answer())
    assert chunks
    spans = {span.name: span for span in followed.captured.spans()}
    parent, generation = spans["chat gpt-4o-mini"].parent, spans["generation faq"].context
    assert parent is not None
    assert generation is not None
    assert parent.span_id == generation.span_id
    assert followed.series.value("kpi_rag_queries_total", kpi_rag_name="faq", kpi_rag_outcome="success") == 1


def test_call_by_hand_is_of_the_conversation_and_its_answer_can_be_spoken_of(followed: Followed) -> None:
    with llm.conversation("c-42"), llm.call("openai", "gpt-4o-mini") as call:
        call.answered("gpt-4o-mini", response_id="by-hand-1")
    llm.feedback(1, "by-hand-1")
    (span,) = followed.spans()
    assert (span.attributes or {})[ID] == "c-42"
    (event,) = [log for log in followed.captured.logs() if log.event_name == "gen_ai.evaluation.result"]
    assert span.context is not None
    assert event.span_id == span.context.span_id
