"""A guard refuses before the call: the provider is not asked, no span is begun, and no other exception comes of it."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from openai import AsyncOpenAI, OpenAI
from opentelemetry import context as contexts
from support.llm import Answer
from support.llm.provider import ScriptedProvider
from support.measured import measured

from otel_kpi import chat, llm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.captured import Captured

_ASK: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is planted?"}]}
_USAGE = {"prompt_tokens": 900, "completion_tokens": 100, "total_tokens": 1000}


@pytest.fixture
def provider(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del captured
    with measured(), ScriptedProvider() as found:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{found.port}=openai")
        for _ in range(3):
            found.next(Answer(usage=_USAGE))
        yield found


def calls_of(captured: Captured) -> int:
    return sum("gen_ai.operation.name" in (span.attributes or {}) for span in captured.spans())


def test_calls_of_an_sdk_are_counted_and_the_next_one_is_refused(
    captured: Captured, provider: ScriptedProvider
) -> None:
    client = OpenAI(api_key="none", base_url=f"{provider.url}/v1", max_retries=0)
    with llm.budget("1 USD", tokens=2_000, on_exceeded="raise") as work:
        client.chat.completions.create(**_ASK)
        client.chat.completions.create(**_ASK)
        before = contexts.get_current()
        with pytest.raises(llm.BudgetExceeded, match="2000 tokens of 2000 tokens"):
            client.chat.completions.create(**_ASK)
        assert contexts.get_current() is before
        # gpt-4o-mini costs 0.15 and 0.60 dollars for a million tokens.
        assert str(work.spent.normalize()) == "0.00039"
        assert (work.used, work.unpriced) == (2_000, 0)
    assert (len(provider.requests), calls_of(captured)) == (2, 2)
    client.chat.completions.create(**_ASK)
    assert len(provider.requests) == 3


def test_streams_and_async_clients_are_refused_alike(captured: Captured, provider: ScriptedProvider) -> None:
    client = AsyncOpenAI(api_key="none", base_url=f"{provider.url}/v1", max_retries=0)

    async def work() -> None:
        async with llm.budget(tokens=1_000, on_exceeded="raise"):
            await client.chat.completions.create(**_ASK)
            with pytest.raises(llm.BudgetExceeded):
                await client.chat.completions.create(**_ASK)
            with pytest.raises(llm.BudgetExceeded):
                await client.chat.completions.create(**_ASK, stream=True)
            with pytest.raises(llm.BudgetExceeded):
                await client.embeddings.create(model="text-embedding-3-small", input="a")
        await client.close()

    asyncio.run(work())
    assert (len(provider.requests), calls_of(captured)) == (1, 1)


def test_calls_by_hand_count_and_are_refused_too(captured: Captured) -> None:
    with measured(), llm.budget("1 USD", on_exceeded="raise") as work:
        with llm.call("openai", "gpt-4o-mini") as call:
            call.charged("0.60", "USD")
        chat.track_ai_request("gpt-4o-mini", time.time(), True, 30, 12)
        llm.cost("0.40", "USD", "search")
        with pytest.raises(llm.BudgetExceeded), llm.call("openai", "gpt-4o-mini"):
            pytest.fail("the call is made")
    assert (work.used, calls_of(captured)) == (42, 1)
    # What the chat's words are priced at is in it, too.
    assert 1 < work.spent < Decimal("1.01")
