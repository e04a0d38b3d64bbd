"""Who serves a model, by the address that is called.

An SDK says whose protocol it speaks: upstream's instrumentor of `openai` calls everybody `openai`, Azure and a model
on the machine next door included. The address knows better. What nobody knows has no provider's prices.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import Final

_logger: Final = logging.getLogger("otel_kpi.instrumentation")

SETTING: Final = "OTEL_KPI_GENAI_PROVIDERS"
OTHER: Final = "_OTHER"
"""A server that speaks OpenAI's protocol and is not known here."""

_HOSTS: Final = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure.ai.openai",
    "cognitiveservices.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "inference.ai.azure.com": "azure.ai.inference",
    "models.ai.azure.com": "azure.ai.inference",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "ml.cloud.ibm.com": "ibm.watsonx.ai",
    "api.mistral.ai": "mistral_ai",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.moonshot.ai": "moonshot_ai",
    "api.moonshot.cn": "moonshot_ai",
    "openrouter.ai": "openrouter",
    "api.together.xyz": "together_ai",
    "api.together.ai": "together_ai",
    "api.fireworks.ai": "fireworks_ai",
    "api.cerebras.ai": "cerebras",
    "api.sambanova.ai": "sambanova",
    "api.novita.ai": "novita",
    "integrate.api.nvidia.com": "nvidia",
    "router.huggingface.co": "huggingface",
    "api-inference.huggingface.co": "huggingface",
    "ollama.com": "ollama",
    "dashscope.aliyuncs.com": "alibaba",
    "dashscope-intl.aliyuncs.com": "alibaba",
    "open.bigmodel.cn": "zhipu_ai",
    "api.z.ai": "zhipu_ai",
    "api.minimax.io": "minimax",
    "gateway.ai.vercel.com": "vercel_ai_gateway",
    "models.github.ai": "github_models",
}
"""Hosts, with everything below them. OpenTelemetry's words where it has one."""

_FORMER: Final = {"gemini": "gcp.gemini", "vertex_ai": "gcp.vertex_ai"}
"""What upstream's package for Google still says, by the names of today."""

_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1", "host.docker.internal"})
_LOCAL_PORTS: Final = {11434: "ollama", 1234: "lm_studio"}
_BEDROCK: Final = ("bedrock-runtime.", "bedrock.")


def provider_of(address: str | None, port: int | None, said: str | None) -> str | None:
    """Give `gen_ai.provider.name`.

    Args:
        address: The host that is called; None where the SDK does not say.
        port: Its port; None is the scheme's own.
        said: What the instrumentor says.

    Returns:
        The provider. What the user's `OTEL_KPI_GENAI_PROVIDERS` says wins.
    """
    said = _FORMER.get(said or "", said)
    if not address:
        return said
    return _who_serves(address, port, said, os.environ.get(SETTING, ""))[0]


def who_serves(address: str | None, port: int | None, said: str | None) -> tuple[str | None, bool]:
    """Give the provider, as `provider_of` does, and whether the user named it: then it is that provider's price."""
    if not address:
        return said, False
    return _who_serves(address, port, said, os.environ.get(SETTING, ""))


@functools.lru_cache(maxsize=512)
def _who_serves(address: str, port: int | None, said: str | None, given: str) -> tuple[str | None, bool]:
    """By all that it depends on, with what the user gives: a call asks twice, and calls few servers."""
    address = address.lower().rstrip(".")
    named = _named(address, port, given)
    return (named, True) if named is not None else (_by_address(address, port, said), False)


def _by_address(address: str, port: int | None, said: str | None) -> str | None:
    labels = address.split(".")
    for start in range(len(labels) - 1):
        if (known := _HOSTS.get(".".join(labels[start:]))) is not None:
            return known
    if address.endswith((".amazonaws.com", ".amazonaws.com.cn")) and address.startswith(_BEDROCK):
        return "aws.bedrock"
    if address.endswith("aiplatform.googleapis.com"):
        return "gcp.vertex_ai"
    if address in _LOCAL and port in _LOCAL_PORTS:
        return _LOCAL_PORTS[port]
    return OTHER if said == "openai" else said


def _named(address: str, port: int | None, given: str) -> str | None:
    named = _read(given)
    return named.get(f"{address}:{port}") or named.get(address)


@functools.lru_cache(maxsize=8)
def _read(given: str) -> dict[str, str]:
    """Read `host=provider,host:port=provider`; what has another shape is one line in the log."""
    named: dict[str, str] = {}
    for pair in filter(None, (each.strip() for each in given.split(","))):
        host, separator, provider = pair.rpartition("=")
        if not separator or not host.strip() or not provider.strip():
            _logger.warning("%s: %r is not used; it takes host=provider or host:port=provider", SETTING, pair)
            continue
        named[host.strip().lower()] = provider.strip()
    return named
