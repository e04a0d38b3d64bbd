"""Calls of a language model, for a service whose client no instrumentor sees."""

from __future__ import annotations

import time
from typing import Final

_EPOCH: Final = 1_000_000_000
"""Seconds since 1970 are above it since 2001, and a machine's since its start are below it for 31 years."""


def track_ai_request(  # noqa: PLR0913 - S2's five, in its order
    model: str,
    start: float,
    success: bool = True,  # noqa: FBT001, FBT002 - S2's vocabulary
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
    *,
    provider: str | None = None,
    error_type: str | None = None,
) -> None:
    """Record a call of a language model that has ended.

    Where otel-kpi instruments the client's library the call is measured already: then this would count it twice.

    Args:
        model: The model that was asked for, as `"gpt-4"`; at most 30 distinct ones.
        start: When it began, in seconds of `time.time()` or of `time.perf_counter()`.
        success: Whether there was an answer.
        prompt_tokens: Tokens that were sent; None where nobody knows.
        completion_tokens: Tokens of the answer; None where nobody knows.
        provider: Who serves the model, as `"openai"`.
        error_type: Why there was none, as `"TimeoutError"`.

    Exported as OpenTelemetry's histograms ``gen_ai_client_operation_duration_seconds`` and
    ``gen_ai_client_token_usage``; from them follow ``<prefix>_ai_request_duration_seconds{model,status}`` and
    ``<prefix>_ai_tokens_total{model,type}``, as they do for a library that is instrumented.
    """
    # With the pack of language models come its instruments, which a service without any does not have.
    from otel_kpi.packs.llm import attribution, calls, guard

    try:
        failure = None if success else error_type or "_OTHER"
        duration = (time.time() if start > _EPOCH else time.perf_counter()) - start
    except Exception:
        failure, duration = None, float("nan")  # not a number: dropped, and counted
    known = {"input_tokens": prompt_tokens, "output_tokens": completion_tokens}
    calls.recorded_by_hand(
        calls.Call(
            provider=provider,
            request_model=model,
            counts={key: count for key, count in known.items() if count is not None},
            attribution=attribution.current(),
            error=failure,
            answered=failure is None,
            seconds=duration,
            guards=guard.current(),
        )
    )
