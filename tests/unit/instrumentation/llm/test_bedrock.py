"""Amazon Bedrock through boto3: one inference of each call under the names of today, all of its tokens, its attempts."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.eventstream import EventStream
from botocore.exceptions import ClientError, EventStreamError
from botocore.loaders import Loader
from botocore.response import StreamingBody
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from support.llm import Answer, ScriptedProvider
from support.llm.told import COST, Told

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.llm.bedrock import counts_of_body

if TYPE_CHECKING:
    from collections.abc import Iterator


MODEL = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
ASK: Any = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "What is planted?"}]}]}
USAGE: dict[str, Any] = {
    "inputTokens": 100,
    "outputTokens": 40,
    "totalTokens": 390,
    "cacheReadInputTokens": 200,
    "cacheWriteInputTokens": 50,
    "cacheDetails": [{"ttl": "5m", "inputTokens": 30}, {"ttl": "1h", "inputTokens": 20}],
}
CLAUDES: dict[str, Any] = {
    "input_tokens": 100,
    "output_tokens": 40,
    "cache_read_input_tokens": 200,
    "cache_creation_input_tokens": 50,
    "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 20},
}
TOKENS = {"input": 100, "cache_read": 200, "cache_write": 50, "output": 40}
BODY = json.dumps(
    {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 64,
        "messages": [{"role": "user", "content": "What is planted?"}],
    }
)
OLD = {"gen_ai.system"}
"""A name that upstream's instrumentor of botocore writes."""


@pytest.fixture
def provider(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del told
    with ScriptedProvider() as found:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{found.port}=aws.bedrock")
        yield found


def client_of(provider: ScriptedProvider, attempts: int = 1, mode: Any = "standard") -> Any:
    return boto3.client(  # pyright: ignore[reportUnknownMemberType] -- boto3 makes its clients of data
        "bedrock-runtime",
        endpoint_url=provider.url,
        region_name="eu-central-1",
        aws_access_key_id="none",
        aws_secret_access_key="none",
        config=Config(retries={"total_max_attempts": attempts, "mode": mode}),
    )


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Any]:
    found = client_of(provider)
    yield found
    found.close()


def _knows_times() -> bool:
    model: Any = Loader().load_service_model("bedrock-runtime", "service-2")
    return "cacheDetails" in model["shapes"]["TokenUsage"]["members"]


def expect(told: Told, *, times: bool = False) -> None:
    """One inference with everything on it, each token once, and a price."""
    attributes = told.attributes()
    assert told.span().name == f"chat {MODEL}"
    assert attributes["gen_ai.provider.name"] == "aws.bedrock"
    assert attributes["gen_ai.usage.input_tokens"] == 350
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 200
    assert attributes["gen_ai.usage.cache_write.input_tokens"] == 50
    assert attributes["gen_ai.usage.output_tokens"] == 40
    assert told.tokens() == TOKENS
    assert attributes[COST] == told.cost()
    # Older versions of boto3 drop how long it is written for: that is the shorter time's price.
    long = 6.6 if times or _knows_times() else 4.125
    written = 30 * 4.125 + 20 * long
    assert attributes[COST] == pytest.approx((100 * 3.3 + written + 200 * 0.33 + 40 * 16.5) / 1e6)
    assert not any(OLD & set(span.attributes or {}) for span in told.captured.spans())


# --- every way to ask


def converse(client: Any) -> None:
    answer = client.converse(**ASK)
    assert answer["output"]["message"]["content"] == [{"text": "Hello there, friend."}]


def converse_stream(client: Any) -> None:
    stream = client.converse_stream(**ASK)["stream"]
    assert isinstance(stream, EventStream)
    with closing(stream):
        deltas = [
            event["contentBlockDelta"]["delta"]["text"] for event in stream if "contentBlockDelta" in event
        ]
    assert "".join(deltas) == "Hello there, friend."


def invoke(client: Any) -> None:
    body = client.invoke_model(modelId=MODEL, body=BODY)["body"]
    assert isinstance(body, StreamingBody)
    assert json.loads(body.read())["content"][0]["text"] == "Hello there, friend."


def invoke_stream(client: Any) -> None:
    body = client.invoke_model_with_response_stream(modelId=MODEL, body=BODY)["body"]
    assert isinstance(body, EventStream)
    with closing(body):
        events = [json.loads(event["chunk"]["bytes"]) for event in body]
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]


@pytest.mark.parametrize(
    ("ask", "usage"),
    [(converse, USAGE), (converse_stream, USAGE), (invoke, CLAUDES), (invoke_stream, CLAUDES)],
)
def test_every_way_to_ask_is_one_call_with_its_price(
    told: Told, provider: ScriptedProvider, client: Any, ask: Any, usage: Any
) -> None:
    provider.next(Answer(usage=usage))
    ask(client)
    expect(told, times=usage is CLAUDES)


