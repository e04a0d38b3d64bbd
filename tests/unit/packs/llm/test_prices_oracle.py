"""What we work out is what genai-prices works out, for every model in its data."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot
from genai_prices.data_units import unit_data
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.prices.amounts import NO_RATE, NO_USAGE, UNKNOWN_PROCESSING, UNKNOWN_TIER
from otel_kpi.packs.llm.usage import Usage

MODELS = [(provider.id, model.id) for provider in get_snapshot().providers for model in provider.models]
UNITS = [key for key in unit_data if key != "requests"]
TIERS = (None, None, None, "default", "flex", "priority", "fast")
FIRST, LAST = datetime(2025, 1, 1, tzinfo=UTC).timestamp(), datetime(2027, 6, 1, tzinfo=UTC).timestamp()

OURS_ALONE = (UNKNOWN_TIER, UNKNOWN_PROCESSING, NO_RATE, NO_USAGE)
"""Where their answer is the standard rate, or nothing; docs/prices.md lists these differences."""


def theirs(  # noqa: PLR0913, PLR0917 - a call
    provider: str, model: str, counts: dict[str, Any], at: float, tier: str | None, processing: str | None
) -> tuple[Decimal, str] | None:
    context = {"service_tier": tier, "speed": tier} if tier else {}
    if processing:
        context["processing"] = processing
    try:
        price = calc_price(
            TheirUsage(**counts),
            model,
            provider_id=provider,
            genai_request_timestamp=datetime.fromtimestamp(at, UTC),
            price_context=context or None,
        )
    except (ValueError, LookupError):
        return None
    return price.total_price, price.model.id


def compare(  # noqa: PLR0913, PLR0917 - a call
    provider: str, model: str, counts: dict[str, Any], at: float, tier: str | None, processing: str | None
) -> bool:
    """Whether both have a price; they are then the same, to the last digit."""
    ours = prices.price(
        provider=provider,
        endpoint=None,
        model=model,
        usage=Usage(counts),
        tier=tier,
        processing=processing,
        at=at,
    )
    expected = theirs(provider, model, counts, at, tier, processing)
    if isinstance(ours, prices.Unpriced):
        assert expected is None or ours.reason in OURS_ALONE, (ours, expected)
        if ours.reason in {NO_RATE, NO_USAGE} and expected is not None:
            assert expected[0] == 0
        return False
    assert (ours.amount, ours.model) == expected
    assert sum(line.amount for line in ours.lines) == pytest.approx(ours.amount, abs=Decimal("1e-24"))
    return True


def some_usage(chance: random.Random) -> dict[str, Any]:
    sent, made = chance.randrange(600_000), chance.randrange(20_000)
    counts = {"input_tokens": sent, "output_tokens": made}
    for key, most in (
        ("cache_read_tokens", sent // 2),
        ("cache_write_tokens", sent // 3),
        ("cache_write_1h_tokens", sent // 5),
        ("output_reasoning_tokens", made),
    ):
        if chance.random() < 0.4:
            counts[key] = chance.randint(0, most)
    for _ in range(chance.randrange(3)):
        counts[chance.choice(UNITS)] = chance.randrange(5_000)
    return counts


def sweep(times: int) -> int:
    chance = random.Random(20261109)
    return sum(
        compare(
            provider,
            model,
            some_usage(chance),
            chance.uniform(FIRST, LAST),
            chance.choice(TIERS),
            chance.choice((None, None, None, "batch")),
        )
        for provider, model in MODELS * times
    )


def test_every_model_costs_what_calc_price_says() -> None:
    assert len(MODELS) > 2_000
    assert sweep(1) > 700


@pytest.mark.proof
def test_every_model_costs_what_calc_price_says_at_any_time_and_in_any_tier() -> None:
    assert sweep(20) > 15_000


NUMBERS = st.one_of(
    st.integers(0, 2**53),
    st.integers(0, 400_000),
    st.floats(0, 1e6, allow_nan=False),
    st.decimals(0, 10**6, places=6),
)


@settings(max_examples=100, deadline=None)
@given(
    model=st.sampled_from(MODELS),
    counts=st.dictionaries(st.sampled_from(UNITS), NUMBERS, max_size=6),
    at=st.floats(FIRST, LAST),
    tier=st.sampled_from(TIERS),
    processing=st.sampled_from((None, "batch")),
)
def test_any_usage_costs_what_calc_price_says(
    model: tuple[str, str], counts: dict[str, Any], at: float, tier: str | None, processing: str | None
) -> None:
    compare(*model, counts, at, tier, processing)


PRICED = [
    ("openai", "gpt-realtime"),
    ("google", "gemini-2.5-flash"),
    ("anthropic", "claude-sonnet-4-5"),
    ("openai", "gpt-5.6-sol"),
    ("groq", "whisper-large-v3"),
    ("openai", "whisper-1"),
    ("perplexity", "sonar-deep-research"),
    ("mistral", "mistral-ocr-latest"),
]


@settings(max_examples=100, deadline=None)
@given(
    model=st.sampled_from(PRICED),
    base=st.dictionaries(
        st.sampled_from(["input_tokens", "output_tokens", "audio_seconds", "input_document_pages"]),
        NUMBERS,
        min_size=2,
    ),
    parts=st.dictionaries(st.sampled_from(UNITS), st.integers(0, 300), max_size=4),
)
def test_parts_of_parts_cost_what_calc_price_says(
    model: tuple[str, str], base: dict[str, Any], parts: dict[str, int]
) -> None:
    compare(*model, {**parts, **base}, LAST, None, None)


@pytest.mark.parametrize(
    "address",
    [
        "https://api.openai.com/v1",
        "https://api.anthropic.com",
        "https://bedrock-runtime.eu-central-1.amazonaws.com/model/x/converse",
        "https://acme.openai.azure.com/openai/deployments/x",
        "https://acme.services.ai.azure.com",
        "https://eu-west1-aiplatform.googleapis.com/v1",
        "https://generativelanguage.googleapis.com",
        "https://openrouter.ai/api/v1",
        "https://api.cohere.com",
        "https://router.huggingface.co/groq/openai/v1",
        "https://adb-1.azuredatabricks.net/serving-endpoints",
        "https://acme--x.modal.run/v1",
        "https://api.eu.residency.elevenlabs.io/v1",
        "https://api.minimaxi.com/v1",
        "https://api.moonshot.cn/v1",
    ],
)
def test_an_address_is_whose_the_data_say(address: str) -> None:
    from genai_prices.data_snapshot import get_snapshot

    from otel_kpi.packs.llm.prices.providers import by_address

    book = prices.current().book()
    assert book is not None
    found = by_address(book.table, address)
    assert found is not None
    assert found.id == get_snapshot().find_provider(None, None, address).id
