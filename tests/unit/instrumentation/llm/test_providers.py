"""Who serves a model is told by the address, not by whose protocol is spoken."""

from __future__ import annotations

import logging

import pytest

from otel_kpi.instrumentation.llm.limits import Limit, limits_of
from otel_kpi.instrumentation.llm.providers import provider_of, who_serves


@pytest.fixture(autouse=True)
def nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_KPI_GENAI_PROVIDERS", raising=False)


@pytest.mark.parametrize(
    ("address", "port", "said", "provider"),
    [
        ("api.openai.com", None, "openai", "openai"),
        ("eu.api.openai.com", None, "openai", "openai"),
        ("acme.openai.azure.com", None, "openai", "azure.ai.openai"),
        ("acme.services.ai.azure.com", None, "openai", "azure.ai.inference"),
        ("openrouter.ai", None, "openai", "openrouter"),
        ("api.groq.com", 443, "openai", "groq"),
        ("API.DeepSeek.com.", None, "openai", "deepseek"),
        ("api.x.ai", None, "openai", "x_ai"),
        ("localhost", 11434, "openai", "ollama"),
        ("localhost", 8000, "openai", "_OTHER"),
        ("llm.corp", None, "openai", "_OTHER"),
        ("notapi.openai.com.evil.example", None, "openai", "_OTHER"),
        ("proxy.corp", None, "anthropic", "anthropic"),
        ("europe-west1-aiplatform.googleapis.com", None, "gcp.gen_ai", "gcp.vertex_ai"),
        ("bedrock-runtime.eu-central-1.amazonaws.com", None, "aws.bedrock", "aws.bedrock"),
        ("bedrock-runtime.eu-central-1.amazonaws.com", None, "anthropic", "aws.bedrock"),
        (None, None, "openai", "openai"),
    ],
)
def test_the_address_says_who_serves(address: str | None, port: int | None, said: str, provider: str) -> None:
    assert provider_of(address, port, said) == provider


def test_the_user_knows_better(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", "llm.corp:8080=vllm, proxy.corp=openai, nonsense")
    with caplog.at_level(logging.WARNING):
        assert provider_of("llm.corp", 8080, "openai") == "vllm"
    assert "'nonsense' is not used; it takes host=provider or host:port=provider" in caplog.text
    assert provider_of("llm.corp", 8081, "openai") == "_OTHER"
    assert provider_of("proxy.corp", 443, "openai") == "openai"
    assert who_serves("proxy.corp", 443, "openai") == ("openai", True)
    assert who_serves("api.openai.com", None, "openai") == ("openai", False)


_NOW = 1_795_000_000.0


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        (
            {
                "x-ratelimit-limit-requests": "60",
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-limit-tokens": "150000",
                "x-ratelimit-remaining-tokens": "149984",
                "x-ratelimit-reset-tokens": "20ms",
            },
            [Limit("requests", 60, 59, 360), Limit("tokens", 150_000, 149_984, 0.02)],
        ),
        (
            {
                "anthropic-ratelimit-input-tokens-limit": "4000",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-18T11:07:40Z",
            },
            [Limit("input_tokens", 4_000, 0, 60)],
        ),
        ({"x-ratelimit-reset-requests": "1795000012"}, [Limit("requests", None, None, 12)]),
        ({"x-ratelimit-remaining-tokens": "-1", "x-ratelimit-limit-tokens": "many"}, []),
        ({"x-ratelimit-reset-requests": "soon"}, []),
        ({}, []),
    ],
)
def test_headers_of_rate_limits_are_read_as_they_are_meant(
    headers: dict[str, str], limits: list[Limit]
) -> None:
    assert list(limits_of(headers, _NOW)) == limits