def test_the_call_of_aws_is_a_span_without_an_inference_on_it(told: Told, client: Any) -> None:
    converse(client)
    [inference] = told.spans()
    rest = [span for span in told.captured.spans() if span is not inference]
    assert [span.name for span in rest] == ["Bedrock Runtime.Converse"]
    assert not any(name.startswith("gen_ai") for name in rest[0].attributes or {})
    points = told.captured.points("gen_ai.client.operation.duration")
    assert not any("gen_ai.system" in point.attributes for point in points)


def test_models_in_invoke_model_say_their_usage_in_their_makers_ways() -> None:
    titan = {"inputTextTokenCount": 4, "results": [{"tokenCount": 5}]}
    llama = {"prompt_token_count": 4, "generation_token_count": 5}
    nova = {"usage": {"inputTokens": 4, "outputTokens": 5, "cacheReadInputTokenCount": 3}}
    openai = {"usage": {"prompt_tokens": 4, "completion_tokens": 5}}
    for body, sent in ((titan, 4), (llama, 4), (nova, 7), (openai, 4)):
        counts = counts_of_body(body)
        assert (counts["input_tokens"], counts["output_tokens"]) == (sent, 5)


def test_usage_may_be_in_the_headers_alone(told: Told, provider: ScriptedProvider, client: Any) -> None:
    headers = {
        "x-amzn-bedrock-input-token-count": "100",
        "x-amzn-bedrock-output-token-count": "40",
        "x-amzn-bedrock-cache-read-input-token-count": "200",
    }
    provider.next(Answer(body={"generation": "Tulips."}, headers=headers))
    client.invoke_model(modelId="meta.llama3-1-70b-instruct-v1:0", body="{}")
    assert told.tokens() == {"input": 100, "cache_read": 200, "output": 40}
    assert told.attributes()["gen_ai.usage.input_tokens"] == 300


@pytest.mark.parametrize(
    ("model", "chunks", "tokens"),
    [
        (
            "amazon.nova-lite-v1:0",
            [
                {"contentBlockDelta": {"delta": {"text": "Tulips."}}},
                {
                    "metadata": {
                        "usage": {"inputTokens": 4, "outputTokens": 5, "cacheReadInputTokenCount": 3}
                    },
                    "amazon-bedrock-invocationMetrics": {"inputTokenCount": 4, "outputTokenCount": 5},
                },
            ],
            {"input": 4, "cache_read": 3, "output": 5},
        ),
        (
            "meta.llama3-1-70b-instruct-v1:0",
            [
                {"generation": "Tul", "prompt_token_count": 4, "generation_token_count": 1},
                {"generation": "ips.", "prompt_token_count": None, "generation_token_count": 2},
            ],
            {"input": 4, "output": 2},
        ),
        (
            "mistral.mistral-large-2402-v1:0",
            [
                {"outputs": [{"text": "Tulips."}]},
                {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 4, "outputTokenCount": 5}},
            ],
            {"input": 4, "output": 5},
        ),
    ],
)
def test_each_maker_has_a_stream_of_its_own(  # noqa: PLR0913, PLR0917 - a table's row
    told: Told, provider: ScriptedProvider, client: Any, model: str, chunks: Any, tokens: Any
) -> None:
    provider.next(Answer(body=chunks, usage=None))
    with closing(client.invoke_model_with_response_stream(modelId=model, body="{}")["body"]) as body:
        assert len(list(body)) == len(chunks)
    assert told.tokens() == tokens


def test_embeddings(told: Told, provider: ScriptedProvider, client: Any) -> None:
    provider.next(Answer(usage={"inputTextTokenCount": 9}))
    model = "amazon.titan-embed-text-v2:0"
    answer = client.invoke_model(modelId=model, body=json.dumps({"inputText": "tulips"}))
    assert json.loads(answer["body"].read())["embedding"]
    assert told.span().name == f"embeddings {model}"
    assert told.tokens() == {"input": 9}


# --- which model it was


def test_profile_of_aws_stands_for_its_model(told: Told, provider: ScriptedProvider, client: Any) -> None:
    profile = f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/{MODEL}"
    provider.next(Answer(usage=USAGE))
    client.converse(**{**ASK, "modelId": profile})
    attributes = told.attributes()
    assert attributes["gen_ai.request.model"] == profile
    assert attributes["gen_ai.response.model"] == MODEL
    assert attributes[COST] == told.cost()


def test_profile_of_an_application_has_no_price_until_someone_says_it(
    told: Told, provider: ScriptedProvider, client: Any
) -> None:
    profile = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc123"
    provider.next(Answer(usage=USAGE))
    client.converse(**{**ASK, "modelId": profile})
    assert "gen_ai.response.model" not in told.attributes()
    assert told.tokens() == TOKENS
    assert told.count("kpi_llm_unpriced_total", kpi_llm_reason="unknown_model") == 1


def test_router_says_whom_it_chose(told: Told, provider: ScriptedProvider, client: Any) -> None:
    router = "arn:aws:bedrock:eu-central-1:123456789012:default-prompt-router/anthropic.claude:1"
    chosen = f"arn:aws:bedrock:eu-central-1:123456789012:inference-profile/{MODEL}"
    trace = {"promptRouter": {"invokedModelId": chosen}}
    provider.next(Answer(usage=USAGE, more={"trace": trace}))
    client.converse(**{**ASK, "modelId": router})
    assert told.attributes()["gen_ai.response.model"] == MODEL


