"""What an answer in OpenAI's format says of its usage, its tier and its price. Pure.

Whoever speaks the format has fields of its own: OpenRouter and Perplexity say what they charged, DeepSeek and Moonshot
have other names for what came out of a cache, xAI and Perplexity count reasoning beside the completion instead of in
it, Groq ends a stream with `x_groq`.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.llm.prices.tariff import ARITHMETIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_INPUT: Final = ("prompt_tokens", "input_tokens")
_OUTPUT: Final = ("completion_tokens", "output_tokens")
_OF_INPUT: Final = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OF_OUTPUT: Final = ("completion_tokens_details", "output_tokens_details", "output_token_details")
_OF_CACHE: Final = "cached_tokens_details"

_INPUT_PARTS: Final = {
    "cached_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "text_tokens": "input_text_tokens",
    "audio_tokens": "input_audio_tokens",
    "image_tokens": "input_image_tokens",
    "video_tokens": "input_video_tokens",
}
_CACHED_PARTS: Final = {
    "text_tokens": "cache_text_read_tokens",
    "audio_tokens": "cache_audio_read_tokens",
    "image_tokens": "cache_image_read_tokens",
}
_OUTPUT_PARTS: Final = {
    "reasoning_tokens": "output_reasoning_tokens",
    "text_tokens": "output_text_tokens",
    "audio_tokens": "output_audio_tokens",
    "image_tokens": "output_image_tokens",
}
_CACHED_ELSEWHERE: Final = ("prompt_cache_hit_tokens", "cached_tokens", "cached_prompt_text_tokens")
_BESIDE_OUTPUT: Final = (
    ("reasoning_tokens", "output_reasoning_tokens"),
    ("citation_tokens", "output_citation_tokens"),
)
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed")


def answer_in(data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Give what has the usage: the answer, a chunk, or the response that ends a stream of the Responses API."""
    kind = data.get("type")
    if isinstance(kind, str) and kind.startswith("response."):
        response = data.get("response")
        return response if kind in _ENDS and isinstance(response, dict) else None
    groq = data.get("x_groq")
    if isinstance(groq, dict) and "usage" not in data and isinstance(groq.get("usage"), dict):
        return groq
    return data


def usage_of(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The usage of an answer; None where there is none."""
    usage = answer.get("usage")
    return usage if isinstance(usage, dict) and usage else None


def counts_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Give the counts of a usage, by the units of `packs/llm/usage.py`, as they are: what is wrong is not put right.

    Args:
        usage: Of chat completions, responses or embeddings.
    """
    counts: dict[str, Any] = {}
    _put(counts, "input_tokens", _first(usage, _INPUT))
    _put(counts, "output_tokens", _first(usage, _OUTPUT))
    if of_input := _part(usage, _OF_INPUT):
        _take(counts, of_input, _INPUT_PARTS)
        if isinstance(of_cache := of_input.get(_OF_CACHE), dict):
            _take(counts, of_cache, _CACHED_PARTS)
    _take(counts, _part(usage, _OF_OUTPUT), _OUTPUT_PARTS)
    if "cache_read_tokens" not in counts:
        _put(counts, "cache_read_tokens", _first(usage, _CACHED_ELSEWHERE))
    _add_what_is_beside(counts, usage)
    _put(counts, "web_searches", usage.get("num_search_queries"))
    return counts


def _add_what_is_beside(counts: dict[str, Any], usage: Mapping[str, Any]) -> None:
    made, sent = counts.get("output_tokens"), counts.get("input_tokens")
    if type(made) is not int:
        return
    total = made
    for name, key in _BESIDE_OUTPUT:
        # OpenAI has them in the details, and in the completion; at the top they are Perplexity's, and beside it.
        if (value := _count(usage.get(name))) > 0:
            counts[key] = value
            total += value
    reasoning = _count(counts.get("output_reasoning_tokens"))
    if total == made and reasoning > 0 and usage.get("total_tokens") == _count(sent) + made + reasoning:
        # The sum tells: xAI's completion does not contain its reasoning.
        total += reasoning
    counts["output_tokens"] = total


def web_searches_in(answer: Mapping[str, Any]) -> int | None:
    """How often the Responses API searched the web; opening a page of what was found is not billed."""
    output = answer.get("output")
    if not isinstance(output, list):
        return None
    calls: list[Any] = [item for item in _dicts(output) if item.get("type") == "web_search_call"]
    searches = [
        call
        for call in calls
        if not isinstance(action := call.get("action"), dict) or action.get("type", "search") == "search"
    ]
    return len(searches) or None


def charged_in(usage: Mapping[str, Any]) -> Decimal | None:
    """What the provider says that it charged, in US dollars; None where it does not say.

    OpenRouter's credits are dollars; with a key of the user's own it charges a fee, and the provider behind it the rest.
    """
    cost = usage.get("cost")
    if cost is None:
        return None
    if isinstance(cost, dict):
        return _money(cost.get("total_cost"))
    amount = _money(cost)
    if amount is None or usage.get("is_byok") is not True:
        return amount
    behind = _money(_part(usage, ("cost_details",)).get("upstream_inference_cost"))
    return amount if behind is None else ARITHMETIC.add(amount, behind)


def tier_of(answer: Mapping[str, Any]) -> str | None:
    """The service tier of an answer."""
    tier = answer.get("service_tier")
    return tier if isinstance(tier, str) and tier and tier != "auto" else None


def _money(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        # By way of its text: 0.00015 is what was written, not the nearest fraction of two.
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def _count(value: object) -> int:
    return value if type(value) is int else 0


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    for name in names:
        if (value := usage.get(name)) is not None:
            return value
    return None


def _part(usage: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    found = _first(usage, names)
    return found if isinstance(found, dict) else {}


def _put(counts: dict[str, Any], key: str, value: Any) -> None:
    if value is not None:
        counts[key] = value


def _take(counts: dict[str, Any], part: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Take what a part reports, which is less than what there is a name for."""
    for name, value in part.items():
        if value is not None and (key := names.get(name)) is not None:
            counts[key] = value


def _dicts(values: Iterable[Any]) -> Iterable[dict[str, Any]]:
    return (value for value in values if isinstance(value, dict))
