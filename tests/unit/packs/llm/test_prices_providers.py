"""Who bills a call: the address that was called, then OpenTelemetry's name; nobody's address has nobody's prices."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.prices import Price, Unpriced
from otel_kpi.packs.llm.usage import Usage

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()
THOUSAND = Usage({"input_tokens": 1_000, "output_tokens": 1_000})


def priced(
    provider: str | None = None, endpoint: str | None = None, model: str | None = "gpt-4o", **more: Any
) -> Price | Unpriced:
    call: dict[str, Any] = {
        "provider": provider,
        "endpoint": endpoint,
        "model": model,
        "usage": THOUSAND,
        "at": NOW,
        **more,
    }
    return prices.price(**call)


def reason(answer: Price | Unpriced) -> str:
    assert isinstance(answer, Unpriced), answer
    return answer.reason


@pytest.mark.parametrize(
    ("name", "model", "provider"),
    [
        ("openai", "gpt-4o", "openai"),
        ("azure.ai.openai", "gpt-4o", "azure"),
        ("azure.ai.inference", "gpt-4o", "azure"),
        ("anthropic", "claude-opus-4-8", "anthropic"),
        ("aws.bedrock", "amazon.nova-pro-v1:0", "aws"),
        ("gcp.gemini", "gemini-2.5-pro", "google"),
        ("gcp.gen_ai", "gemini-2.5-pro", "google"),
        ("gcp.vertex_ai", "gemini-2.5-pro", "google"),
        ("cohere", "command-r-plus", "cohere"),
        ("deepseek", "deepseek-chat", "deepseek"),
        ("groq", "llama-3.3-70b-versatile", "groq"),
        ("mistral_ai", "mistral-large-latest", "mistral"),
        ("moonshot_ai", "kimi-k2", "moonshotai"),
        ("perplexity", "sonar", "perplexity"),
        ("x_ai", "grok-4", "x-ai"),
        ("openrouter", "openai/gpt-4o", "openrouter"),
        ("fireworks_ai", "accounts/fireworks/models/glm-5p1", "fireworks"),
        ("together_ai", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "together"),
        ("Azure.AI.OpenAI", "GPT-4o", "azure"),
        ("litellm", "anthropic/claude-opus-4-8", "anthropic"),
        (None, "claude-opus-4-8", "anthropic"),
    ],
)
def test_opentelemetrys_names_are_providers_of_the_data(name: str | None, model: str, provider: str) -> None:
    answer = priced(name, None, model)
    assert isinstance(answer, Price), answer
    assert answer.provider == provider


@pytest.mark.parametrize("name", ["ibm.watsonx.ai", "ollama", "vllm", "_OTHER", "sambanova"])
def test_a_provider_without_a_price_list_is_unknown(name: str) -> None:
    assert reason(priced(name)) == "unknown_provider"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://localhost:11434/v1",
        "http://127.0.0.1:8000",
        "localhost:8000",
        "http://[::1]:8000/v1",
        "https://llm.corp.example/openai/v1",
        "https://api.openai.com.proxy.corp.example/v1",
        "https://acme.openai.azure.us",
        "https://bedrock-runtime.cn-north-1.amazonaws.com.cn",
        "http://gpu-7.internal:8000/v1/",
    ],
)
def test_a_server_of_ones_own_does_not_cost_what_the_provider_of_the_same_model_takes(endpoint: str) -> None:
    assert reason(priced("openai", endpoint)) == "unknown_provider"


@pytest.mark.parametrize(
    ("endpoint", "provider"),
    [
        ("https://api.openai.com/v1/", "openai"),
        ("https://API.OpenAI.com:443/v1", "openai"),
        ("api.openai.com", "openai"),
        ("https://user:secret@api.openai.com/v1", "openai"),
        ("https://acme.openai.azure.com/openai/deployments/x", "azure"),
        ("https://acme.eastus2.models.ai.azure.com", "azure"),
        ("https://openrouter.ai/api/v1", "openrouter"),
    ],
)
def test_the_address_wins_over_what_the_sdk_calls_itself(endpoint: str, provider: str) -> None:
    answer = priced("openai", endpoint, "openai/gpt-4o" if provider == "openrouter" else "gpt-4o")
    assert isinstance(answer, Price)
    assert answer.provider == provider


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://bedrock-runtime.eu-central-1.amazonaws.com",
        "https://bedrock-runtime-fips.us-east-1.amazonaws.com",
        "https://bedrock-runtime.us-east-1.api.aws/",
        "https://vpce-0a1b-2c3d.bedrock-runtime.us-east-1.vpce.amazonaws.com",
    ],
)
def test_bedrock_has_more_addresses_than_the_data_know(endpoint: str) -> None:
    answer = priced("aws.bedrock", endpoint, "eu.amazon.nova-pro-v1:0")
    assert isinstance(answer, Price)
    assert answer.provider == "aws"


@pytest.mark.parametrize(
    ("provider", "written", "model"),
    [
        ("gcp.gemini", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gcp.vertex_ai", "publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"),
        (
            "gcp.vertex_ai",
            "projects/p/locations/global/publishers/google/models/gemini-2.5-pro",
            "gemini-2.5-pro",
        ),
        (
            "aws.bedrock",
            "arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-pro-v1:0",
            "amazon.nova-pro-v1:0",
        ),
        ("openai", "openai/gpt-4o", "gpt-4o"),
        ("openai", "gpt-4.1-20250414", "gpt-4.1"),
        ("openai", "GPT-4O-2024-08-06", "gpt-4o"),
        ("anthropic", "claude-opus-4-8-20260501", "claude-opus-4-8"),
    ],
)
def test_what_clouds_and_frameworks_put_around_a_name_is_seen_through(
    provider: str, written: str, model: str
) -> None:
    answer = priced(provider, None, written)
    assert isinstance(answer, Price), answer
    assert answer.model == model


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("gpt-99", "unknown_model"),
        ("my-deployment", "unknown_model"),
        ("x" * 5_000, "unknown_model"),
        ("ft:davinci-003:acme", "unknown_model"),
        (None, "no_model"),
        ("", "no_model"),
    ],
)
def test_what_is_unknown_is_not_free(model: str | None, why: str) -> None:
    assert reason(priced("openai", None, model)) == why


def test_a_tier_without_rates_is_unknown_and_not_the_standard_one() -> None:
    assert reason(priced("openai", None, "gpt-4o", tier="flex")) == "unknown_tier"
    assert reason(priced("openai", None, "gpt-5", tier="scale")) == "unknown_tier"
    assert reason(priced("azure", None, "gpt-4o", tier="priority")) == "unknown_tier"
    assert reason(priced("openai", None, "gpt-4o-audio-preview", processing="batch")) == "unknown_processing"
    assert isinstance(priced("groq", None, "llama-3.3-70b-versatile", tier="on_demand"), Price)
    # The data have the rates of flex from 2026-10-12 on, and say that what was before is not in them.
    before = datetime(2026, 10, 11, tzinfo=UTC).timestamp()
    assert reason(priced("openai", None, "gpt-5", tier="flex", at=before)) == "unknown_tier"


def test_a_model_without_a_rate_has_no_price_unless_its_name_says_that_it_is_free() -> None:
    assert reason(priced("github-copilot", None, "gpt-4.1")) == "no_rate"
    free = priced("openrouter", None, "agentica-org/deepcoder-14b-preview:free")
    assert isinstance(free, Price)
    assert free.amount == 0


@pytest.mark.parametrize(
    ("counts", "fault", "why"),
    [
        ({}, None, "no_usage"),
        ({}, "negative", "inconsistent_usage"),
        ({"input_tokens": 10, "cache_read_tokens": 11}, None, "inconsistent_usage"),
        ({"cache_read_tokens": 11, "output_tokens": 1}, None, "incomplete_usage"),
        ({"audio_seconds": 11}, None, "no_rate"),
    ],
)
def test_usage_that_cannot_be_billed_says_why(counts: dict[str, Any], fault: str | None, why: str) -> None:
    assert reason(priced("openai", usage=Usage(counts, fault))) == why


def test_what_has_no_rate_beside_what_has_one_is_named() -> None:
    answer = priced(
        "openai", None, "text-embedding-3-small", usage=Usage({"input_tokens": 5, "web_searches": 2})
    )
    assert isinstance(answer, Price)
    assert answer.missing == ("web_searches",)
    assert answer.amount == Decimal("0.0000001")


@pytest.mark.parametrize("at", [None, float("nan"), float("inf"), -1e18, 1e18, 0.0, -5e9])
def test_a_clock_that_jumps_breaks_nothing(at: float | None) -> None:
    assert isinstance(priced("openai", None, "o3", at=at), Price)
    assert isinstance(priced("deepseek", None, "deepseek-chat", at=at), Price)


def test_rates_change_in_the_middle_of_a_process() -> None:
    cut = datetime(2025, 6, 10, tzinfo=UTC).timestamp()
    amounts = [priced("openai", None, "o3", at=cut + offset) for offset in (-1, 0, -1, 86_400 * 400)]
    assert [each.amount for each in amounts if isinstance(each, Price)] == [
        Decimal(text) for text in ("0.05", "0.01", "0.05", "0.01")
    ]
    night, day = (
        priced("deepseek", None, "deepseek-chat", at=datetime(2026, 11, 21, hour, tzinfo=UTC).timestamp())
        for hour in (17, 16)
    )
    assert isinstance(night, Price)
    assert isinstance(day, Price)
    assert night.amount * 2 == day.amount
