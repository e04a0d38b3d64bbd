"""OpenAI's SDK, and whoever is called with it: what upstream's instrumentor of it leaves out or gets wrong.

- It reads neither images, nor searches, nor what was cached by providers with other names for it, nor the usage of raw
  embeddings; OpenRouter and Perplexity say what they charge.
- A stream has a usage only where the application asks for it; `stream_usage.py` asks where the user agrees.
- What is made in the background is paid when it is fetched (`background.py`).
- Streams that are closed past its wrapper have no end, raw ones that are dropped no span (`_compat/openai.py`).
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import openai as private
from otel_kpi._compat import openai_unread
from otel_kpi._compat import stainless as base_client
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.llm import (
    background,
    invocations,
    openai_usage,
    stainless,
    stream_usage,
    streams,
)
from otel_kpi.instrumentation.llm.reports import Report
from otel_kpi.packs.llm.prices.tariff import ARITHMETIC

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATHS: Final = ("/chat/completions", "/completions", "/responses", "/embeddings")
_MARK: Final = "_otel_kpi_asks"
_CHARGED: Final = "charged before"
_BACKGROUND: Final = "asked for in the background"

_hidden: Final[ContextVar[bool]] = ContextVar("otel_kpi_openai_hidden", default=False)
"""Whether the request that is being made asks for a usage that the application did not ask for."""


def prepare() -> None:
    """Put in place what belongs inside of upstream's wrappers; it stays there, and does nothing outside of a call."""
    from openai import _base_client
    from openai.resources.chat import completions

    invocations.follow()
    watcher = _Watcher("openai", _read, _PATHS)
    stainless.watch(_base_client, watcher)
    private.end_openai_helpers(Boundary("openai").failed)
    private.end_raw_responses(streams.left)
    private.bear_odd_answers(streams.odd)
    openai_unread.wait_for_reading(watcher.data)
    _ask_for_usage(completions)


class _Watcher(stainless.Watcher):
    """Reads each answer beside the others of its call, and keeps from the application what it did not ask for."""

    def answered(self, client: Any, response: Any, options: Any, *, stream: bool) -> Any:
        """Begin a report."""
        begun: list[Report] = []
        if _hidden.get():
            # Whether the call is followed or not: nobody else asked for it.
            self._hide(response, begun)
        seen = super().answered(client, response, options, stream=stream)
        if seen is None:
            return background.fetch_of(options.url) if options.method.lower() == "get" else None
        report = Report(seen)
        begun.append(report)
        asked = options.json_data
        if isinstance(asked, dict) and asked.get("background") is True:
            report.said[_BACKGROUND] = (asked.get("model"), client.base_url)
        return report

    def _hide(self, response: Any, begun: list[Report]) -> None:
        def told(data: Mapping[str, Any]) -> None:
            for report in begun:
                _read(report, data)

        stream_usage.sieve_response(response, stream_usage.Sieve(told, self.broken))

    def made(self, kept: Any, response: Any, result: Any, *, stream: bool) -> None:  # noqa: ARG002 - as it is called
        """Read an answer that the caller wants raw, if it is there: of embeddings upstream reads nothing."""
        if not stream and isinstance(kept, Report) and not kept.told and response.is_closed:
            self.data(kept, response.json())

    def data(self, kept: Any, data: Mapping[str, Any]) -> None:
        """Read an answer, or an event of its stream."""
        if isinstance(kept, background.Fetch):
            background.fetched(kept, data)
        elif not kept.told or kept.said or _says_something(kept, data):
            _read(kept, data)


def _says_something(report: Report, data: Mapping[str, Any]) -> bool:
    """Whether a further part of a stream tells of anything but text: there are hundreds of them."""
    if data.get("usage") is not None or "x_groq" in data or "type" in data:
        return True
    tier = data.get("service_tier")
    return tier is not None and tier != report.seen.tier


def _read(report: Report, data: Mapping[str, Any]) -> None:
    seen = report.seen
    seen.received = True
    answer = openai_usage.answer_in(data)
    if answer is None:
        return
    report.told = True
    if (tier := openai_usage.tier_of(answer)) is not None:
        seen.tier = tier
    usage = openai_usage.usage_of(answer)
    if usage is None:
        if (asked := report.said.get(_BACKGROUND)) is not None:
            background.begun(answer, seen, *asked)
        return
    counts = openai_usage.counts_of(usage)
    if (searches := openai_usage.web_searches_in(answer)) is not None:
        counts["web_searches"] = searches
    report.usage(counts)
    if (amount := openai_usage.charged_in(usage)) is not None:
        before = report.said.setdefault(_CHARGED, seen.charged_amount)
        seen.charged(amount if before is None else ARITHMETIC.add(amount, before[0]), "USD")


def _ask_for_usage(completions: Any) -> None:
    """Have chat completions ask for the usage of streams; `OTEL_KPI_GENAI_STREAM_USAGE` says of whom."""
    if getattr(completions.Completions, _MARK, False):
        return
    synchronous, asynchronous = completions.Completions, completions.AsyncCompletions
    synchronous.create = _asking(synchronous.create)
    asynchronous.create = _asking_async(asynchronous.create)
    setattr(synchronous, _MARK, True)


def _asking(original: Any) -> Any:
    @functools.wraps(original)
    def create(self: Any, *args: Any, **kwargs: Any) -> Any:
        options = _asked_for(self, kwargs) if kwargs.get("stream") is True else None
        if options is None:
            return original(self, *args, **kwargs)
        token = _hidden.set(True)
        try:
            return original(self, *args, **{**kwargs, "stream_options": options})
        except Exception as error:
            if not _is_refusal(self, error):
                raise
        finally:
            _hidden.reset(token)
        return original(self, *args, **kwargs)

    return create


def _asking_async(original: Any) -> Any:
    @functools.wraps(original)
    async def create(self: Any, *args: Any, **kwargs: Any) -> Any:
        options = _asked_for(self, kwargs) if kwargs.get("stream") is True else None
        if options is None:
            return await original(self, *args, **kwargs)
        token = _hidden.set(True)
        try:
            return await original(self, *args, **{**kwargs, "stream_options": options})
        except Exception as error:
            if not _is_refusal(self, error):
                raise
        finally:
            _hidden.reset(token)
        return await original(self, *args, **kwargs)

    return create


def _asked_for(instance: Any, kwargs: dict[str, Any]) -> dict[str, Any] | None:
    boundary = Boundary("openai")
    if not boundary.open:
        return None
    try:
        return stream_usage.asked_for(kwargs, base_client.client_of(instance))
    except Exception as error:
        boundary.failed(error)
        return None


def _is_refusal(instance: Any, error: Exception) -> bool:
    """Whether an endpoint refuses what the application did not ask for; then it is not asked again."""
    try:
        if not stream_usage.is_refusal(getattr(error, "status_code", None), str(error)):
            return False
        url = base_client.client_of(instance).base_url
        stream_usage.refused(url.host, url.port)
    except Exception as fault:
        Boundary("openai").failed(fault)
        return False
    return True
