"""LlamaIndex over the SDK of OpenAI: its agents above, the SDK's calls below, each counted once."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
from support.llm import Answer
from support.llm.ledger import MODELS, Ledger, ledger

from otel_kpi import llm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai import OpenAI
    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured

# LlamaIndex reads what pydantic gives up, and closes no asynchronous client.
pytestmark = [
    pytest.mark.proof,  # LlamaIndex takes two seconds to import, so the tests that need it do
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
USAGE: Any = {"stream_options": {"include_usage": True}}


@pytest.fixture
def book(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    with ledger(captured, monkeypatch) as book:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=openai")
        yield book
        gc.collect()  # what LlamaIndex does not close is complained of here, where it is expected


def hi() -> list[ChatMessage]:
    from llama_index.core.llms import ChatMessage

    return [ChatMessage(role="user", content="hi")]


def model(book: Ledger, **options: Any) -> OpenAI:
    from llama_index.llms.openai import OpenAI

    given: dict[str, Any] = {"max_retries": 0, **options}
    return OpenAI(model=MODELS["openai"], api_base=book.openai, **given)


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parents(book: Ledger) -> set[str | None]:
    names = {span.context.span_id: span.name for span in book.captured.spans() if span.context}
    return {names.get(span.parent.span_id) if span.parent else None for span in book.inferences()}


def look_up(question: str) -> str:
    """Look it up."""
    return f"nobody knows {question}"


def clerk(book: Ledger, **options: Any) -> FunctionAgent:
    from llama_index.core.agent.workflow import FunctionAgent

    asked = model(book, additional_kwargs=USAGE if options.get("streaming", True) else {})
    return FunctionAgent(name="clerk", tools=[look_up], llm=asked, **options)


def test_calls_and_streams(book: Ledger) -> None:
    asked = model(book)
    asked.chat(hi())
    asked.complete("hi")
    for _ in asked.stream_chat(hi(), **USAGE):
        pass
    assert len(book.billed) == 3
    book.check()


def test_coroutines(book: Ledger) -> None:
    async def main() -> None:
        asked = model(book)
        await asked.achat(hi())
        async for _ in await asked.astream_chat(hi(), **USAGE):
            pass
        await asyncio.gather(*(asked.achat(hi()) for _ in range(3)))

    asyncio.run(main())
    assert len(book.billed) == 5
    book.check()


@pytest.mark.parametrize("streaming", [False, True])
def test_an_agents_calls_are_below_it(book: Ledger, streaming: bool) -> None:  # noqa: FBT001 - a case
    async def main() -> None:
        with llm.context(tenant="acme", feature="letters"):
            await clerk(book, streaming=streaming).run(user_msg="hi")  # pyright: ignore[reportDeprecated] - one of its many forms

    asyncio.run(main())
    assert len(book.billed) == 2
    book.check()
    assert parents(book) == {"invoke_agent clerk"}
    assert {of(span).get("kpi.tenant") for span in book.inferences()} == {"acme"}
    assert round(book.money(kpi_tenant="acme"), 9) == round(sum(each.money for each in book.billed), 9)
    billed = [span.name for span in book.captured.spans() if "gen_ai.usage.cost.amount" in of(span)]
    assert billed == [f"chat {MODELS['openai']}"] * 2


def test_answers_from_documents(book: Ledger) -> None:
    from llama_index.core import Document, SummaryIndex

    index = SummaryIndex.from_documents([Document(text="The office opens at nine.")])
    index.as_query_engine(llm=model(book)).query("when")
    assert len(book.billed) == 1
    book.check()


def test_an_attempt_that_is_made_again(book: Ledger) -> None:
    book.provider.next(Answer(status=500))
    model(book, max_retries=1).chat(hi())
    assert len(book.provider.requests) == 2
    book.check()
