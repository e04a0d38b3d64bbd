"""How streams end, and what is written of those that the application leaves."""

from __future__ import annotations

import os
from typing import Any, Final

from otel_kpi._compat import genai, genai_answers, genai_streams
from otel_kpi.packs.faults import failed
from otel_kpi.packs.refusals import Refused

AS_ERRORS: Final = "OTEL_KPI_GENAI_ABANDONED_AS_ERRORS"
ENDED: Final = "kpi.llm.ended"
"""On the span of a call that did not come to its end: `left`, `closed`, `cancelled` or `broken_off`."""
CHUNKS: Final = "kpi.llm.stream.chunks"
"""How many parts had come by then."""


def follow() -> None:
    """Follow the end of every stream, and of every call that is cancelled; done once for the process."""
    genai_answers.bear_odd_streams(odd)
    genai_answers.bear_managers(Refused, odd)
    genai_streams.follow_stream_endings(_ended)


def odd(error: Exception) -> None:
    """Note that an answer is not as its SDK says; that is the provider's, and switches nothing off."""
    failed("a part of what a language model answered", error)


def left(invocation: Any) -> None:
    """Note that nobody has read anything of a stream."""
    invocation.request_stream = True
    _ended(invocation, "left")


def _ended(invocation: Any, how: str) -> bool:
    """Note how a call ended.

    Returns:
        Whether it is to be no error: upstream makes an error of the provider's of what the application did.
    """
    if genai.streams(invocation):
        seen = genai.held(genai.shared_data(genai.context_of(invocation), embedding=False))
        if seen is not None:
            seen.abandoned = how
            seen.chunks = genai_streams.chunks_of(invocation)
    else:
        invocation.attributes[ENDED] = how
    return os.environ.get(AS_ERRORS, "").strip().lower() not in ("1", "true", "yes", "on")
