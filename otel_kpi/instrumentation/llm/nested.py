"""A call inside of a call is one call: a framework's inference, and that of the provider's package within it.

Upstream leaves the inner one without a span, and has the outer one keep what it says itself. Four things of that are
put right, all of them here:

- What the provider's package read is nearer to the wire than what a framework made of it. LangChain says `openai` of
  any address, reads no input tokens from a stream that names them at its beginning, and calls the end of an answer of
  OpenAI's Responses an `error`. Usage, model, end, provider and address are those of the inner call.
- One request is one call. Where a framework sends several within one of its own, the first is its own, and each
  further one is a call with a span below it. An attempt that failed and is made again counts as a retry of the same.
- An inference that has ended hides nothing. Upstream's mark stays in the contexts of the tasks that began within.
- An answer out of a framework's own cache is no call: nobody was asked, and nobody sends a bill.

`OTEL_KPI_GENAI_NESTED=upstream` leaves all of it as it is.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import genai, genai_nesting

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_kpi.instrumentation.llm.underway import Seen

SETTING: Final = "OTEL_KPI_GENAI_NESTED"
CACHED: Final = "kpi.llm.cached"
_USAGE: Final = "usage_"
_ADDRESS: Final = frozenset({"provider_name", "server_address", "server_port"})
_ANSWER: Final = frozenset({"response_model", "response_id", "response_finish_reasons"})

_lock: Final = threading.Lock()


class Nest:
    """What is known of the calls within one inference.

    Attributes:
        taken: One of them is that inference's own.
        several: There are more, each with a span of its own.
        ended: The inference has; what still runs in its context is not within it.
        inner: The data of its own one, once that has ended.
        failed: Whether that one did.
        remembered: The framework had the answer already, and nobody was asked.
    """

    __slots__ = ("ended", "failed", "inner", "remembered", "several", "taken")

    def __init__(self) -> None:
        self.taken = self.several = self.ended = self.failed = self.remembered = False
        self.inner: Any = None


def prepare() -> None:
    """Put it in force; idempotent."""
    if os.environ.get(SETTING, "").strip().lower() != "upstream":
        genai_nesting.follow_nesting(_where, _inner_ended, _outer_ends)


def has_inner(invocation: Any) -> bool:
    """Whether the provider's package saw a call within an inference."""
    nest = _nest(genai_nesting.inference_data(genai.context_of(invocation)))
    return nest is not None and (nest.inner is not None or nest.taken or nest.several)


def remembered(invocation: Any) -> None:
    """Say of an inference that is about to end that its answer came out of the framework's own cache.

    It used nothing and cost nothing, and is no call of a model: there is a span, with `kpi.llm.cached`, and no metric.
    """
    nest = _nest(genai_nesting.inference_data(genai.context_of(invocation)), make=True)
    if nest is not None:
        nest.remembered = True


def _nest(data: Any, *, make: bool = False) -> Nest | None:
    if data is None:
        return None
    found = genai_nesting.nest_of(data, Nest if make else None)
    return found if isinstance(found, Nest) else None


def _where(data: Any, context: Context | None) -> Context | None:
    """The context of a new inference: as it is for the first within another, outside of it for a further one."""
    nest = _nest(data, make=True)
    if nest is not None:
        with _lock:
            if not nest.taken and not nest.ended:
                nest.taken = True
                return context
            nest.several = nest.several or not nest.ended
    return genai_nesting.outside_inference(context)


def _inner_ended(data: Any, inner: Any, failed: bool) -> None:  # noqa: FBT001 - as it is called
    nest = _nest(data)
    if nest is None:
        return
    with _lock:
        nest.inner, nest.failed = inner.data, failed
        # What failed without an answer is not billed; the next attempt takes its place.
        nest.taken = not failed or inner.data.usage_input_tokens is not None


def _outer_ends(outer: Any, data: Any) -> None:
    nest = _nest(data)
    if nest is None:
        return
    with _lock:
        nest.ended = True
    if nest.remembered:
        _forget_call(outer, data)
    if nest.inner is None:
        return
    if nest.failed:
        genai_nesting.prefer(outer, nest.inner, _ADDRESS)
    else:
        genai_nesting.prefer(outer, nest.inner, _ADDRESS | _ANSWER, _USAGE)
    if nest.several and nest.inner.usage_input_tokens is None:
        # What a framework says of several calls together is said again by each of them.
        genai_nesting.forget(outer, _USAGE)


def _forget_call(outer: Any, data: Any) -> None:
    seen: Seen | None = genai.held(data)
    if seen is not None:
        seen.counted_elsewhere = True
    genai_nesting.forget(outer, _USAGE)
    genai_nesting.unmeasured(outer)
    outer.attributes[CACHED] = True
