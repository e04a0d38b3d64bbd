"""Google's Gen AI SDK, on the Gemini API and on Vertex AI: what upstream's instrumentor leaves out or gets wrong.

- It reads the usage of the answer that the method returns. Where the SDK calls functions for the model, or continues
  what was cut off, that is the last of several, and each was billed. open-telemetry/opentelemetry-python-contrib#4015
- What tools sent back is input too. Searches are billed apart. Video and documents have a modality.
- While a model thinks, the chunks of a stream have no answer to count: thoughts were added up with each of them.
- Embeddings on Vertex AI say their tokens for each text.
- Attempts that are made again are not counted.
- Of interactions it takes the answer without the thoughts for all that was made.
- The port of an address of one's own is left out.
- It switches the events of every package on, for the whole process (`_compat/google_genai.py`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from otel_kpi._compat import google_genai as private
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.llm import invocations, reports, underway
from otel_kpi.instrumentation.llm.reports import kept, total

if TYPE_CHECKING:
    from otel_kpi.instrumentation.llm.reports import Report

_MODALITIES: Final = {
    "TEXT": "text",
    "MODALITY_UNSPECIFIED": "text",
    "AUDIO": "audio",
    "IMAGE": "image",
    "DOCUMENT": "image",
    "VIDEO": "video",
}
"""Google's words; pages of a document are billed as images."""

_DETAILS: Final = (
    ("prompt_tokens_details", "input_{}_tokens"),
    ("tool_use_prompt_tokens_details", "input_{}_tokens"),
    ("tool_use_prompt_tokens_details", "input_{}_tool_tokens"),
    ("cache_tokens_details", "cache_{}_read_tokens"),
    ("candidates_tokens_details", "output_{}_tokens"),
)
_DETAILS_OF_INTERACTIONS: Final = (
    ("input_tokens_by_modality", "input_{}_tokens"),
    ("tool_use_tokens_by_modality", "input_{}_tokens"),
    ("cached_tokens_by_modality", "cache_{}_read_tokens"),
    ("output_tokens_by_modality", "output_{}_tokens"),
)
_TRAFFIC: Final = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_OFFPEAK": "offpeak",
    "PROVISIONED_THROUGHPUT": "provisioned",
}
"""How Vertex AI served a request, by the words for tiers of other providers."""

_TIER: Final = "x-gemini-service-tier"
"""Header of the Gemini API: the tier that served a request, which may be another than was asked for."""

_BY_PROMPT: Final = re.compile(r"(?:^|/)gemini-(?:1|2)\b")
"""Models that bill a prompt with searches once; later ones bill each search."""

_UNASKED: Final = frozenset({"unspecified", "auto", ""})

_boundary: Final = Boundary("google-genai")


def prepare() -> None:
    """Put in place what belongs inside of upstream's wrappers; it stays there, and does nothing outside of a call."""
    invocations.follow()
    private.follow_answers(kept(_boundary, _begun), kept(_boundary, _read))
    private.follow_retries(kept(_boundary, _retried))
    private.follow_interactions(kept(_boundary, _interaction))
    private.leave_events_to_the_user()


def _begun(config: Any, address: str | None) -> Report | None:
    report = reports.of_current_call()
    if report is not None:
        report.seen.port = _port(address)
        tier = _word(_of(config, "service_tier"))
        if tier is not None and tier not in _UNASKED:
            report.seen.tier = tier
    return report


def _port(address: str | None) -> int | None:
    """The port that an address names; upstream's package reads the host alone."""
    try:
        return urlsplit(address or "").port
    except ValueError:
        return None


def _retried(error: BaseException | None, wait: float | None) -> None:
    seen = underway.current()
    if seen is not None:
        seen.retried(_status(error), wait)


def _status(error: BaseException | None) -> str:
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return str(code)
    return "timeout" if "timeout" in type(error).__name__.lower() else "connection"


def _read(report: Report, answer: Any) -> None:
    report.seen.received = True
    embeddings = getattr(answer, "embeddings", None)
    if embeddings is not None:
        counts = _of_embeddings(answer, embeddings)
    else:
        counts = counts_of(getattr(answer, "usage_metadata", None))
        counts["web_searches"] = _searches(report, answer)
    report.usage(counts)
    tier = _tier(answer)
    if tier is not None:
        report.seen.tier = tier


