"""Answers of OpenAI's Responses API that are made in the background: paid when they are fetched, by who asked for them.

The request is answered at once, without a usage; that is in what is fetched later, once or often. OpenTelemetry's
convention has no tokens on a fetch, so they are counted here and the span of the fetch gets the price alone. Of an
answer that another process asked for nothing is known, and nothing is counted.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

from otel_kpi.instrumentation.llm import openai_usage
from otel_kpi.instrumentation.llm.providers import who_serves
from otel_kpi.packs.llm import calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.instrumentation.llm.underway import Seen

_MOST: Final = 1024
_BEGUN: Final = ("queued", "in_progress")
_ENDED: Final = ("completed", "incomplete", "failed", "cancelled")

_lock: Final = threading.Lock()
_pending: Final[OrderedDict[str, calls.Call]] = OrderedDict()


@dataclass(frozen=True, slots=True)
class Fetch:
    """A request for an answer that this process asked for.

    Attributes:
        response_id: The answer's.
    """

    response_id: str


def begun(answer: Mapping[str, Any], seen: Seen, request_model: str | None, url: Any) -> None:
    """Wait for an answer, if it is being made: the call that asked for it is paid later."""
    response_id = answer.get("id")
    if answer.get("status") not in _BEGUN or not isinstance(response_id, str):
        return
    provider, named = who_serves(url.host, url.port, "openai")
    call = calls.Call(
        provider=provider,
        endpoint=None if named else seen.endpoint,
        request_model=request_model,
        tier=seen.tier,
        attribution=seen.attribution,
        began=seen.began,
    )
    seen.counted_elsewhere = True
    with _lock:
        _pending[response_id] = call
        forgotten = _pending.popitem(last=False)[1] if len(_pending) > _MOST else None
    if forgotten is not None:
        # Nobody has fetched it: a call whose price is not known.
        calls.ended(forgotten)


def fetch_of(url: str) -> Fetch | None:
    """Say whether a request fetches an answer that is waited for."""
    if not _pending:
        return None
    response_id = url.partition("?")[0].rpartition("/responses/")[2]
    return Fetch(response_id) if response_id in _pending else None


def fetched(fetch: Fetch, data: Mapping[str, Any]) -> None:
    """Count an answer, if it is made by now; the first time that it is fetched."""
    answer = openai_usage.answer_in(data)
    if answer is None or answer.get("status") not in _ENDED:
        return
    with _lock:
        call = _pending.pop(fetch.response_id, None)
    if call is None:
        return
    usage = openai_usage.usage_of(answer)
    if usage is not None:
        call.counts = openai_usage.counts_of(usage)
        if (searches := openai_usage.web_searches_in(answer)) is not None:
            call.counts["web_searches"] = searches
    model = answer.get("model")
    call.response_model = model if isinstance(model, str) else None
    call.tier = openai_usage.tier_of(answer) or call.tier
    trace.get_current_span().set_attributes(calls.ended(call))
