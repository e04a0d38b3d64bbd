"""Amazon Bedrock through boto3: what upstream's instrumentor leaves out or gets wrong.

- Bedrock's `inputTokens` are those that came neither from a cache nor went into one; the conventions count all.
  open-telemetry/semantic-conventions#3163
- It reads nothing of the two classes of cache writes, of tiers, of latency that is optimized, of usage in streams that
  break off, of most caches in streams of InvokeModel, of the model that a router chose.
- botocore's attempts that are made again are not counted.
- A stream stays in its caller's context, and botocore's own instrumentor makes a second inference of each call
  (`_compat/bedrock.py`).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, cast
from weakref import WeakKeyDictionary

from otel_kpi import _compat
from otel_kpi._compat import bedrock as private
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.llm import anthropic, invocations, reports, streams, underway
from otel_kpi.instrumentation.llm.reports import Report, kept, total

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.instrumentation.llm.underway import Seen

_HEADER: Final = "x-amzn-bedrock-"
_METRICS: Final = "amazon-bedrock-invocationMetrics"
_TELLING: Final = (b'"usage"', _METRICS.encode(), b"_token_count", b"TokenCount")
"""What chunks have in them that are worth reading."""

_MODEL_OF_ARN: Final = re.compile(
    r"^arn:[^:]*:bedrock:.*?[:/](?:foundation-model|inference-profile)/([^/]+)$"
)
"""Of the profiles that AWS made; those of an application have a name that says nothing of the model."""

_OPTIMIZED: Final = "optimized"
_boundary: Final = Boundary("bedrock")
_streams: Final[WeakKeyDictionary[Any, Report]] = WeakKeyDictionary()
"""By the invocation of a stream."""


def prepare() -> None:
    """Put in place what belongs inside of upstream's wrappers; it stays there, and does nothing outside of a call."""
    invocations.follow()
    private.bear_odd_answers(streams.odd)
    private.follow_answers(*(kept(_boundary, each) for each in (_converse, _body, _event, _chunk)))
    private.let_go_of_streams()
    private.follow_retries(kept(_boundary, _retried))
    _compat.after_import("opentelemetry.instrumentation.botocore.extensions", private.leave_models_to_genai)


def _retried(status: int | None, error: BaseException | None, wait: float) -> None:
    seen = underway.current()
    if seen is not None:
        timeout = "timeout" in type(error).__name__.lower()
        seen.retried(str(status) if status else "timeout" if timeout else "connection", wait)


# --- what upstream reads, and when


def _report_of(invocation: Any) -> Report | None:
    """The report of a stream, which comes in parts."""
    report = _streams.get(invocation)
    if report is None:
        report = reports.of_current_call(invocation.context)
        if report is not None:
            _streams[invocation] = report
    return report


def _converse(invocation: Any, answer: Any) -> None:
    report = reports.of_current_call(invocation.context)
    if report is not None:
        _take(report, invocation, answer)


def _event(invocation: Any, event: Any) -> None:
    report = _report_of(invocation)
    if report is not None:
        report.seen.received = True
        if "metadata" in event:
            _take(report, invocation, event["metadata"])


def _take(report: Report, invocation: Any, said: Mapping[str, Any]) -> None:
    """Read an answer of Converse, or the last event of its stream."""
    report.seen.received = True
    usage = said.get("usage")
    if isinstance(usage, dict):
        report.usage(counts_of(cast("dict[str, Any]", usage)))
    tier, performance = said.get("serviceTier") or {}, said.get("performanceConfig") or {}
    _tier(report.seen, tier.get("type"), performance.get("latency"))
    _name(invocation, ((said.get("trace") or {}).get("promptRouter") or {}).get("invokedModelId"))


def _body(invocation: Any, answer: Any, raw: bytes) -> None:
    report = reports.of_current_call(invocation.context)
    if report is None:
        return
    report.seen.received = True
    counts = counts_of_body(_json(raw))
    if counts.get("input_tokens") is None:
        headers: dict[str, Any] = (answer.get("ResponseMetadata") or {}).get("HTTPHeaders") or {}
        counts = _of_headers(headers) | {key: each for key, each in counts.items() if each is not None}
    report.usage(counts)
    _tier(report.seen, answer.get("serviceTier"), answer.get("performanceConfigLatency"))
    _name(invocation, None)