def counts_of(usage: Any) -> dict[str, Any]:
    """Read Google's usage, by the units of `packs/llm/usage.py`.

    Args:
        usage: `usage_metadata` of an answer or a chunk, which has the totals so far. The prompt has what came from a
            cache; what tools sent back, and the thoughts, are beside the prompt and the answer.
    """
    if usage is None:
        return {}
    tools, thoughts = _of(usage, "tool_use_prompt_token_count"), _of(usage, "thoughts_token_count")
    counts: dict[str, Any] = {
        "input_tokens": total(_of(usage, "prompt_token_count"), tools),
        "input_tool_tokens": tools,
        "cache_read_tokens": _of(usage, "cached_content_token_count"),
        "output_tokens": total(_of(usage, "candidates_token_count"), thoughts),
        "output_reasoning_tokens": thoughts,
    }
    for name, unit in _DETAILS:
        if details := _of(usage, name):
            _add_by_modality(counts, unit, details, "token_count")
    return counts


def _interaction(invocation: Any, answer: Any) -> None:
    report = reports.of_current_call(invocation.context)
    # An agent's work is calls of models that nobody names.
    if report is None or not hasattr(invocation, "thinking_tokens"):
        return
    report.usage(counts_of_interaction(_of(answer, "usage"), _of(answer, "model") or ""))
    tier = _word(_of(answer, "service_tier"))
    if tier is not None and tier not in _UNASKED:
        report.seen.tier = tier


def counts_of_interaction(usage: Any, model: str) -> dict[str, Any]:
    """Read the usage of the Interactions API, by the units of `packs/llm/usage.py`.

    Args:
        usage: Its thoughts are beside what was answered, unless the total says that they are in it.
        model: Decides how searches are billed.
    """
    if usage is None:
        return {}
    sent, tools = _of(usage, "total_input_tokens"), _of(usage, "total_tool_use_tokens")
    made, thoughts = _of(usage, "total_output_tokens"), _of(usage, "total_thought_tokens")
    within = _of(usage, "total_tokens") in {total(sent, made), total(sent, tools, made)}
    counts: dict[str, Any] = {
        "input_tokens": total(sent, tools),
        "input_tool_tokens": tools,
        "cache_read_tokens": _of(usage, "total_cached_tokens"),
        "output_tokens": made if within else total(made, thoughts),
        "output_reasoning_tokens": thoughts,
    }
    for name, unit in _DETAILS_OF_INTERACTIONS:
        if details := _of(usage, name):
            _add_by_modality(counts, unit, details, "tokens")
    for each in _of(usage, "grounding_tool_count") or ():
        if _word(_of(each, "type")) == "google_search" and (count := _of(each, "count")):
            counts["web_searches"] = 1 if _BY_PROMPT.search(model) else count
    return counts


def _add_by_modality(counts: dict[str, Any], unit: str, details: Any, name: str) -> None:
    for each in details:
        modality = _MODALITIES.get((_word(_of(each, "modality")) or "TEXT").upper())
        if modality is not None:
            key = unit.format(modality)
            counts[key] = total(counts.get(key), _of(each, name))


def _of_embeddings(answer: Any, embeddings: Any) -> dict[str, Any]:
    counts = counts_of(getattr(answer, "usage_metadata", None))
    if counts.get("input_tokens") is None:
        texts = (_of(each, "statistics") for each in embeddings)
        counts["input_tokens"] = total(*(_of(each, "token_count") for each in texts))
    # Some models bill the characters.
    counts["input_characters"] = _of(_of(answer, "metadata"), "billable_character_count")
    return counts


def _searches(report: Report, answer: Any) -> int | None:
    """How many searches this answer was made with; as the model bills them."""
    said = report.said
    for candidate in getattr(answer, "candidates", None) or ():
        grounding = getattr(candidate, "grounding_metadata", None)
        if grounding is not None:
            queries = {query for query in grounding.web_search_queries or () if query}
            said["queries"] = said.get("queries", frozenset()) | queries
    count = len(said.get("queries", ()))
    if not count:
        return None
    said["model"] = answer.model_version or said.get("model") or ""
    return 1 if _BY_PROMPT.search(said["model"]) else count


def _tier(answer: Any) -> str | None:
    traffic = _word(_of(_of(answer, "usage_metadata"), "traffic_type"))
    if traffic is not None:
        return _TRAFFIC.get(traffic)
    headers = _of(_of(answer, "sdk_http_response"), "headers") or {}
    tier = headers.get(_TIER)
    return tier.lower() if isinstance(tier, str) and tier else None


def _of(part: Any, name: str) -> Any:
    """A field of a part of an answer; of a configuration, which may be a dictionary."""
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] -- any JSON


def _word(value: Any) -> str | None:
    """What an enumeration of the SDK stands for."""
    value = getattr(value, "value", value)
    return value if isinstance(value, str) else None
