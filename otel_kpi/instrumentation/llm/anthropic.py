"""Anthropic's SDK: what upstream's instrumentor of it leaves out or gets wrong.

- It reads neither the two classes of cache writes, nor searches, nor the tier of a batch or of priority. What
  compactions used is beside the usage, not in it.
- It takes the number with which a stream begins for the output of one that never ended: that is a placeholder.
- It calls Bedrock's and Vertex AI's clients `anthropic`.
- A stream stays in its caller's context (`_compat/anthropic.py`).
- The SDK makes a span of its own beside upstream's; `ANTHROPIC_OPEN_TELEMETRY=true` keeps it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi._compat import anthropic as private
from otel_kpi.instrumentation.llm import invocations, stainless, underway
from otel_kpi.instrumentation.llm.reports import Report, total

if TYPE_CHECKING:
    from collections.abc import Mapping

OWN_SPANS: Final = "ANTHROPIC_OPEN_TELEMETRY"
"""The SDK's own switch; without it the SDK's default gives way to upstream's instrumentor."""

_PLATFORMS: Final = {"anthropic.lib.bedrock": "aws.bedrock", "anthropic.lib.vertex": "gcp.vertex_ai"}
_PATHS: Final = ("/messages", "/invoke", "/invoke-with-response-stream", ":rawPredict", ":streamRawPredict")
"""How requests end that are answered with a message: Anthropic's own, Bedrock's and Vertex AI's."""

_BATCH: Final = "batch"
_FAST: Final = "fast"


def prepare() -> None:
    """Put in place what belongs inside of upstream's wrappers; it stays there, and does nothing outside of a call."""
    from anthropic import _base_client

    invocations.follow()
    stainless.watch(_base_client, _Watcher("anthropic", _unused, _PATHS))
    private.leave_spans_to(_has_a_span)
    private.say_provider(provider_of)
    private.bear_bad_usage()
    private.let_go_of_streams()


def _unused(_seen: Any, _data: Any) -> None:
    pass


def _has_a_span() -> bool:
    if os.environ.get(OWN_SPANS, "").strip().lower() == "true":
        return False
    return underway.current() is not None


def provider_of(client: Any) -> str | None:
    """Whose models a client of the SDK calls, by the platform that it is for; None is Anthropic's own."""
    for cls in type(client).__mro__:
        for module, provider in _PLATFORMS.items():
            if cls.__module__.startswith(module):
                return provider
    return None


class _Watcher(stainless.Watcher):
    """Reads each answer beside the others of its call: a fallback is a request of its own."""

    def answered(self, client: Any, response: Any, options: Any, *, stream: bool) -> Any:
        """Begin a report."""
        seen = super().answered(client, response, options, stream=stream)
        return None if seen is None else Report(seen)

    def made(self, kept: Any, response: Any, result: Any, *, stream: bool) -> None:  # noqa: ARG002 - as it is called
        """Read an answer that the caller wants raw, if it is there: upstream takes its usage now."""
        if not stream and not kept.told and response.is_closed:
            self.data(kept, response.json())

    def data(self, kept: Any, data: Mapping[str, Any]) -> None:
        """Read an answer, or an event of its stream."""
        read(kept, data)


def read(report: Report, document: Mapping[str, Any]) -> None:
    """Read a message, or an event of the stream of one, whoever carried it."""
    kind = document.get("type")
    if kind == "message":
        _take(report, document.get("usage"))
    elif kind == "message_start":
        _take(report, (document.get("message") or {}).get("usage"), begun=True)
    elif kind == "message_delta":
        _take(report, document.get("usage"))


def _take(report: Report, usage: Any, *, begun: bool = False) -> None:
    report.told = True
    seen = report.seen
    seen.received = True
    if begun:
        # What upstream takes for the output is a placeholder; what is not known yet is not said.
        seen.counts.setdefault("output_tokens", None)
        seen.counts.setdefault("output_reasoning_tokens", None)
    if not isinstance(usage, dict):
        return
    said = report.said
    for name, value in cast("dict[str, Any]", usage).items():
        # Later parts leave out what has not changed.
        if value is not None and not (begun and name.startswith("output_tokens")):
            said[name] = value
    report.usage(counts_of(said))
    tier = said.get("service_tier")
    if tier == _BATCH:
        seen.processing = _BATCH
    elif isinstance(tier, str):
        seen.tier = tier
    if said.get("speed") == _FAST:
        # Billed at another rate than the same model's.
        seen.tier = _FAST


def counts_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Read a usage of Anthropic's Messages, by the units of `packs/llm/usage.py`.

    Args:
        usage: As it stands in a message, or in the delta of a stream. Its `input_tokens` are those that came neither
            from a cache nor went into one; compactions are in `iterations` alone.
    """
    counts = _counts(usage)
    iterations: Any = usage.get("iterations")
    for each in iterations if isinstance(iterations, list) else ():  # pyright: ignore[reportUnknownVariableType] -- any JSON
        if isinstance(each, dict) and each.get("type") == "compaction":  # pyright: ignore[reportUnknownMemberType] -- the same
            apart = _counts(cast("dict[str, Any]", each))
            counts = {key: total(counts.get(key), apart.get(key)) for key in counts | apart}
    return counts


def _counts(usage: Mapping[str, Any]) -> dict[str, Any]:
    written: Any = usage.get("cache_creation")
    parts = cast("dict[str, Any]", written) if isinstance(written, dict) else {}
    short, long = parts.get("ephemeral_5m_input_tokens"), parts.get("ephemeral_1h_input_tokens")
    writes, reads = usage.get("cache_creation_input_tokens"), usage.get("cache_read_input_tokens")
    if writes is None:
        writes = total(short, long)
    details: Any = usage.get("output_tokens_details")
    tools: Any = usage.get("server_tool_use")
    return {
        "input_tokens": total(usage.get("input_tokens"), writes, reads),
        "cache_read_tokens": reads,
        "cache_write_tokens": writes,
        "cache_write_5m_tokens": short,
        "cache_write_1h_tokens": long,
        "output_tokens": usage.get("output_tokens"),
        "output_reasoning_tokens": details.get("thinking_tokens") if isinstance(details, dict) else None,  # pyright: ignore[reportUnknownMemberType] -- any JSON
        "web_searches": tools.get("web_search_requests") if isinstance(tools, dict) else None,  # pyright: ignore[reportUnknownMemberType] -- the same
    }