def _chunk(invocation: Any, chunk: Any) -> None:
    report = _report_of(invocation)
    if report is None:
        return
    if not report.seen.received:
        report.seen.received = True
        _name(invocation, None)
    raw = (chunk.get("chunk") or {}).get("bytes")
    if isinstance(raw, bytes) and any(each in raw for each in _TELLING):
        _read_chunk(report, _json(raw))


def _read_chunk(report: Report, document: dict[str, Any]) -> None:
    if document.get("type") in {"message_start", "message_delta"}:
        anthropic.read(report, document)
        return
    counts = counts_of_body(document.get("metadata") or document)
    metrics = document.get(_METRICS)
    if counts.get("input_tokens") is None and isinstance(metrics, dict) and not report.told:
        counts = counts_of(cast("dict[str, Any]", metrics))
    if any(each is not None for each in counts.values()):
        report.usage(counts)


# --- what they say


def counts_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Read the usage of Converse, and of Amazon's models in InvokeModel, by the units of `packs/llm/usage.py`.

    Args:
        usage: Its `inputTokens` are those that came neither from a cache nor went into one.
    """
    reads = _first(usage, "cacheReadInputTokens", "cacheReadInputTokenCount")
    writes = _first(usage, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    parts: Any = usage.get("cacheDetails")
    by_time: dict[Any, Any] = {
        each.get("ttl"): each.get("inputTokens") for each in parts or () if isinstance(each, dict)
    }
    return {
        "input_tokens": total(_first(usage, "inputTokens", "inputTokenCount"), reads, writes),
        "cache_read_tokens": reads,
        "cache_write_tokens": writes,
        "cache_write_5m_tokens": by_time.get("5m"),
        "cache_write_1h_tokens": by_time.get("1h"),
        "output_tokens": _first(usage, "outputTokens", "outputTokenCount"),
    }


def counts_of_body(body: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a model of InvokeModel says of its usage, each in its maker's own way."""
    usage: Any = body.get("usage")
    if isinstance(usage, dict):
        said = cast("dict[str, Any]", usage)
        if "input_tokens" in said:
            return anthropic.counts_of(said)
        if "prompt_tokens" in said:
            return _of_openai(said)
        return counts_of(said)
    results: Any = body.get("results")
    first: Any = results[0] if isinstance(results, list) and results else {}
    return {
        "input_tokens": _first(body, "inputTextTokenCount", "prompt_token_count"),
        "output_tokens": _first(body, "generation_token_count", "totalOutputTextTokenCount")
        if "tokenCount" not in first
        else first["tokenCount"],
    }


def _of_openai(usage: Mapping[str, Any]) -> dict[str, Any]:
    sent, made = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return {
        "input_tokens": usage.get("prompt_tokens"),
        "cache_read_tokens": sent.get("cached_tokens"),
        "output_tokens": usage.get("completion_tokens"),
        "output_reasoning_tokens": made.get("reasoning_tokens"),
    }


def _of_headers(headers: Mapping[str, Any]) -> dict[str, Any]:
    def count(name: str) -> int | None:
        value = headers.get(f"{_HEADER}{name}-token-count")
        return int(value) if isinstance(value, str) and value.isdecimal() else None

    reads, writes = count("cache-read-input"), count("cache-write-input")
    return {
        "input_tokens": total(count("input"), reads, writes),
        "cache_read_tokens": reads,
        "cache_write_tokens": writes,
        "output_tokens": count("output"),
    }


def _tier(seen: Seen, tier: Any, latency: Any) -> None:
    if isinstance(tier, str):
        seen.tier = "standard" if tier == "default" else tier
    if latency == _OPTIMIZED:
        # Billed at another rate than the same model's.
        seen.tier = _OPTIMIZED


def _name(invocation: Any, chosen: Any) -> None:
    """Name the model behind an ARN: the one that a router chose, or that a profile of AWS's stands for."""
    found = _MODEL_OF_ARN.match(chosen if isinstance(chosen, str) else invocation.request_model or "")
    if found is not None and invocation.response_model_name is None:
        invocation.response_model_name = found[1]
    elif isinstance(chosen, str) and found is None:
        invocation.response_model_name = chosen


def _first(said: Mapping[str, Any], *names: str) -> Any:
    return next((said[name] for name in names if said.get(name) is not None), None)


def _json(raw: bytes) -> dict[str, Any]:
    try:
        document = json.loads(raw)
    except ValueError:
        return {}
    return cast("dict[str, Any]", document) if isinstance(document, dict) else {}
