"""What answers in OpenAI's format say, of whoever speaks it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_kpi.instrumentation.llm import openai_usage

SAID: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("embeddings", {"prompt_tokens": 8, "total_tokens": 8}, {"input_tokens": 8}),
    (
        "deepseek",
        {
            "prompt_tokens": 100,
            "completion_tokens": 5,
            "prompt_cache_hit_tokens": 64,
            "prompt_cache_miss_tokens": 36,
        },
        {"input_tokens": 100, "output_tokens": 5, "cache_read_tokens": 64},
    ),
    (
        "moonshot",
        {"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 60},
        {"input_tokens": 100, "output_tokens": 5, "cache_read_tokens": 60},
    ),
    (
        "xai: the completion does not contain its reasoning",
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 115,
            "completion_tokens_details": {"reasoning_tokens": 100},
        },
        {"input_tokens": 10, "output_tokens": 105, "output_reasoning_tokens": 100},
    ),
    (
        "openai: it does",
        {
            "prompt_tokens": 10,
            "completion_tokens": 105,
            "total_tokens": 115,
            "completion_tokens_details": {"reasoning_tokens": 100},
        },
        {"input_tokens": 10, "output_tokens": 105, "output_reasoning_tokens": 100},
    ),
    (
        "perplexity",
        {
            "prompt_tokens": 7,
            "completion_tokens": 20,
            "total_tokens": 27,
            "reasoning_tokens": 300,
            "citation_tokens": 40,
            "num_search_queries": 3,
        },
        {
            "input_tokens": 7,
            "output_tokens": 360,
            "output_reasoning_tokens": 300,
            "output_citation_tokens": 40,
            "web_searches": 3,
        },
    ),
    (
        "realtime",
        {
            "input_tokens": 100,
            "output_tokens": 9,
            "input_token_details": {
                "cached_tokens": 64,
                "text_tokens": 90,
                "audio_tokens": 10,
                "cached_tokens_details": {"text_tokens": 60, "audio_tokens": 4},
            },
            "output_token_details": {"text_tokens": 2, "audio_tokens": 7},
        },
        {
            "input_tokens": 100,
            "output_tokens": 9,
            "cache_read_tokens": 64,
            "input_text_tokens": 90,
            "input_audio_tokens": 10,
            "cache_text_read_tokens": 60,
            "cache_audio_read_tokens": 4,
            "output_text_tokens": 2,
            "output_audio_tokens": 7,
        },
    ),
]


@pytest.mark.parametrize(("usage", "counts"), [each[1:] for each in SAID], ids=[each[0] for each in SAID])
def test_counts_are_in_one_way_whoever_reports_them(usage: dict[str, Any], counts: dict[str, int]) -> None:
    assert openai_usage.counts_of(usage) == counts


def test_groq_ends_a_stream_with_a_usage_of_its_own() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    answer = openai_usage.answer_in({"choices": [{}], "x_groq": {"id": "r", "usage": usage}})
    assert answer is not None
    assert openai_usage.usage_of(answer) == usage


def test_of_the_events_of_responses_only_the_last_counts() -> None:
    response = {"usage": {"input_tokens": 1}}
    assert openai_usage.answer_in({"type": "response.created", "response": response}) is None
    assert openai_usage.answer_in({"type": "response.output_text.delta", "delta": "a"}) is None
    assert openai_usage.answer_in({"type": "response.incomplete", "response": response}) == response


@pytest.mark.parametrize(
    ("usage", "amount"),
    [
        ({"cost": 0.00014}, "0.00014"),
        ({"cost": 1e-7}, "0.0000001"),
        ({"cost": 0}, "0"),
        ({"cost": {"input_tokens_cost": 0.1, "total_cost": 0.006}}, "0.006"),
        ({"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}, "0.21"),
        ({"cost": 0.01, "is_byok": True, "cost_details": None}, "0.01"),
        ({"cost": -1}, None),
        ({"cost": True}, None),
        ({"cost": "much"}, None),
        ({"cost": float("inf")}, None),
        ({}, None),
    ],
)
def test_what_was_charged_is_what_was_written(usage: dict[str, Any], amount: str | None) -> None:
    assert openai_usage.charged_in(usage) == (None if amount is None else Decimal(amount))


def test_pages_that_are_opened_are_no_searches() -> None:
    def call(action: object) -> dict[str, Any]:
        return {"type": "web_search_call", "action": action}

    output = [call({"type": "search"}), call({"type": "open_page"}), call(None), {"type": "message"}, None, 3]
    assert openai_usage.web_searches_in({"output": output}) == 2
    assert openai_usage.web_searches_in({"output": [{"type": "message"}]}) is None
    assert openai_usage.web_searches_in({"output": "many"}) is None


_NAMES = [
    "usage",
    "cost",
    "total_cost",
    "is_byok",
    "cost_details",
    "prompt_tokens",
    "completion_tokens",
    "prompt_tokens_details",
    "total_tokens",
    "completion_tokens_details",
    "reasoning_tokens",
    "cached_tokens",
    "cached_tokens_details",
    "output",
    "type",
    "response",
    "x_groq",
    "action",
]
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_NAMES),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(st.sampled_from(["usage", "type", "response", "x_groq", "output"]), _VALUES))
def test_nothing_that_may_come_makes_it_raise(data: dict[str, Any]) -> None:
    answer = openai_usage.answer_in(data)
    if answer is None:
        return
    openai_usage.tier_of(answer)
    openai_usage.web_searches_in(answer)
    usage = openai_usage.usage_of(answer)
    if usage is not None:
        openai_usage.counts_of(usage)
        openai_usage.charged_in(usage)
