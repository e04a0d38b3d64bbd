"""Anthropic's SDK: what upstream's instrumentor of it leaves out or gets wrong.

- It reads neither the two classes of cache writes, nor searches, nor the tier of a batch or of priority. What
  compactions used is beside the usage, not in it; what another model used that was asked for advice is billed as that
  model's.
- It takes the number with which a stream begins for the output of one that never ended: that is a placeholder.
- It calls Bedrock's and Vertex AI's clients `anthropic`.
- A stream stays in its caller's context (`_compat/anthropic.py`).
- The SDK makes a span of its own beside upstream's; `ANTHROPIC_OPEN_TELEMETRY=true` keeps it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi._compat import anthropic as private
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.llm import invocations, stainless, streams, underway
from otel_kpi.instrumentation.llm.providers import who_serves
from otel_kpi.instrumentation.llm.reports import Report, total
from otel_kpi.packs.llm import attribution, calls, guard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otel_kpi.instrumentation.llm.underway import Seen

OWN_SPANS: Final = "ANTHROPIC_OPEN_TELEMETRY"
"""The SDK's own switch; without it the SDK's default gives way to upstream's instrumentor."""

_PLATFORMS: Final = {"anthropic.lib.bedrock": "aws.bedrock", "anthropic.lib.vertex": "gcp.vertex_ai"}
_PATHS: Final = ("/messages", "/invoke", "/invoke-with-response-stream", ":rawPredict", ":streamRawPredict")
"""How requests end that are answered with a message: Anthropic's own, Bedrock's and Vertex AI's."""

_ANTHROPIC: Final = "anthropic"
_BATCH: Final = "batch"
_FAST: Final = "fast"


def prepare() -> None:
    """Put in place what belongs inside of upstream's wrappers; it stays there, and does nothing outside of a call."""
    from anthropic import _base_client

    invocations.follow()
    stainless.watch(_base_client, _Watcher(_ANTHROPIC, _unused, _PATHS))
    private.leave_spans_to(_has_a_span)
    private.say_provider(provider_of)
    private.bear_bad_usage()
    private.bear_odd_answers(streams.odd)
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


class _Answer(Report):
    """What an answer reports, and who gave it.

    Attributes:
        provider: `gen_ai.provider.name`.
        endpoint: The address whose price it is; None where the user says who serves it.
        advised: How many pieces of advice are billed already.
    """

    __slots__ = ("advised", "endpoint", "provider")

    def __init__(self, seen: Seen, client: Any) -> None:
        super().__init__(seen)
        url = client.base_url
        said = provider_of(client) or _ANTHROPIC
        self.provider, named = who_serves(url.host, url.port, said)
        self.endpoint = None if named else seen.endpoint
        self.advised = 0


class _Watcher(stainless.Watcher):
    """Reads each answer beside the others of its call: a fallback is a request of its own."""

    def answered(self, client: Any, response: Any, options: Any, *, stream: bool) -> Any:
        """Begin a report."""
        seen = super().answered(client, response, options, stream=stream)
        return None if seen is None else _Answer(seen, client)

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
        message = document.get("message")
        _take(report, message.get("usage") if isinstance(message, dict) else None, begun=True)
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
    if isinstance(report, _Answer):
        _bill_advice(report)
    tier = said.get("service_tier")
    if tier == _BATCH:
        seen.processing = _BATCH
    elif isinstance(tier, str):
        seen.tier = tier
    if said.get("speed") == _FAST:
        # Billed at another rate than the same model's.
        seen.tier = _FAST


def _bill_advice(report: _Answer) -> None:
    """Bill what models used that were asked for advice: it is in no total, and at their own rates."""
    advice = [each for each in _iterations(report.said) if each.get("type") == "advisor_message"]
    for each in advice[report.advised :]:
        model = each.get("model")
        seen = report.seen
        calls.ended(
            calls.Call(
                provider=report.provider,
                endpoint=report.endpoint,
                request_model=model,
                response_model=model,
                counts=_counts(each),
                tier=seen.tier,
                processing=seen.processing,
                attribution=seen.attribution,
                began=seen.began,
                guards=guard.current(),
            )
        )
    report.advised = max(report.advised, len(advice))


def batch_results(results: Iterable[Any], provider: str = _ANTHROPIC) -> Iterator[Any]:
    """Record what the answers of a batch used and cost, as they are read, for whom `llm.context` says.

    Nobody can say whether results were read before, here or elsewhere, so nothing of them is counted without this:
    ask for it where they are read for the first time.

    Args:
        results: As `client.messages.batches.results(…)` gives them.
        provider: `gen_ai.provider.name`.

    Yields:
        Each of them, as it came. Never raises by itself.
    """
    boundary = Boundary(_ANTHROPIC)
    for each in results:
        try:
            _bill_result(each, provider)
        except Exception as error:
            boundary.failed(error)
        yield each


def _bill_result(answered: Any, provider: str) -> None:
    message = getattr(answered.result, "message", None)
    if message is None:
        return  # it failed, expired or was cancelled: it costs nothing
    usage = message.usage
    calls.ended(
        calls.Call(
            provider=provider,
            request_model=message.model,
            response_model=message.model,
            counts=counts_of(usage.to_dict(mode="json") if hasattr(usage, "to_dict") else usage),
            processing=_BATCH,
            attribution=attribution.current(),
            guards=guard.current(),
        )
    )


def counts_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """Read a usage of Anthropic's Messages, by the units of `packs/llm/usage.py`.

    Args:
        usage: As it stands in a message, or in the delta of a stream. Its `input_tokens` are those that came neither
            from a cache nor went into one; compactions are in `iterations` alone.
    """
    counts = _counts(usage)
    for each in _iterations(usage):
        if each.get("type") == "compaction":
            apart = _counts(each)
            counts = {key: total(counts.get(key), apart.get(key)) for key in counts | apart}
    return counts


def _iterations(usage: Mapping[str, Any]) -> list[dict[str, Any]]:
    given: Any = usage.get("iterations")
    return [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []  # pyright: ignore[reportUnknownVariableType] -- any JSON


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
