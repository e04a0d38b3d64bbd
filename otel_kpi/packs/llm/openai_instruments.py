"""The words of an older system for calls of OpenAI's models."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Histogram
from otel_kpi.packs.llm.call_attributes import SECONDS

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
    buckets=SECONDS,
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

INSTRUMENTS: Final = (OPENAI_REQUESTS, OPENAI_DURATION, OPENAI_TOKENS, OPENAI_COST)
