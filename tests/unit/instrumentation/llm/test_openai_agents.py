"""The OpenAI Agents SDK: workflows and agents above, the SDK's calls below, each counted once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from openai import AsyncOpenAI
from support.llm import Answer
from support.llm.ledger import MODELS, Ledger, ledger

from otel_kpi import llm

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator

    from agents import Agent, Model
    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured


pytestmark = pytest.mark.proof  # the SDK takes two seconds to import, so the tests that need it do


@pytest.fixture
def book(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    with ledger(captured, monkeypatch) as book:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=openai")
        monkeypatch.delenv("OPENAI_API_KEY")  # with it the SDK would send its own traces to OpenAI
        yield book


def look_up(question: str) -> str:
    """Look it up."""
    return f"nobody knows {question}"


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parents(book: Ledger) -> set[str | None]:
    names = {span.context.span_id: span.name for span in book.captured.spans() if span.context}
    return {names.get(span.parent.span_id) if span.parent else None for span in book.inferences()}


@asynccontextmanager
async def chats(book: Ledger, max_retries: int = 0) -> AsyncGenerator[Model]:
    from agents import OpenAIChatCompletionsModel

    async with AsyncOpenAI(api_key="none", base_url=book.openai, max_retries=max_retries) as client:
        yield OpenAIChatCompletionsModel(MODELS["openai"], client)


@asynccontextmanager
async def responses(book: Ledger) -> AsyncGenerator[Model]:
    from agents import OpenAIResponsesModel

    async with AsyncOpenAI(api_key="none", base_url=book.openai, max_retries=0) as client:
        yield OpenAIResponsesModel(MODELS["openai"], client)


def clerk(of_it: Model) -> Agent[None]:
    from agents import Agent, ModelSettings, function_tool

    settings = ModelSettings(include_usage=True)
    return Agent(name="clerk", model=of_it, tools=[function_tool(look_up)], model_settings=settings)


async def ask(agent: Agent[None]) -> None:
    from agents import Runner

    await Runner.run(agent, "hi")


@pytest.mark.parametrize("api", [chats, responses])
def test_an_agents_calls_are_below_it(book: Ledger, api: Any) -> None:
    async def main() -> None:
        async with api(book) as model:
            with llm.context(tenant="acme"):
                await ask(clerk(model))

    asyncio.run(main())
    assert len(book.billed) == 2
    book.check()
    assert parents(book) == {"invoke_agent clerk"}
    assert {of(span).get("kpi.tenant") for span in book.inferences()} == {"acme"}
    names = {span.name for span in book.captured.spans() if any("gen_ai" in name for name in of(span))}
    assert names == {
        "invoke_workflow Agent workflow",
        "invoke_agent clerk",
        "execute_tool look_up",
        f"chat {MODELS['openai']}",
    }
    billed = [span.name for span in book.captured.spans() if "gen_ai.usage.cost.amount" in of(span)]
    assert billed == [f"chat {MODELS['openai']}"] * 2


def test_a_stream(book: Ledger) -> None:
    async def main() -> None:
        async with chats(book) as model:
            from agents import Runner

            async for _ in Runner.run_streamed(clerk(model), "hi").stream_events():
                pass

    asyncio.run(main())
    assert len(book.billed) == 2
    book.check()
    assert parents(book) == {"invoke_agent clerk"}


def test_agents_at_once_have_tenants_of_their_own(book: Ledger) -> None:
    async def one(model: Model, tenant: str) -> None:
        with llm.context(tenant=tenant):
            await ask(clerk(model))

    async def main() -> None:
        async with chats(book) as model:
            await asyncio.gather(*(one(model, tenant) for tenant in ("acme", "globex", "initech")))

    asyncio.run(main())
    assert len(book.billed) == 6
    book.check()
    found = [of(span)["kpi.tenant"] for span in book.inferences()]
    assert sorted(found) == sorted(["acme", "globex", "initech"] * 2)


def test_an_attempt_that_is_made_again(book: Ledger) -> None:
    from agents import Agent

    async def main() -> None:
        async with chats(book, max_retries=1) as model:
            await ask(Agent(name="clerk", model=model))

    book.provider.next(Answer(status=500))
    asyncio.run(main())
    assert len(book.provider.requests) == 2
    book.check()
