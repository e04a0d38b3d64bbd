"""Both generations of the names of calls of language models, and which of them is recorded.

OpenTelemetry's GenAI conventions are moving: the packages that can be installed emit one generation, the text of the
conventions has the next. Whatever of ours bears such a name takes it from here. What is not in a generation is None.

Sources: opentelemetry-util-genai 1.3b0 for `INSTALLED`; for `LATEST` the conventions' repository
open-telemetry/semantic-conventions-genai, `docs/gen-ai/gen-ai-token-metrics.md` and `non-normative/migration.md`
(issues 374, 440 and 521 there), as they were read for this table in November 2026.
"""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The names of one generation.

    Attributes:
        call_duration: Histogram of the time of an inference, s.
        time_to_first_chunk: Histogram, s; streams only.
        time_per_output_chunk: Histogram, s; streams only.
        token_usage: Histogram of tokens by `gen_ai.token.type`; input contains what was cached.
        input_tokens: Counter of tokens by modality; contains what was cached.
        output_tokens: Counter of tokens by modality; contains reasoning.
        cache_read: Counter, a part of `input_tokens`.
        cache_write: Counter, a part of `input_tokens`.
        reasoning: Counter, a part of `output_tokens`.
        input_distribution: Histogram of the input tokens of a call.
        output_distribution: Histogram of the output tokens of a call.
    """

    call_duration: str
    time_to_first_chunk: str
    time_per_output_chunk: str
    token_usage: str | None = None
    input_tokens: str | None = None
    output_tokens: str | None = None
    cache_read: str | None = None
    cache_write: str | None = None
    reasoning: str | None = None
    input_distribution: str | None = None
    output_distribution: str | None = None


INSTALLED: Final = Generation(
    call_duration="gen_ai.client.operation.duration",
    time_to_first_chunk="gen_ai.client.operation.time_to_first_chunk",
    time_per_output_chunk="gen_ai.client.operation.time_per_output_chunk",
    token_usage="gen_ai.client.token.usage",  # noqa: S106 - tokens of a text, no secret
)
_INFERENCE: Final = "gen_ai.client.inference"
LATEST: Final = Generation(
    call_duration=f"{_INFERENCE}.duration",
    time_to_first_chunk=f"{_INFERENCE}.time_to_first_chunk",
    time_per_output_chunk=f"{_INFERENCE}.time_per_output_chunk",
    input_tokens=f"{_INFERENCE}.usage.input_tokens",
    output_tokens=f"{_INFERENCE}.usage.output_tokens",
    cache_read=f"{_INFERENCE}.usage.cache_read.input_tokens",
    cache_write=f"{_INFERENCE}.usage.cache_write.input_tokens",
    reasoning=f"{_INFERENCE}.usage.reasoning.output_tokens",
    input_distribution=f"{_INFERENCE}.operation.input_tokens",
    output_distribution=f"{_INFERENCE}.operation.output_tokens",
)

# --- attributes, the same in both

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - a kind of token, not a secret
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105 - the same

# --- the price, as open-telemetry/semantic-conventions-genai#443 proposes it

COST: Final = "gen_ai.client.operation.cost"
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"

# A spelled-out aim of each: Pydantic Logfire; OpenLIT, Langfuse and LiteLLM; OpenInference (Phoenix); Sentry.
ALIASES: Final = ("operation.cost", "gen_ai.usage.cost", "llm.cost.total", "gen_ai.cost.total_tokens")
"""Other names of the amount in US dollars, asked for by `OTEL_KPI_COST_ALIASES`."""

GENERATIONS: Final = "OTEL_KPI_GENAI_NAMES"
COST_ALIASES: Final = "OTEL_KPI_COST_ALIASES"


def generations() -> tuple[bool, bool]:
    """Whether the installed generation is recorded, and whether the latest; asked for by the environment."""
    return _generations(os.environ.get(GENERATIONS, "installed"))


@functools.lru_cache(maxsize=8)
def _generations(given: str) -> tuple[bool, bool]:
    chosen = given.strip().lower()
    return chosen != "latest", chosen in ("latest", "both")


def cost_aliases() -> tuple[str, ...]:
    """Further names under which the amount is written on spans, those that are known."""
    return _cost_aliases(os.environ.get(COST_ALIASES, ""))


@functools.lru_cache(maxsize=8)
def _cost_aliases(given: str) -> tuple[str, ...]:
    wanted = {each.strip() for each in given.split(",")}
    return tuple(alias for alias in ALIASES if alias in wanted)