# --- tiers


def test_default_tier_has_the_standard_price(told: Told, provider: ScriptedProvider, client: Any) -> None:
    provider.next(Answer(usage=USAGE, tier="default"))
    converse(client)
    expect(told)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(usage=USAGE, tier="flex"),
        Answer(usage=USAGE, more={"performanceConfig": {"latency": "optimized"}}),
    ],
)
def test_what_is_billed_otherwise_has_no_standard_price(
    told: Told, provider: ScriptedProvider, client: Any, answer: Answer
) -> None:
    provider.next(answer)
    converse(client)
    assert COST not in told.attributes()
    assert told.tokens() == TOKENS
    assert told.count("kpi_llm_unpriced_total") == 1


# --- attempts


@pytest.mark.parametrize("mode", ["legacy", pytest.param("standard", marks=pytest.mark.proof)])
def test_throttled_attempts_are_counted_with_their_wait(
    told: Told, provider: ScriptedProvider, mode: str
) -> None:
    provider.next(Answer(status=429), Answer(usage=USAGE))
    client = client_of(provider, attempts=2, mode=mode)
    converse(client)
    client.close()
    expect(told)
    assert told.count("kpi_llm_retries_total", kpi_llm_retry_status="429") == 1
    [waited] = told.measured.points("kpi_llm_retry_wait_seconds").values()
    assert 0 <= waited.sum <= 3


def test_throttling_that_stays_is_an_error_without_a_price(
    told: Told, provider: ScriptedProvider, client: Any
) -> None:
    provider.next(Answer(status=429))
    with pytest.raises(ClientError, match="ThrottlingException"):
        converse(client)
    assert told.span().status.status_code is StatusCode.ERROR
    assert told.cost() is None
    assert told.count("kpi_llm_unpriced_total") == 0


# --- streams


@pytest.mark.parametrize(("ask", "usage"), [(converse_stream, USAGE), (invoke_stream, CLAUDES)])
def test_error_in_the_middle_of_a_stream(
    told: Told, provider: ScriptedProvider, client: Any, ask: Any, usage: Any
) -> None:
    provider.next(Answer(usage=usage, error_after=2))
    with pytest.raises(EventStreamError, match="throttlingException"):
        ask(client)
    assert told.span().status.status_code is StatusCode.ERROR
    # Claude's own stream begins with what was sent; Converse says it at the end.
    sent = {"input": 100, "cache_read": 200, "cache_write": 50}
    assert told.tokens() == (sent if usage is CLAUDES else {})
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="broken_off") == 1


def test_odd_answer_has_its_span_and_switches_nothing_off(
    told: Told, provider: ScriptedProvider, client: Any
) -> None:
    boundary = Boundary("bedrock")
    boundary.reset()
    odd = {
        "output": {"message": {"role": "assistant", "content": [{"text": "no"}]}},
        "stopReason": True,
        "usage": USAGE,
    }
    provider.next(Answer(body=odd))
    client.converse(**ASK)
    assert told.span().status.status_code is StatusCode.UNSET
    assert told.tokens() == TOKENS
    assert boundary.errors == 0


def test_two_streams_at_a_time_are_two_calls(told: Told, provider: ScriptedProvider, client: Any) -> None:
    provider.next(Answer(usage=USAGE), Answer(usage=USAGE))
    first, second = (client.converse_stream(**ASK)["stream"] for _ in range(2))
    for _one, _other in zip(first, second, strict=True):
        assert not trace.get_current_span().get_span_context().is_valid
    assert len(told.spans()) == 2
    assert told.tokens() == {kind: 2 * count for kind, count in TOKENS.items()}


def test_stream_that_is_left(told: Told, provider: ScriptedProvider, client: Any) -> None:
    provider.next(Answer(usage=CLAUDES))
    body = client.invoke_model_with_response_stream(modelId=MODEL, body=BODY)["body"]
    next(iter(body))
    body.close()
    assert told.tokens() == {"input": 100, "cache_read": 200, "cache_write": 50}
    assert "gen_ai.usage.output_tokens" not in told.attributes()
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="closed") == 1


# --- what cannot be


def test_answer_without_a_usage_has_no_tokens_and_no_price(
    told: Told, provider: ScriptedProvider, client: Any
) -> None:
    provider.next(Answer(usage=None))
    converse(client)
    assert told.tokens() == {}
    assert told.count("kpi_llm_unpriced_total", kpi_llm_reason="no_usage") == 1


@pytest.mark.parametrize(
    "usage",
    [
        {"inputTokens": -4, "outputTokens": 3},
        {"inputTokens": 4, "outputTokens": 3, "cacheReadInputTokens": -9},
    ],
)
def test_usage_that_cannot_be_true_is_said_and_not_counted(
    told: Told, provider: ScriptedProvider, client: Any, usage: Any
) -> None:
    provider.next(Answer(usage=usage))
    converse(client)
    assert told.tokens() == {}
    assert told.attributes()["kpi.llm.usage.fault"] == "negative"
