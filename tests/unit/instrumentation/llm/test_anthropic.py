"""Anthropic's SDK: one span for a call, every class of tokens, the price of all of them, and the SDK's own objects."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic
from anthropic._base_client import BaseClient
from anthropic.lib.bedrock import AnthropicBedrock
from anthropic.lib.vertex import AnthropicVertex
from anthropic.types import Message
from anthropic.types.beta import BetaMessage
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from support.llm import Answer, ScriptedProvider
from support.llm.told import COST, Told

from otel_kpi import llm
from otel_kpi.instrumentation.llm.anthropic import batch_results, counts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


ASK: Any = {
    "model": "claude-sonnet-5",
    "max_tokens": 64,
    "messages": [{"role": "user", "content": "What is planted?"}],
}
USAGE: dict[str, Any] = {
    "input_tokens": 100,
    "cache_creation_input_tokens": 50,
    "cache_read_input_tokens": 200,
    "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 40,
    "output_tokens_details": {"thinking_tokens": 10},
    "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 0},
    "service_tier": "standard",
}
TOKENS = {"input": 100, "cache_read": 200, "cache_write": 50, "output": 30, "reasoning": 10}
PRICE = pytest.approx((100 * 2 + 30 * 2.5 + 20 * 4 + 200 * 0.2 + 40 * 10) / 1e6 + 2 * 10 / 1e3)
"""At the rates of claude-sonnet-5 in the data: 2 $ in, 2.50 and 4 $ for caches, 0.20 $ from them, 10 $ out, 10 $ for
a thousand searches."""


@pytest.fixture
def provider(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del told
    with ScriptedProvider() as found:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{found.port}=anthropic")
        yield found


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Anthropic]:
    with Anthropic(api_key="none", base_url=provider.url, max_retries=0) as found:
        yield found


@pytest.fixture
def async_client(provider: ScriptedProvider) -> AsyncAnthropic:
    return AsyncAnthropic(api_key="none", base_url=provider.url, max_retries=0)


def expect(told: Told) -> None:
    """One span with everything on it, each token once, and the price."""
    attributes = told.attributes()
    assert told.span().name == "chat claude-sonnet-5"
    assert attributes["gen_ai.provider.name"] == "anthropic"
    assert attributes["gen_ai.usage.input_tokens"] == 350
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 200
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 50
    assert attributes["gen_ai.usage.output_tokens"] == 40
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 10
    assert attributes[COST] == PRICE
    assert told.tokens() == TOKENS
    assert told.cost() == PRICE


has_spans = pytest.mark.skipif(
    not hasattr(BaseClient, "_tracer"), reason="this version of the SDK makes no spans of its own"
)


def read(stream: Iterable[Any]) -> list[Any]:
    return list(stream)


# --- every way to ask


def plain(client: Anthropic) -> object:
    return client.messages.create(**ASK)


def stream(client: Anthropic) -> object:
    return [*client.messages.create(**ASK, stream=True)][-1]


def helper(client: Anthropic) -> object:
    with client.messages.stream(**ASK) as told:
        assert "".join(told.text_stream) == "Hello there, friend."
        return told.get_final_message()


def beta(client: Anthropic) -> object:
    return client.beta.messages.create(**ASK)


def beta_stream(client: Anthropic) -> object:
    with client.beta.messages.stream(**ASK) as told:
        return told.get_final_message()


def raw(client: Anthropic) -> object:
    return client.messages.with_raw_response.create(**ASK).parse()


def raw_unread(client: Anthropic) -> object:
    return client.messages.with_raw_response.create(**ASK).http_response


def raw_stream(client: Anthropic) -> object:
    return [*client.messages.with_raw_response.create(**ASK, stream=True).parse()][-1]


def streamed_response(client: Anthropic) -> object:
    with client.messages.with_streaming_response.create(**ASK) as response:
        return response.parse()


@pytest.mark.parametrize(
    ("ask", "kind"),
    [
        (plain, "Message"),
        (stream, "RawMessageStopEvent"),
        (helper, "Message"),
        (beta, "BetaMessage"),
        (beta_stream, "BetaMessage"),
        (raw, "Message"),
        (raw_unread, "Response"),
        (raw_stream, "RawMessageStopEvent"),
        (streamed_response, "Message"),
    ],
)
def test_every_way_to_ask_is_one_call_with_its_price(
    told: Told, provider: ScriptedProvider, client: Anthropic, ask: Any, kind: str
) -> None:
    provider.next(Answer(usage=USAGE))
    assert kind in {cls.__name__.partition("[")[0] for cls in type(ask(client)).__mro__}
    expect(told)


async def plain_async(client: AsyncAnthropic) -> object:
    return await client.messages.create(**ASK)


async def stream_async(client: AsyncAnthropic) -> object:
    return [event async for event in await client.messages.create(**ASK, stream=True)][-1]


async def helper_async(client: AsyncAnthropic) -> object:
    async with client.messages.stream(**ASK) as told:
        return await told.get_final_message()


async def raw_async(client: AsyncAnthropic) -> object:
    parsed: Any = (await client.messages.with_raw_response.create(**ASK)).parse()
    return await parsed if asyncio.iscoroutine(parsed) else parsed


@pytest.mark.parametrize("ask", [plain_async, stream_async, helper_async, raw_async])
def test_every_asynchronous_way_too(
    told: Told, provider: ScriptedProvider, async_client: AsyncAnthropic, ask: Any
) -> None:
    async def asked() -> None:
        async with async_client:
            await ask(async_client)

    provider.next(Answer(usage=USAGE))
    asyncio.run(asked())
    expect(told)


# --- platforms


def test_bedrock_is_not_anthropic(
    told: Told, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_KPI_GENAI_PROVIDERS")
    client = AnthropicBedrock(
        aws_access_key="none", aws_secret_key="none", aws_region="eu-central-1", base_url=provider.url
    )
    model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
    ask: Any = {**ASK, "model": model}
    provider.next(Answer(usage=USAGE), Answer(usage=USAGE))
    client.messages.create(**ask)
    read(client.messages.create(**ask, stream=True))
    client.close()
    for span in told.spans():
        attributes = dict(span.attributes or {})
        assert attributes["gen_ai.provider.name"] == "aws.bedrock"
        assert attributes["gen_ai.request.model"] == model
        assert attributes["gen_ai.usage.input_tokens"] == 350
    assert told.tokens() == {kind: 2 * count for kind, count in TOKENS.items()}


def test_vertex_ai_is_not_anthropic(
    told: Told, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_KPI_GENAI_PROVIDERS")
    client = AnthropicVertex(region="eu", project_id="shop", access_token="none", base_url=provider.url)
    provider.next(Answer(usage=USAGE), Answer(usage=USAGE))
    client.messages.create(**ASK)
    read(client.messages.create(**ASK, stream=True))
    client.close()
    assert {str((span.attributes or {})["gen_ai.provider.name"]) for span in told.spans()} == {
        "gcp.vertex_ai"
    }
    assert told.tokens() == {kind: 2 * count for kind, count in TOKENS.items()}


# --- one call is one inference


def test_the_sdk_makes_no_span_of_its_own_beside_it(told: Told, client: Anthropic) -> None:
    client.messages.create(**ASK)
    scopes = {span.instrumentation_scope.name for span in told.spans() if span.instrumentation_scope}
    assert scopes == {"opentelemetry.instrumentation.genai.anthropic"}


@has_spans
def test_the_user_may_ask_for_the_sdks_own_span(
    told: Told, client: Anthropic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_OPEN_TELEMETRY", "true")
    client.messages.create(**ASK)
    assert {span.name for span in told.spans()} == {"chat claude-sonnet-5", "anthropic.messages.create"}


@has_spans
def test_the_sdks_span_of_what_nobody_else_sees_stays(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(body={"input_tokens": 7}))
    client.messages.count_tokens(model="claude-sonnet-5", messages=ASK["messages"])
    assert [span.name for span in told.spans()] == ["anthropic.messages.count_tokens"]
    assert told.tokens() == {}


# --- streams


def test_two_streams_at_a_time_are_two_calls(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(usage=USAGE), Answer(usage=USAGE))
    first = client.messages.create(**ASK, stream=True)
    second = client.messages.create(**ASK, stream=True)
    for _one, _other in zip(first, second, strict=True):
        pass
    read(first)
    read(second)
    assert len(told.spans()) == 2
    assert told.tokens() == {kind: 2 * count for kind, count in TOKENS.items()}


def test_what_the_caller_does_between_two_events_is_no_part_of_the_call(client: Anthropic) -> None:
    stream = client.messages.create(**ASK, stream=True)
    next(stream)
    assert not trace.get_current_span().get_span_context().is_valid
    stream.close()


def test_a_stream_may_be_read_in_another_thread(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(usage=USAGE))
    stream = client.messages.create(**ASK, stream=True)
    reader = threading.Thread(target=lambda: [*stream])
    reader.start()
    reader.join()
    expect(told)


def test_stream_is_of_the_sdks_type(client: Anthropic) -> None:
    with client.messages.create(**ASK, stream=True) as stream:
        assert stream.__class__ is anthropic.Stream
        assert stream.response.status_code == 200


def test_stream_that_is_left_says_what_is_known_and_no_output(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    """It begins with one token of output, whatever comes: a placeholder is no count."""
    provider.next(Answer(usage=USAGE))
    stream = client.messages.create(**ASK, stream=True)
    next(stream)
    del stream
    attributes = told.attributes()
    assert attributes["gen_ai.usage.input_tokens"] == 350
    assert "gen_ai.usage.output_tokens" not in attributes
    assert told.tokens() == {"input": 100, "cache_read": 200, "cache_write": 50}
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="left") == 1


def test_stream_that_is_closed_in_the_middle(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(usage=USAGE))
    with client.messages.create(**ASK, stream=True) as stream:
        next(stream)
    assert told.attributes()["gen_ai.usage.input_tokens"] == 350
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="closed") == 1


def test_error_in_the_middle_of_a_stream(told: Told, provider: ScriptedProvider, client: Anthropic) -> None:
    provider.next(Answer(usage=USAGE, error_after=3))
    with pytest.raises(anthropic.APIStatusError, match="scripted"):
        read(client.messages.create(**ASK, stream=True))
    span = told.span()
    assert span.status.status_code is StatusCode.ERROR
    assert told.tokens() == {"input": 100, "cache_read": 200, "cache_write": 50}
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="broken_off") == 1


def test_connection_that_breaks_in_the_middle_of_a_stream(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(usage=USAGE, break_after=3))
    with pytest.raises(Exception, match=r"closed|incomplete"):
        read(client.messages.create(**ASK, stream=True))
    assert told.span().status.status_code is StatusCode.ERROR
    assert told.tokens() == {"input": 100, "cache_read": 200, "cache_write": 50}


def test_stream_whose_task_is_cancelled(
    told: Told, provider: ScriptedProvider, async_client: AsyncAnthropic
) -> None:
    held = threading.Event()
    provider.next(Answer(usage=USAGE, hold=held, hold_from=2))

    async def asked() -> None:
        async with async_client:
            begun = asyncio.Event()

            async def reading() -> None:
                async for _ in await async_client.messages.create(**ASK, stream=True):
                    begun.set()

            task = asyncio.create_task(reading())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            held.set()

    asyncio.run(asked())
    assert told.tokens() == {"input": 100, "cache_read": 200, "cache_write": 50}
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="cancelled") == 1


# --- attempts and limits


def test_attempts_that_are_made_again_are_counted_with_their_wait(
    told: Told, provider: ScriptedProvider
) -> None:
    again = Answer(status=529, headers={"retry-after-ms": "10"})
    provider.next(again, again, Answer(usage=USAGE))
    with Anthropic(api_key="none", base_url=provider.url, max_retries=3) as client:
        client.messages.create(**ASK)
    expect(told)
    assert told.count("kpi_llm_retries_total", kpi_llm_retry_status="529") == 2


def test_limits_are_what_the_last_answer_says(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(
        Answer(
            headers={
                "anthropic-ratelimit-input-tokens-limit": "50000",
                "anthropic-ratelimit-input-tokens-remaining": "49000",
            }
        )
    )
    client.messages.create(**ASK)
    assert told.count("kpi_llm_rate_limit_remaining", kpi_llm_rate_limit_kind="input_tokens") == 49000


def test_refusal_costs_nothing(told: Told, provider: ScriptedProvider, client: Anthropic) -> None:
    provider.next(Answer(status=429))
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(**ASK)
    assert told.span().status.status_code is StatusCode.ERROR
    assert told.cost() is None
    assert told.count("kpi_llm_unpriced_total") == 0


# --- tiers and kinds of usage


def test_fast_answers_have_no_price_of_the_slow_ones(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(usage={**USAGE, "speed": "fast"}))
    client.beta.messages.create(**ASK)
    assert COST not in told.attributes()
    assert told.tokens() == TOKENS
    assert told.count("kpi_llm_unpriced_total") == 1


def test_answer_without_a_usage_has_no_tokens_and_no_price(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(usage=None))
    answer = client.messages.with_raw_response.create(**ASK)
    assert answer.http_response.status_code == 200
    assert told.tokens() == {}
    assert told.count("kpi_llm_unpriced_total", kpi_llm_reason="no_usage") == 1


@pytest.mark.parametrize(
    ("usage", "fault"),
    [
        ({"input_tokens": -5, "output_tokens": 3}, "negative"),
        ({"input_tokens": 5, "output_tokens": 3, "cache_read_input_tokens": -9}, "negative"),
        ({"input_tokens": "many", "output_tokens": 3}, "not_a_number"),
        (
            {"input_tokens": 5, "output_tokens": 3, "output_tokens_details": {"thinking_tokens": 9}},
            "inconsistent",
        ),
    ],
)
def test_usage_that_cannot_be_true_is_said_and_not_counted(
    told: Told, provider: ScriptedProvider, client: Anthropic, usage: Any, fault: str
) -> None:
    provider.next(Answer(usage=usage))
    answer = client.messages.create(**ASK)
    assert isinstance(answer, Message)
    assert told.tokens() == {}
    assert told.attributes()["kpi.llm.usage.fault"] == fault
    assert told.cost() is None


def test_compactions_are_counted_beside_the_usage(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    compaction = {
        "type": "compaction",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 0,
    }
    message = {**compaction, "type": "message", "input_tokens": 100, "output_tokens": 40}
    provider.next(
        Answer(usage={"input_tokens": 100, "output_tokens": 40, "iterations": [compaction, message]})
    )
    answer = client.beta.messages.create(**ASK)
    assert isinstance(answer, BetaMessage)
    assert told.tokens() == {"input": 1100, "cache_read": 5, "output": 140}
    assert told.attributes()["gen_ai.usage.input_tokens"] == 1105


@pytest.mark.parametrize("streamed", [False, True])
def test_advice_is_billed_as_the_adviser(
    told: Told, provider: ScriptedProvider, client: Anthropic, *, streamed: bool
) -> None:
    advice = {
        "type": "advisor_message",
        "model": "claude-opus-5",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 0,
    }
    provider.next(Answer(usage={"input_tokens": 100, "output_tokens": 40, "iterations": [advice]}))
    if streamed:
        read(client.beta.messages.create(**ASK, stream=True))
    else:
        client.beta.messages.create(**ASK)
    own, advisers = (100 * 2 + 40 * 10) / 1e6, (1000 * 5 + 100 * 25) / 1e6
    assert told.attributes()[COST] == pytest.approx(own)
    assert told.attributes()["gen_ai.usage.input_tokens"] == 100
    assert told.cost() == pytest.approx(own + advisers)
    assert told.count("kpi_llm_tokens_total", gen_ai_request_model="claude-opus-5") == 1100


# --- batches


def test_results_of_a_batch_are_billed_where_they_are_asked_to_be(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    usage = {"input_tokens": 1000, "output_tokens": 100, "service_tier": "batch"}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-sonnet-5",
    }
    results = [
        {"custom_id": "one", "result": {"type": "succeeded", "message": {**message, "usage": usage}}},
        {"custom_id": "two", "result": {"type": "expired"}},
    ]
    lines = "".join(json.dumps(each) + "\n" for each in results).encode()
    address = f"{provider.url}/v1/messages/batches/b1/results"
    batch = {
        "id": "b1",
        "type": "message_batch",
        "processing_status": "ended",
        "results_url": address,
        "created_at": "2026-11-21T12:00:00Z",
    }
    provider.next(Answer(body=batch), Answer(body=lines))
    with llm.context(tenant="acme"):
        answered = list(batch_results(client.messages.batches.results("b1")))
    assert [each.custom_id for each in answered] == ["one", "two"]
    assert told.tokens() == {"input": 1000, "output": 100}
    assert told.cost() == pytest.approx((1000 * 1 + 100 * 5) / 1e6)
    assert told.count("kpi_llm_tokens_total", kpi_tenant="acme") == 1100


def test_results_of_a_batch_are_not_counted_by_themselves(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    provider.next(Answer(body={"id": "b1", "results_url": f"{provider.url}/v1/messages/batches/b1/results"}))
    provider.next(Answer(body=b""))
    assert list(client.messages.batches.results("b1")) == []
    assert told.tokens() == {}


def test_later_parts_of_a_stream_leave_out_what_has_not_changed(
    told: Told, provider: ScriptedProvider, client: Anthropic
) -> None:
    start = {"input_tokens": 100, "cache_read_input_tokens": 200, "output_tokens": 1}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": start,
    }
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    provider.next(
        Answer(
            body=[
                {"type": "message_start", "message": message},
                {"type": "message_delta", "delta": ended, "usage": {"input_tokens": 120, "output_tokens": 9}},
                {"type": "message_stop"},
            ]
        )
    )
    read(client.messages.create(**ASK, stream=True))
    assert told.tokens() == {"input": 120, "cache_read": 200, "output": 9}


def test_writes_are_the_sum_of_their_classes_where_nobody_adds_them_up() -> None:
    counts = counts_of(
        {
            "input_tokens": 1,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
        }
    )
    assert counts["cache_write_tokens"] == 5
    assert counts["input_tokens"] == 6
