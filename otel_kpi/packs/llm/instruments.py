"""What calls of language models measure: time, tokens by class, money, and what went wrong on the way.

What OpenTelemetry's packages record themselves is declared here as well, for whoever has no instrumentor. `kpi.llm.*` is only
what has no official name; both generations of the official ones are in `names.py`.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from otel_kpi.model import Attribute, Counter, Derivation, Event, Gauge, Histogram, Pack, Span
from otel_kpi.packs.llm import evaluation_instruments, mcp_instruments, names

_GEN_AI: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/"
_LATEST: Final = "OpenTelemetry open-telemetry/semantic-conventions-genai#374, #521"
_COST: Final = "OpenTelemetry (proposed) open-telemetry/semantic-conventions-genai#443"
_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_TOKENS: Final = tuple(float(4**power) for power in range(14))
_SERIES: Final = 2_000

# --- attributes

OPERATION: Final = Attribute(
    name=names.OPERATION,
    brief="What was asked for.",
    budget=20,
    examples=("chat", "embeddings"),
    source=_GEN_AI,
)
PROVIDER: Final = Attribute(
    name=names.PROVIDER,
    brief="Who serves the model, by the address that was called.",
    budget=30,
    examples=("openai", "azure.ai.openai"),
    source=_GEN_AI,
    required=False,
)
REQUEST_MODEL: Final = Attribute(
    name=names.REQUEST_MODEL,
    brief="The model that was asked for.",
    budget=60,
    examples=("gpt-4o-mini",),
    source=_GEN_AI,
    required=False,
)
RESPONSE_MODEL: Final = Attribute(
    name=names.RESPONSE_MODEL,
    brief="The model that answered.",
    budget=60,
    examples=("gpt-4o-mini-2024-07-18",),
    source=_GEN_AI,
    required=False,
)
TOKEN_TYPE: Final = Attribute(
    name=names.TOKEN_TYPE,
    brief="Whether they were sent or made.",
    members=("input", "output"),
    source=_GEN_AI,
)
MODALITY: Final = Attribute(
    name=names.TOKEN_MODALITY,
    brief="What the tokens stand for; `unknown` where the provider does not say.",
    members=("text", "image", "audio", "video", "unknown"),
    source=_LATEST,
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
    source=_GEN_AI,
    required=False,
)
TENANT: Final = Attribute(
    name="kpi.tenant",
    brief="For whom the call was made, as `llm.context(tenant=…)` says.",
    budget=200,
    examples=("acme",),
    source="D4: cost per tenant",
    required=False,
)
FEATURE: Final = Attribute(
    name="kpi.feature",
    brief="For what the call was made, as `llm.context(feature=…)` says.",
    budget=60,
    examples=("summary",),
    source="D4",
    required=False,
)
CURRENCY: Final = Attribute(
    name="gen_ai.usage.cost.currency",
    brief="ISO 4217. Amounts of two currencies are never added.",
    budget=30,
    examples=("USD", "EUR"),
    source=_COST,
)
COST_SOURCE: Final = Attribute(
    name="gen_ai.usage.cost.source",
    brief="Whether the provider said what it charged, or it was worked out here.",
    members=("provider", "local"),
    source=_COST,
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

_CALL: Final = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, FEATURE)

# --- what OpenTelemetry's packages record

CALL_DURATION: Final = Histogram(
    name=names.INSTALLED.call_duration,
    unit="s",
    brief="Time of a call of a language model.",
    attributes=(*_CALL, ERROR_TYPE),
    buckets=_SECONDS,
    source=_GEN_AI,
    systems=("S0", "S2", "S4"),
    series=_SERIES,
)
TOKEN_USAGE: Final = Histogram(
    name=str(names.INSTALLED.token_usage),
    unit="{token}",
    brief="Tokens of a call; those of the input contain what was cached.",
    attributes=(*_CALL, TOKEN_TYPE),
    buckets=_TOKENS,
    source=_GEN_AI,
    systems=("S2",),
    series=_SERIES,
)

# --- the same in the latest generation, by OTEL_KPI_GENAI_NAMES

LATEST_DURATION: Final = Histogram(
    name=names.LATEST.call_duration,
    unit="s",
    brief="Time of an inference.",
    attributes=(*_CALL, ERROR_TYPE),
    buckets=_SECONDS,
    source=_LATEST,
    series=_SERIES,
)
LATEST_FIRST_CHUNK: Final = Histogram(
    name=names.LATEST.time_to_first_chunk,
    unit="s",
    brief="Time until the first part of a streamed answer.",
    attributes=_CALL,
    buckets=_SECONDS,
    source=_LATEST,
    series=_SERIES,
)
LATEST_PER_CHUNK: Final = Histogram(
    name=names.LATEST.time_per_output_chunk,
    unit="s",
    brief="Time between two parts of a streamed answer.",
    attributes=_CALL,
    buckets=_SECONDS,
    source=_LATEST,
    series=_SERIES,
)
LATEST_INPUT: Final = Counter(
    name=str(names.LATEST.input_tokens),
    unit="{token}",
    brief="Tokens that were sent, cached ones too.",
    attributes=(*_CALL, MODALITY),
    source=_LATEST,
    series=_SERIES,
)
LATEST_OUTPUT: Final = Counter(
    name=str(names.LATEST.output_tokens),
    unit="{token}",
    brief="Tokens that were made, those of reasoning too.",
    attributes=(*_CALL, MODALITY),
    source=_LATEST,
    series=_SERIES,
)
LATEST_CACHE_READ: Final = Counter(
    name=str(names.LATEST.cache_read),
    unit="{token}",
    brief="Tokens of the input that came out of a cache.",
    attributes=(*_CALL, MODALITY),
    source=_LATEST,
    series=_SERIES,
)
LATEST_CACHE_WRITE: Final = Counter(
    name=str(names.LATEST.cache_write),
    unit="{token}",
    brief="Tokens of the input that were put into a cache.",
    attributes=(*_CALL, MODALITY),
    source=_LATEST,
    series=_SERIES,
)
LATEST_REASONING: Final = Counter(
    name=str(names.LATEST.reasoning),
    unit="{token}",
    brief="Tokens of the output that were reasoning.",
    attributes=(*_CALL, MODALITY),
    source=_LATEST,
    series=_SERIES,
)
LATEST_INPUT_DISTRIBUTION: Final = Histogram(
    name=str(names.LATEST.input_distribution),
    unit="{token}",
    brief="Tokens that a call sent.",
    attributes=_CALL,
    buckets=_TOKENS,
    source=_LATEST,
    series=_SERIES,
)
LATEST_OUTPUT_DISTRIBUTION: Final = Histogram(
    name=str(names.LATEST.output_distribution),
    unit="{token}",
    brief="Tokens that a call made.",
    attributes=_CALL,
    buckets=_TOKENS,
    source=_LATEST,
    series=_SERIES,
)

# --- money

COST_DISTRIBUTION: Final = Histogram(
    name=names.COST,
    unit="{cost}",
    brief="What a call cost.",
    attributes=(*_CALL, CURRENCY, COST_SOURCE),
    buckets=(0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0),
    source=_COST,
    systems=("S4",),
    series=_SERIES,
)
COST: Final = Counter(
    name="kpi.llm.cost",
    unit="{cost}",
    brief="Money spent, to the last decimal: rates, totals and projections come from it.",
    exact=CURRENCY.name,
    attributes=(COST_KIND, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, FEATURE, CURRENCY, COST_SOURCE),
    source="D4; B6",
    systems=("S3", "S4"),
    series=_SERIES,
)
UNPRICED: Final = Counter(
    name="kpi.llm.unpriced",
    unit="{call}",
    brief="Calls of which nobody knows what they cost: they are in no sum of money, and not free.",
    attributes=(PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, REASON),
    source="D4",
    series=_SERIES,
)

# --- what may be spent

BUDGET_SCOPE: Final = Attribute(
    name="kpi.llm.budget.scope",
    brief="What it limits: all calls, those of a tenant, or a piece of work in code.",
    members=("overall", "tenant", "guard"),
)
BUDGET_PERIOD: Final = Attribute(
    name="kpi.llm.budget.period",
    brief="In which time, of UTC.",
    members=("day", "month"),
    required=False,
)
_BUDGET_CURRENCY: Final = Attribute(
    name=CURRENCY.name,
    brief="The currency in which the budget is written.",
    budget=10,
    examples=("EUR",),
    source=_COST,
    required=False,
)
BUDGET_LIMIT: Final = Gauge(
    name="kpi.llm.budget.limit",
    unit="{cost}",
    brief="What may be spent before somebody is told, in each currency with a rate to that of the budget; "
    '`kpi_tenant="*"` is each tenant without a budget of its own. Every process says it: they do not add up.',
    attributes=(BUDGET_SCOPE, BUDGET_PERIOD, TENANT, _BUDGET_CURRENCY),
    minimum=0,
    observable=True,
    source="D4; C1 openai_daily_cost",
    systems=("S3", "S4"),
    series=500,
)
BUDGET_CROSSED: Final = Counter(
    name="kpi.llm.budget.crossed",
    unit="{crossing}",
    brief="Budgets that this process alone has spent, once for each period.",
    attributes=(BUDGET_SCOPE, BUDGET_PERIOD, TENANT, _BUDGET_CURRENCY),
    source="D4",
    systems=("S3", "S4"),
    series=500,
)
BUDGET_UNCOUNTED: Final = Counter(
    name="kpi.llm.budget.uncounted",
    unit="{call}",
    brief="Calls that a budget could not count, since nobody said the rate to its currency.",
    attributes=(CURRENCY,),
    source="Money without a rate is in no sum",
)
CURRENCY_RATE: Final = Gauge(
    name="kpi.llm.currency.rate",
    unit="{unit}",
    brief="How much of the second currency 1 of the first is, as the user said.",
    attributes=(
        Attribute(name="kpi.llm.currency.from", brief="The first.", budget=10, examples=("USD",)),
        Attribute(name="kpi.llm.currency.to", brief="The second.", budget=10, examples=("EUR",)),
    ),
    minimum=0,
    observable=True,
    source="D4: conversion only with a rate that the user gave",
)
BUDGET_LIMIT_AMOUNT: Final = Attribute(
    name="kpi.llm.budget.limit",
    brief="What may be spent, to its last decimal.",
    examples=("50", "20000 tokens"),
)
BUDGET_SPENT_AMOUNT: Final = Attribute(
    name="kpi.llm.budget.spent", brief="What was spent in this process.", examples=("50.0125",)
)
BUDGET_CROSSED_EVENT: Final = Event(
    name="kpi.llm.budget.crossed",
    brief="This process alone has spent what a budget allows, in this day or month; or a piece of work has.",
    attributes=(
        BUDGET_SCOPE,
        BUDGET_PERIOD,
        TENANT,
        _BUDGET_CURRENCY,
        BUDGET_LIMIT_AMOUNT,
        BUDGET_SPENT_AMOUNT,
    ),
    source="D4",
    systems=("S3", "S4"),
)

# --- tokens, each in one class

TOKENS: Final = Counter(
    name="kpi.llm.tokens",
    unit="{token}",
    brief="Tokens by the heading under which they are billed; the sum over all classes is what was used.",
    attributes=(PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, FEATURE, TOKEN_CLASS, MODALITY),
    source="B6",
    systems=("S2", "S4"),
    series=_SERIES,
)
USAGE_FAULTS: Final = Counter(
    name="kpi.llm.usage_faults",
    unit="{call}",
    brief="Answers whose usage cannot be true; nothing of it is counted.",
    attributes=(PROVIDER, REQUEST_MODEL, REASON),
    source="A usage that is wrong is not a usage",
)

# --- what happens on the way

RETRIES: Final = Counter(
    name="kpi.llm.retries",
    unit="{attempt}",
    brief="Attempts that an SDK made again by itself.",
    attributes=(PROVIDER, REQUEST_MODEL, STATUS),
    source="B6",
    systems=("S2",),
)
RETRY_WAIT: Final = Histogram(
    name="kpi.llm.retry.wait",
    unit="s",
    brief="Time that an SDK waited before it tried again.",
    attributes=(PROVIDER, REQUEST_MODEL, STATUS),
    buckets=(0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
    source="B6",
)
STREAMS_ABANDONED: Final = Counter(
    name="kpi.llm.streams.abandoned",
    unit="{stream}",
    brief="Streamed answers that were not read to their end: left, closed, cancelled or broken off.",
    attributes=(PROVIDER, REQUEST_MODEL, REASON),
    source="B6",
)
RATE_LIMIT: Final = Gauge(
    name="kpi.llm.rate_limit.limit",
    unit="{unit}",
    brief="What the provider allows in its time window, as it last said.",
    attributes=(PROVIDER, REQUEST_MODEL, LIMIT_KIND),
    minimum=0,
    source="B6; open-telemetry/semantic-conventions-genai#101",
)
RATE_LIMIT_REMAINING: Final = Gauge(
    name="kpi.llm.rate_limit.remaining",
    unit="{unit}",
    brief="What is left of it, as the provider last said.",
    attributes=(PROVIDER, REQUEST_MODEL, LIMIT_KIND),
    minimum=0,
    source="B6; open-telemetry/semantic-conventions-genai#101",
)
RATE_LIMIT_RESET: Final = Gauge(
    name="kpi.llm.rate_limit.reset",
    unit="s",
    brief="Time until all of it is there again, as the provider last said.",
    attributes=(PROVIDER, REQUEST_MODEL, LIMIT_KIND),
    minimum=0,
    source="B6; open-telemetry/semantic-conventions-genai#101",
)

# --- the words of an older system, for calls of OpenAI's models

_OLD_MODEL: Final = Attribute(
    name="model", brief="The model.", budget=60, examples=("gpt-4",), source="S4: a label of its series"
)
_OLD_STATUS: Final = Attribute(
    name="status", brief="How it ended.", members=("success", "error"), source="S4: a label of its series"
)
_OLD_TYPE: Final = Attribute(
    name="type", brief="Sent or made.", members=("prompt", "completion"), source="S4: a label of its series"
)
_S4: Final = "S4 fixes the name that Prometheus shows"

OPENAI_REQUESTS: Final = Counter(
    name="openai_requests",
    unit="{request}",
    brief="Calls of OpenAI's models.",
    attributes=(_OLD_MODEL, _OLD_STATUS),
    prometheus="openai_requests_total",
    source="B8",
    systems=("S4",),
    exempt=_S4,
    compatibility=True,
)
OPENAI_DURATION: Final = Histogram(
    name="openai_request_duration",
    unit="s",
    brief="Time of calls of OpenAI's models.",
    attributes=(_OLD_MODEL, _OLD_STATUS),
    buckets=_SECONDS,
    prometheus="openai_request_duration_seconds",
    source="B8",
    systems=("S4",),
    exempt=_S4,
    compatibility=True,
)
OPENAI_TOKENS: Final = Counter(
    name="openai_tokens",
    unit="{token}",
    brief="Tokens of OpenAI's models.",
    attributes=(_OLD_MODEL, _OLD_TYPE),
    prometheus="openai_tokens_total",
    source="B8; C1 openai_token_rate",
    systems=("S4",),
    exempt=_S4,
    compatibility=True,
)
OPENAI_COST: Final = Counter(
    name="openai_cost",
    unit="{cost}",
    brief="Money spent on OpenAI's models.",
    exact="currency",
    attributes=(
        _OLD_MODEL,
        Attribute(
            name="currency",
            brief="ISO 4217.",
            budget=30,
            examples=("USD",),
            source="Money without a currency cannot be added",
        ),
    ),
    prometheus="openai_cost_total",
    source="B8; C1 openai_daily_cost",
    systems=("S4",),
    exempt=_S4,
    compatibility=True,
)

OPENAI_PROVIDERS: Final = ("openai", "azure.ai.openai")
"""Whose calls have the words of the older system, too."""
_OPENAI: Final = {names.PROVIDER: OPENAI_PROVIDERS}
_FAILED: Final = MappingProxyType({"error.type": ()})
_MODEL: Final = (names.REQUEST_MODEL, names.RESPONSE_MODEL)

_DERIVATIONS: Final = (
    Derivation(
        source=CALL_DURATION.name,
        target=OPENAI_REQUESTS,
        attributes=(_MODEL, ("=success",)),
        where=MappingProxyType(_OPENAI),
        unless=_FAILED,
        amount="one",
    ),
    Derivation(
        source=CALL_DURATION.name,
        target=OPENAI_REQUESTS,
        attributes=(_MODEL, ("=error",)),
        where=MappingProxyType({**_OPENAI, **_FAILED}),
        amount="one",
    ),
    Derivation(
        source=CALL_DURATION.name,
        target=OPENAI_DURATION,
        attributes=(_MODEL, ("=success",)),
        where=MappingProxyType(_OPENAI),
        unless=_FAILED,
    ),
    Derivation(
        source=CALL_DURATION.name,
        target=OPENAI_DURATION,
        attributes=(_MODEL, ("=error",)),
        where=MappingProxyType({**_OPENAI, **_FAILED}),
    ),
    Derivation(
        source=TOKEN_USAGE.name,
        target=OPENAI_TOKENS,
        attributes=(_MODEL, ("=prompt",)),
        where=MappingProxyType({**_OPENAI, names.TOKEN_TYPE: ("input",)}),
    ),
    Derivation(
        source=TOKEN_USAGE.name,
        target=OPENAI_TOKENS,
        attributes=(_MODEL, ("=completion",)),
        where=MappingProxyType({**_OPENAI, names.TOKEN_TYPE: ("output", "completion")}),
    ),
)

# --- spans: what ours adds to those of OpenTelemetry's packages, and all of a call by hand

_REGISTRY: Final = "OpenTelemetry https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/"


def _tokens(part: str, brief: str) -> Attribute:
    return Attribute(name=f"gen_ai.usage.{part}_tokens", brief=brief, type="int", source=_REGISTRY)


CALL_SPAN: Final = Span(
    id="kpi.llm.call",
    name="{gen_ai.operation.name} {gen_ai.request.model}",
    kind="client",
    brief="One call of a language model, from the request to the end of the answer.",
    attributes=(
        OPERATION,
        PROVIDER,
        REQUEST_MODEL,
        RESPONSE_MODEL,
        _tokens("input", "All that was sent, cached tokens too."),
        _tokens("output", "All that was made, reasoning too."),
        _tokens("cache_read.input", "The part of the input that came out of a cache."),
        _tokens("cache_write.input", "The part of the input that was put into a cache."),
        _tokens("reasoning.output", "The part of the output that was reasoning."),
        Attribute(
            name=names.COST_AMOUNT,
            brief="What the call cost; missing where nobody knows.",
            type="double",
            source=_COST,
            required=False,
        ),
        CURRENCY,
        COST_SOURCE,
        Attribute(
            name="kpi.llm.price.version",
            brief="Of which prices, and of which day they are.",
            examples=("genai-prices 0.2.3 2026-11-09",),
            required=False,
        ),
        Attribute(
            name="kpi.llm.price.exchange",
            brief="With which of your rates the amount was converted, and since when that is.",
            examples=("1 USD = 0.92 EUR since 2026-11-01",),
            required=False,
        ),
        Attribute(
            name="kpi.llm.unpriced.reason",
            brief="Why there is no amount.",
            examples=("unknown_model", "no_usage"),
            required=False,
        ),
        Attribute(
            name="kpi.llm.usage.fault",
            brief="Why the usage that was reported cannot be true.",
            members=("negative", "inconsistent", "not_a_number"),
            required=False,
        ),
        Attribute(
            name="kpi.llm.ended",
            brief="How a call ended that did not come to its end: a stream was dropped unread or closed by the "
            "application, the call was cancelled, or the answer broke off. Only the last is an error.",
            members=("left", "closed", "cancelled", "broken_off"),
            source="B6",
            required=False,
        ),
        Attribute(
            name="kpi.llm.stream.chunks",
            brief="How many parts of such a stream had come by then.",
            type="int",
            source="B6",
            required=False,
        ),
        TENANT,
        FEATURE,
        Attribute(
            name="user.hash",
            brief="Who the user is, as a hash.",
            examples=("bb82030dbc2bcaba",),
            source="OpenTelemetry https://opentelemetry.io/docs/specs/semconv/registry/attributes/user/",
            required=False,
        ),
        ERROR_TYPE,
    ),
    source="B6, D4; OpenTelemetry's convention for inferences",
    systems=("S2", "S4"),
)

PACK: Final = Pack(
    name="llm",
    title="Language models",
    brief="Calls of language models: time, tokens by class, money with its currency and source, retries, limits, "
    "abandoned streams; by provider, model, tenant and feature.",
    instruments=(
        CALL_DURATION,
        TOKEN_USAGE,
        COST_DISTRIBUTION,
        COST,
        UNPRICED,
        BUDGET_LIMIT,
        BUDGET_CROSSED,
        BUDGET_UNCOUNTED,
        CURRENCY_RATE,
        TOKENS,
        USAGE_FAULTS,
        RETRIES,
        RETRY_WAIT,
        STREAMS_ABANDONED,
        RATE_LIMIT,
        RATE_LIMIT_REMAINING,
        RATE_LIMIT_RESET,
        LATEST_DURATION,
        LATEST_FIRST_CHUNK,
        LATEST_PER_CHUNK,
        LATEST_INPUT,
        LATEST_OUTPUT,
        LATEST_CACHE_READ,
        LATEST_CACHE_WRITE,
        LATEST_REASONING,
        LATEST_INPUT_DISTRIBUTION,
        LATEST_OUTPUT_DISTRIBUTION,
        OPENAI_REQUESTS,
        OPENAI_DURATION,
        OPENAI_TOKENS,
        OPENAI_COST,
        *evaluation_instruments.INSTRUMENTS,
        *mcp_instruments.INSTRUMENTS,
    ),
    events=(BUDGET_CROSSED_EVENT, *evaluation_instruments.EVENTS),
    spans=(CALL_SPAN,),
    derivations=_DERIVATIONS,
)
