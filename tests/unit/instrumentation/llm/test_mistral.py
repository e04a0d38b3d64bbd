"""Mistral's SDK: each operation is one span with its tokens and its price; streams, attempts, faults."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from mistralai.client.models import ChatCompletionResponse
from mistralai.client.utils import BackoffStrategy, RetryConfig
from mistralai.client.utils.eventstreaming import EventStream, EventStreamAsync
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.llm import Answer, ScriptedProvider
from support.rearmed import disarmed, rearmed

from otel_kpi import llm
from otel_kpi.instrumentation.boundary import Boundary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Followed


MODEL = "mistral-small-2506"
HELLO: Any = [{"role": "user", "content": "hello"}]


@pytest.fixture
def provider(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del followed
    with ScriptedProvider() as scripted:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{scripted.port}=mistral_ai")
        yield scripted


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Mistral]:
    with Mistral(api_key="none", server_url=provider.url) as found:
        yield found


def test_a_chat_is_a_span_with_what_was_asked_and_answered(
    followed: Followed, provider: ScriptedProvider, client: Mistral
) -> None:
    provider.next(Answer(usage={"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}))
    answer = client.chat.complete(
        model=MODEL, messages=HELLO, temperature=0.2, top_p=0.9, max_tokens=50, stop="end", random_seed=7
    )
    assert type(answer) is ChatCompletionResponse
    span = followed.span()
    assert (span.name, span.kind, span.status.status_code) == (
        f"chat {MODEL}",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    attributes = followed.attributes()
    assert (
        attributes.items()
        >= {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "mistral_ai",
            "gen_ai.request.model": MODEL,
            "gen_ai.request.temperature": 0.2,
            "gen_ai.request.top_p": 0.9,
            "gen_ai.request.max_tokens": 50,
            "gen_ai.request.stop_sequences": ("end",),
            "gen_ai.request.seed": 7,
            "gen_ai.response.model": MODEL,
            "gen_ai.response.id": answer.id,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 200,
            "gen_ai.usage.cost.currency": "USD",
            "gen_ai.usage.cost.source": "local",
            "server.address": "127.0.0.1",
            "server.port": provider.port,
        }.items()
    )
    # 0.10 and 0.30 dollars a million.
    assert attributes["gen_ai.usage.cost.amount"] == pytest.approx(0.00016)
    assert followed.tokens() == {"input": 1000, "output": 200}
    assert sum(followed.counted("kpi_llm_cost_total", "gen_ai_provider_name").values()) == pytest.approx(
        0.00016
    )


@pytest.mark.parametrize("operation", ["chat", "fim", "agents", "embeddings"])
@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_every_operation_is_one_span(
    followed: Followed, provider: ScriptedProvider, operation: str, *, awaited: bool
) -> None:
    given: dict[str, Any] = {
        "chat": {"model": MODEL, "messages": HELLO},
        "fim": {"model": "codestral-2508", "prompt": "def f("},
        "agents": {"agent_id": "ag:1", "messages": HELLO},
        "embeddings": {"model": "mistral-embed", "inputs": ["a", "b"]},
    }[operation]
    name = "create" if operation == "embeddings" else "complete"

    async def ask() -> None:
        async with Mistral(api_key="none", server_url=provider.url) as client:
            await getattr(getattr(client, operation), f"{name}_async")(**given)

    if awaited:
        asyncio.run(ask())
    else:
        with Mistral(api_key="none", server_url=provider.url) as client:
            getattr(getattr(client, operation), name)(**given)
    assert len(provider.requests) == 1
    expected = {
        "chat": (f"chat {MODEL}", {"input": 10, "output": 5}),
        "fim": ("text_completion codestral-2508", {"input": 10, "output": 5}),
        "agents": ("chat", {"input": 10, "output": 5}),
        "embeddings": ("embeddings mistral-embed", {"input": 4}),
    }[operation]
    assert (followed.span().name, followed.tokens()) == expected
    attributes = followed.attributes()
    if operation == "agents":
        assert attributes["gen_ai.agent.id"] == "ag:1"
    if operation == "embeddings":
        assert attributes["gen_ai.embeddings.dimension.count"] == 2
        assert "gen_ai.usage.output_tokens" not in attributes


@pytest.mark.parametrize("operation", ["chat", "fim", "agents"])
def test_a_stream_is_the_sdks_and_its_usage_is_counted(
    followed: Followed, client: Mistral, operation: str
) -> None:
    given: dict[str, Any] = {
        "chat": {"model": MODEL, "messages": HELLO},
        "fim": {"model": MODEL, "prompt": "def f("},
        "agents": {"agent_id": "ag:1", "messages": HELLO},
    }[operation]
    with getattr(client, operation).stream(**given) as stream:
        assert isinstance(stream, EventStream)  # behind a proxy
        assert stream.response.status_code == 200
        assert not trace.get_current_span().is_recording()
        events: Any = list(stream)
    texts = [event.data.choices[0].delta.content for event in events]
    assert "".join(text for text in texts if isinstance(text, str)) == "Hello there, friend."
    attributes = followed.attributes()
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert followed.tokens() == {"input": 10, "output": 5}
    assert followed.abandoned() == {}


def test_an_asynchronous_stream(followed: Followed, provider: ScriptedProvider) -> None:
    async def read() -> int:
        async with Mistral(api_key="none", server_url=provider.url) as client:
            stream: Any = await client.chat.stream_async(model=MODEL, messages=HELLO)
            assert isinstance(stream, EventStreamAsync)
            async with stream:
                return len([event async for event in stream])

    assert asyncio.run(read()) == 5
    assert followed.tokens() == {"input": 10, "output": 5}


def test_what_was_cached_and_thought_is_a_part_of_the_whole(
    followed: Followed, provider: ScriptedProvider, client: Mistral
) -> None:
    provider.next(
        Answer(
            usage={
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "total_tokens": 150,
                "prompt_tokens_details": {"cached_tokens": 60},
                "completion_tokens_details": {"reasoning_tokens": 20},
            },
            tier="priority",
        )
    )
    client.chat.complete(model=MODEL, messages=HELLO)
    assert followed.tokens() == {"input": 40, "cache_read": 60, "output": 30, "reasoning": 20}
    assert followed.attributes()["gen_ai.usage.cache_read.input_tokens"] == 60


# --- streams that nobody reads to their end


def test_a_stream_that_is_dropped(followed: Followed, client: Mistral) -> None:
    stream = client.chat.stream(model=MODEL, messages=HELLO)
    next(stream)
    del stream
    assert followed.abandoned() == {"left": 1}
    assert followed.attributes()["kpi.llm.ended"] == "left"
    assert followed.tokens() == {}


def test_a_stream_that_is_closed(followed: Followed, client: Mistral) -> None:
    with client.chat.stream(model=MODEL, messages=HELLO) as stream:
        next(stream)
    assert followed.abandoned() == {"closed": 1}
    assert followed.span().status.status_code is StatusCode.UNSET


def test_a_stream_that_breaks_off(followed: Followed, provider: ScriptedProvider, client: Mistral) -> None:
    provider.next(Answer(break_after=2))
    stream = client.chat.stream(model=MODEL, messages=HELLO)
    with pytest.raises(Exception, match="peer closed connection") as raised:
        list(stream)
    assert type(raised.value).__module__.startswith("httpx")
    assert followed.abandoned() == {"broken_off": 1}
    assert followed.span().status.status_code is StatusCode.ERROR


# --- attempts and errors


def test_an_attempt_that_is_made_again_is_counted_with_its_status_and_its_wait(
    followed: Followed, provider: ScriptedProvider
) -> None:
    provider.next(Answer(status=429, headers={"retry-after-ms": "20"}), Answer(status=503), Answer())
    retries = RetryConfig(
        "backoff", BackoffStrategy(10, 20, 1.0, 5000, jitter_ms=0), retry_connection_errors=True
    )
    with Mistral(api_key="none", server_url=provider.url, retry_config=retries) as client:
        client.chat.complete(model=MODEL, messages=HELLO)
    assert len(provider.requests) == 3
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"429": 1, "503": 1}
    assert followed.counted("kpi_llm_retry_wait_seconds", "kpi_llm_retry_status") == {
        "429": pytest.approx(0.02),
        "503": pytest.approx(0.01),
    }
    assert followed.tokens() == {"input": 10, "output": 5}


def test_an_asynchronous_attempt_that_is_made_again(followed: Followed, provider: ScriptedProvider) -> None:
    provider.next(Answer(status=500), Answer())
    retries = RetryConfig(
        "backoff", BackoffStrategy(1, 1, 1.0, 5000, jitter_ms=0), retry_connection_errors=True
    )

    async def ask() -> None:
        async with Mistral(api_key="none", server_url=provider.url, retry_config=retries) as client:
            await client.chat.complete_async(model=MODEL, messages=HELLO)

    asyncio.run(ask())
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"500": 1}


def test_an_error_is_the_sdks_own(followed: Followed, provider: ScriptedProvider, client: Mistral) -> None:
    provider.next(Answer(status=429))
    with pytest.raises(SDKError) as raised:
        client.chat.complete(model=MODEL, messages=HELLO)
    assert raised.value.status_code == 429
    assert followed.span().status.status_code is StatusCode.ERROR
    assert followed.attributes()["error.type"] == "mistralai.client.errors.sdkerror.SDKError"
    assert followed.series.points("kpi_llm_unpriced_total") == {}


def test_limits_are_read_from_the_headers(
    followed: Followed, provider: ScriptedProvider, client: Mistral
) -> None:
    provider.next(
        Answer(headers={"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59"})
    )
    client.chat.complete(model=MODEL, messages=HELLO)
    assert followed.counted("kpi_llm_rate_limit_remaining", "kpi_llm_rate_limit_kind") == {"requests": 59}


# --- usages that are none


@pytest.mark.parametrize(
    ("usage", "reason"),
    [
        ({"prompt_tokens": -1, "completion_tokens": 5, "total_tokens": 4}, "negative"),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 5,
                "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 9},
            },
            "inconsistent",
        ),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 5,
                "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": "many"},
            },
            "not_a_number",
        ),
    ],
)
def test_a_usage_that_cannot_be_true_is_counted_as_that(
    followed: Followed, provider: ScriptedProvider, client: Mistral, usage: dict[str, Any], reason: str
) -> None:
    provider.next(Answer(usage=usage))
    assert client.chat.complete(model=MODEL, messages=HELLO).choices
    assert followed.counted("kpi_llm_usage_faults_total", "kpi_llm_reason") == {reason: 1}
    assert followed.tokens() == {}
    assert not any(name.startswith("gen_ai.usage.cost") for name in followed.attributes())


def test_counts_that_are_left_out_are_not_known(
    followed: Followed, provider: ScriptedProvider, client: Mistral
) -> None:
    provider.next(Answer(usage={"total_tokens": 7}))
    answer = client.chat.complete(model=MODEL, messages=HELLO)
    assert answer.usage.prompt_tokens == 0  # the SDK's nought
    assert "gen_ai.usage.input_tokens" not in followed.attributes()
    assert followed.counted("kpi_llm_unpriced_total", "kpi_llm_reason") == {"no_usage": 1}


def test_a_stream_without_usage_has_no_price(
    followed: Followed, provider: ScriptedProvider, client: Mistral
) -> None:
    provider.next(Answer(usage=None))
    with client.chat.stream(model=MODEL, messages=HELLO) as stream:
        assert len(list(stream)) == 5
    assert followed.counted("kpi_llm_unpriced_total", "kpi_llm_reason") == {"no_usage": 1}


# --- what is said


def test_what_is_said_stays_here(followed: Followed, client: Mistral) -> None:
    client.chat.complete(model=MODEL, messages=HELLO)
    assert "hello" not in followed.span().to_json()
    assert "friend" not in followed.span().to_json()


def test_what_is_said_is_kept_by_consent(
    followed: Followed, provider: ScriptedProvider, client: Mistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.next(Answer(), Answer(tools=[("search", {"what": "shoes"})]))
    with monkeypatch.context() as patched:
        patched.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
        with rearmed():
            with client.chat.stream(model=MODEL, messages=HELLO) as stream:
                list(stream)
            client.chat.complete(model=MODEL, messages=HELLO)
            patched.undo()
    streamed, called = (dict(span.attributes or {}) for span in followed.spans())
    assert "hello" in str(streamed["gen_ai.input.messages"])
    assert "Hello there, friend." in str(streamed["gen_ai.output.messages"])
    assert "search" in str(called["gen_ai.output.messages"])


# --- in its place


def test_whose_it_is_and_where_it_belongs(followed: Followed, client: Mistral) -> None:
    with trace.get_tracer("shop").start_as_current_span("order") as order, llm.context(tenant="acme"):
        client.chat.complete(model=MODEL, messages=HELLO)
        assert trace.get_current_span() is order
    span = followed.span()
    assert span.parent is not None
    assert span.parent.span_id == order.get_span_context().span_id
    assert followed.attributes()["kpi.tenant"] == "acme"
    assert set(followed.counted("kpi_llm_cost_total", "kpi_tenant")) == {"acme"}


def test_a_budget_that_is_spent_refuses_the_call(
    followed: Followed, provider: ScriptedProvider, client: Mistral
) -> None:
    with llm.budget(tokens=10, on_exceeded="raise"):
        client.chat.complete(model=MODEL, messages=HELLO)
        with pytest.raises(llm.BudgetExceeded):
            client.chat.complete(model=MODEL, messages=HELLO)
    assert len(provider.requests) == len(followed.spans()) == 1


def test_a_fault_of_ours_does_not_reach_the_application(
    followed: Followed, client: Mistral, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("otel_kpi.instrumentation.llm.mistral._read_top", broken)
    assert client.chat.complete(model=MODEL, messages=HELLO).choices
    with client.chat.stream(model=MODEL, messages=HELLO) as stream:
        assert len(list(stream)) == 5
    assert len(followed.spans()) == 2
    assert Boundary("mistral").errors == 6
    Boundary("mistral").reset()


def test_nothing_is_left_when_it_is_taken_back(followed: Followed, client: Mistral) -> None:
    with disarmed():
        client.chat.complete(model=MODEL, messages=HELLO)
        with client.chat.stream(model=MODEL, messages=HELLO) as stream:
            assert type(stream) is EventStream
    assert followed.spans() == []


def test_money_is_added_up_exactly(followed: Followed, provider: ScriptedProvider, client: Mistral) -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    provider.next(*[Answer(usage=usage)] * 10)
    for _ in range(10):
        client.chat.complete(model=MODEL, messages=HELLO)
    total = followed.counted("kpi_llm_cost_total", "gen_ai_request_model")[MODEL]
    assert total == float(10 * (7 * Decimal("0.1") + 3 * Decimal("0.3")) / 1_000_000)
