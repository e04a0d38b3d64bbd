"""The classes of tokens are disjoint, and a report that cannot be true is none."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
