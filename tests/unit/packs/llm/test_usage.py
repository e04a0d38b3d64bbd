"""The classes of tokens are disjoint, and a report that cannot be true is none."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage as TheirUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from otel_kpi.packs.llm import prices
from otel_kpi.packs.llm.usage import Usage

_INPUT = {"input", "cache_read", "cache_write", "tool"}
_KEYS = st.sampled_from(
    (
        "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "input_tool_tokens",
        "input_audio_tokens", "input_image_tokens", "input_text_tokens", "cache_audio_read_tokens",
        "output_audio_tokens", "output_reasoning_tokens", "output_text_reasoning_tokens", "web_searches",
    )
)  # fmt: skip


@given(st.dictionaries(_KEYS, st.integers(0, 5_000)))
def test_the_sum_of_the_classes_is_what_was_sent_and_made(counts: dict[str, int]) -> None:
    usage = Usage.read(counts)
    sums: Counter[bool] = Counter()
    for token_class, _, count in usage.classes():
        assert count > 0
        sums[token_class in _INPUT] += count
    if usage.fault is None:
        assert sums[True] == counts.get("input_tokens", 0)
        assert sums[False] == counts.get("output_tokens", 0)
    else:
        assert not sums


def test_each_token_has_one_class_and_one_modality() -> None:
    usage = Usage.read(
        {
            "input_tokens": 1_000,
            "cache_read_tokens": 600,
            "cache_audio_read_tokens": 100,
            "input_audio_tokens": 150,
            "input_text_tokens": 850,
            "output_tokens": 80,
            "output_reasoning_tokens": 30,
        }
    )
    assert sorted(usage.classes()) == [
        ("cache_read", "audio", 100),
        ("cache_read", "unknown", 500),
        ("input", "audio", 50),
        ("input", "text", 350),
        ("output", "unknown", 50),
        ("reasoning", "unknown", 30),
    ]


@pytest.mark.parametrize(
    ("counts", "fault"),
    [
        ({"input_tokens": -1}, "negative"),
        ({"input_tokens": "12"}, "not_a_number"),
        ({"input_tokens": True}, "not_a_number"),
        ({"input_tokens": float("nan")}, "not_a_number"),
        ({"input_tokens": 2**60}, "not_a_number"),
        ({"input_tokens": 100, "cache_read_tokens": 101}, "inconsistent"),
        ({"input_tokens": 100, "cache_read_tokens": 60, "cache_write_tokens": 60}, "inconsistent"),
        ({"output_tokens": 5, "output_reasoning_tokens": 6}, "inconsistent"),
        ({"input_tokens": 100, "input_audio_tokens": 101}, "inconsistent"),
        ({"input_tokens": 100, "input_image_tokens": 60, "input_text_tokens": 41}, "inconsistent"),
        ({"output_tokens": 5, "output_audio_tokens": 6}, "inconsistent"),
        (
            {"input_tokens": 100, "cache_read_tokens": 10, "cache_audio_read_tokens": 11},
            "inconsistent",
        ),
        (
            {
                "input_tokens": 100,
                "cache_read_tokens": 50,
                "cache_audio_read_tokens": 20,
                "input_audio_tokens": 19,
            },
            "inconsistent",
        ),
        (
            {
                "input_tokens": 100,
                "cache_write_tokens": 10,
                "cache_write_5m_tokens": 6,
                "cache_write_1h_tokens": 5,
            },
            "inconsistent",
        ),
        ({"audio_seconds": -0.5}, "negative"),
        ({"audio_seconds": float("inf")}, "not_a_number"),
        ({"audio_seconds": Decimal("sNaN")}, "not_a_number"),
        ({"audio_seconds": "12.5"}, "not_a_number"),
        ({"input_document_pages": 1.5}, "not_a_number"),
    ],
)
def test_a_report_that_cannot_be_true_is_named_and_none_of_it_is_used(
    counts: dict[str, object], fault: str
) -> None:
    usage = Usage.read(counts)
    assert usage.fault == fault
    assert not usage.counts


def test_what_nobody_reported_is_not_zero() -> None:
    usage = Usage.read({"input_tokens": None, "output_tokens": 0})
    assert usage.of("input_tokens") is None
    assert usage.of("output_tokens") == 0
    assert list(usage.classes()) == []


def test_a_whole_number_may_be_written_with_a_point() -> None:
    assert Usage.read({"input_tokens": 12.0}).counts == {"input_tokens": 12}


def test_modalities_beside_a_cache_are_no_contradiction() -> None:
    counts = {
        "input_tokens": 1_000,
        "cache_read_tokens": 900,
        "input_text_tokens": 600,
        "input_image_tokens": 300,
        "input_audio_tokens": 100,
        "cache_text_read_tokens": 600,
        "cache_image_read_tokens": 300,
        "output_tokens": 50,
        "output_reasoning_tokens": 40,
        "output_text_tokens": 50,
    }
    assert Usage.read(counts) == Usage(counts)


@pytest.mark.parametrize(
    "counts",
    [
        {"input_tokens": 100, "input_audio_tokens": 101},
        {"input_tokens": 100, "input_audio_tokens": 60, "input_image_tokens": 41},
        {"input_tokens": 100, "output_tokens": 5, "output_audio_tokens": 6},
        {
            "input_tokens": 100,
            "cache_read_tokens": 50,
            "cache_audio_read_tokens": 20,
            "input_audio_tokens": 19,
        },
    ],
)
def test_what_calc_price_refuses_is_a_fault_of_every_model(counts: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="Invalid usage data"):
        calc_price(TheirUsage(**counts), "gpt-realtime", provider_id="openai")
    for model in ("gpt-realtime", "gpt-4o-mini"):
        unpriced = prices.price(provider="openai", endpoint=None, model=model, usage=Usage.read(counts))
        assert isinstance(unpriced, prices.Unpriced)
        assert unpriced.reason == "inconsistent_usage"


@pytest.mark.parametrize("seconds", [0.1, 12.345, 59.999999, 7_200, Decimal("33.300000000000000001")])
def test_a_part_of_a_second_is_billed_to_the_last_digit(seconds: Any) -> None:
    """A float is what its shortest spelling says, as `calc_price` has it: 0.1 s is a tenth of one."""
    ours = prices.price(
        provider="openai", endpoint=None, model="whisper-1", usage=Usage.read({"audio_seconds": seconds})
    )
    assert isinstance(ours, prices.Price)
    theirs = calc_price(TheirUsage(audio_seconds=seconds), "whisper-1", provider_id="openai")
    assert ours.amount == theirs.total_price == Decimal(str(seconds)) * Decimal("0.36") / 3600
