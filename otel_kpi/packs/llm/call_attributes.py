"""What tells calls of language models apart, and what the series of all their instruments agree on."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute
from otel_kpi.packs.attributes import FEATURE, TENANT
from otel_kpi.packs.llm import names

FROM_GEN_AI: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/"
FROM_LATEST: Final = "OpenTelemetry open-telemetry/semantic-conventions-genai#374, #521"
FROM_COST: Final = "OpenTelemetry (proposed) open-telemetry/semantic-conventions-genai#443"
SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Bounds of the time of a call, s."""
TOKENS_OF_A_CALL: Final = tuple(float(4**power) for power in range(14))
SERIES: Final = 2_000
"""Series that an instrument of calls may have: models times tenants times features."""

OPERATION: Final = Attribute(
    name=names.OPERATION,
    brief="What was asked for.",
    budget=20,
    examples=("chat", "embeddings"),
    source=FROM_GEN_AI,
)
PROVIDER: Final = Attribute(
    name=names.PROVIDER,
    brief="Who serves the model, by the address that was called.",
    budget=30,
    examples=("openai", "azure.ai.openai"),
    source=FROM_GEN_AI,
    required=False,
)
REQUEST_MODEL: Final = Attribute(
    name=names.REQUEST_MODEL,
    brief="The model that was asked for.",
    budget=60,
    examples=("gpt-4o-mini",),
    source=FROM_GEN_AI,
    required=False,
)
RESPONSE_MODEL: Final = Attribute(
    name=names.RESPONSE_MODEL,
    brief="The model that answered.",
    budget=60,
    examples=("gpt-4o-mini-2024-07-18",),
    source=FROM_GEN_AI,
    required=False,
)
TOKEN_TYPE: Final = Attribute(
    name=names.TOKEN_TYPE,
    brief="Whether they were sent or made.",
    members=("input", "output"),
    source=FROM_GEN_AI,
)
MODALITY: Final = Attribute(
    name=names.TOKEN_MODALITY,
    brief="What the tokens stand for; `unknown` where the provider does not say.",
    members=("text", "image", "audio", "video", "unknown"),
    source=FROM_LATEST,
)
TOKEN_CLASS: Final = Attribute(
    name="kpi.llm.token.class",
    brief="Under which heading the tokens are billed. Each token is in one class: all add up to what was used.",
    members=("input", "cache_read", "cache_write", "tool", "output", "reasoning", "citation"),
    source="D4",
)
ERROR_TYPE: Final = Attribute(
    name="error.type",
    brief="Why the call failed.",
    budget=50,
    examples=("openai.RateLimitError",),
    source=FROM_GEN_AI,
    required=False,
)
CURRENCY: Final = Attribute(
    name="gen_ai.usage.cost.currency",
    brief="ISO 4217. Amounts of two currencies are never added.",
    budget=30,
    examples=("USD", "EUR"),
    source=FROM_COST,
)
COST_SOURCE: Final = Attribute(
    name="gen_ai.usage.cost.source",
    brief="Whether the provider said what it charged, or it was worked out here.",
    members=("provider", "local"),
    source=FROM_COST,
)
COST_KIND: Final = Attribute(
    name="kpi.llm.cost.kind",
    brief="What was paid for: a model's work, or what else `llm.cost` was told of.",
    budget=20,
    examples=("inference", "embeddings", "tool", "retrieval"),
    source="open-telemetry/semantic-conventions-genai#287; Arize-ai/openinference#2071",
)
REASON: Final = Attribute(
    name="kpi.llm.reason",
    brief="Why, in one word.",
    budget=20,
    examples=("unknown_model", "no_usage", "negative"),
)
STATUS: Final = Attribute(
    name="kpi.llm.retry.status",
    brief="What the attempt before met: the status of HTTP, `timeout` or `connection`.",
    budget=20,
    examples=("429", "503", "timeout"),
    source="open-telemetry/semantic-conventions-genai#101",
)
LIMIT_KIND: Final = Attribute(
    name="kpi.llm.rate_limit.kind",
    brief="What is limited.",
    members=("requests", "tokens", "input_tokens", "output_tokens"),
    source="The headers x-ratelimit-* and anthropic-ratelimit-*",
)

CALL: Final = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, FEATURE)
"""What stands on every series of a call."""
