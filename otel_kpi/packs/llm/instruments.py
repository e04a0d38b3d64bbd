"""What calls of language models measure: time, tokens by class, money, and what went wrong on the way.

What OpenTelemetry's packages record themselves is declared here as well, for whoever has no instrumentor. `kpi.llm.*` is only
what has no official name; both generations of the official ones are in `names.py`.
"""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Gauge, Histogram, Pack, Span
from otel_kpi.packs.attributes import FEATURE, TENANT
from otel_kpi.packs.llm import (
    budget_instruments,
    evaluation_instruments,
    latest_instruments,
    mcp_instruments,
    names,
    openai_instruments,
)
from otel_kpi.packs.llm.call_attributes import (
    CALL,
    COST_KIND,
    COST_SOURCE,
    CURRENCY,
    ERROR_TYPE,
    FROM_COST,
    FROM_GEN_AI,
    LIMIT_KIND,
    MODALITY,
    OPERATION,
    PROVIDER,
    REASON,
    REQUEST_MODEL,
    RESPONSE_MODEL,
    SECONDS,
    SERIES,
    STATUS,
    TOKEN_CLASS,
    TOKEN_TYPE,
    TOKENS_OF_A_CALL,
)

CALL_DURATION: Final = Histogram(
    name=names.INSTALLED.call_duration,
    unit="s",
    brief="Time of a call of a language model.",
    attributes=(*CALL, ERROR_TYPE),
    buckets=SECONDS,
    source=FROM_GEN_AI,
    systems=("S0", "S2", "S4"),
    series=SERIES,
)
TOKEN_USAGE: Final = Histogram(
    name=str(names.INSTALLED.token_usage),
    unit="{token}",
    brief="Tokens of a call; those of the input contain what was cached.",
    attributes=(*CALL, TOKEN_TYPE),
    buckets=TOKENS_OF_A_CALL,
    source=FROM_GEN_AI,
    systems=("S2",),
    series=SERIES,
)

FIRST_CHUNK: Final = Histogram(
    name=names.INSTALLED.time_to_first_chunk,
    unit="s",
    brief="Time until the first part of a streamed answer.",
    attributes=CALL,
    buckets=SECONDS,
    source=FROM_GEN_AI,
    systems=("S0",),
    series=SERIES,
)
PER_CHUNK: Final = Histogram(
    name=names.INSTALLED.time_per_output_chunk,
    unit="s",
    brief="Time between two parts of a streamed answer.",
    attributes=CALL,
    buckets=SECONDS,
    source=FROM_GEN_AI,
    series=SERIES,
)

# --- money

COST_DISTRIBUTION: Final = Histogram(
    name=names.COST,
    unit="{cost}",
    brief="What a call cost.",
    attributes=(*CALL, CURRENCY, COST_SOURCE),
    buckets=(0.00001, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0),
    source=FROM_COST,
    systems=("S4",),
    series=SERIES,
)
COST: Final = Counter(
    name="kpi.llm.cost",
    unit="{cost}",
    brief="Money spent, to the last decimal: rates, totals and projections come from it.",
    exact=CURRENCY.name,
    attributes=(COST_KIND, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, FEATURE, CURRENCY, COST_SOURCE),
    source="D4; B6",
    systems=("S3", "S4"),
    series=SERIES,
)
UNPRICED: Final = Counter(
    name="kpi.llm.unpriced",
    unit="{call}",
    brief="Calls of which nobody knows what they cost: they are in no sum of money, and not free.",
    attributes=(PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, REASON),
    source="D4",
    series=SERIES,
)

# --- tokens, each in one class

TOKENS: Final = Counter(
    name="kpi.llm.tokens",
    unit="{token}",
    brief="Tokens by the heading under which they are billed; the sum over all classes is what was used.",
    attributes=(PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, TENANT, FEATURE, TOKEN_CLASS, MODALITY),
    source="B6",
    systems=("S2", "S4"),
    series=SERIES,
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
            source=FROM_COST,
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
        FIRST_CHUNK,
        PER_CHUNK,
        COST_DISTRIBUTION,
        COST,
        UNPRICED,
        *budget_instruments.INSTRUMENTS,
        TOKENS,
        USAGE_FAULTS,
        RETRIES,
        RETRY_WAIT,
        STREAMS_ABANDONED,
        RATE_LIMIT,
        RATE_LIMIT_REMAINING,
        RATE_LIMIT_RESET,
        *latest_instruments.INSTRUMENTS,
        *openai_instruments.INSTRUMENTS,
        *evaluation_instruments.INSTRUMENTS,
        *mcp_instruments.INSTRUMENTS,
    ),
    events=(*budget_instruments.EVENTS, *evaluation_instruments.EVENTS),
    spans=(CALL_SPAN,),
)
