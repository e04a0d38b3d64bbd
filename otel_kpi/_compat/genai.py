"""The invocations of opentelemetry-util-genai, on which every official package for language models stands.

Its public way in is a completion hook. That switches the capture of content on (`should_capture_content` looks for one),
is not called for embeddings, comes after the metrics, and there is room for one, which is the user's. So the
two classes are asked at the beginning and at the end of a call, by their own methods.
"""

from __future__ import annotations

import functools
import logging
import timeit
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.forks import in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_HELD: Final = "_otel_kpi_seen"
_DONE: Final = "_otel_kpi_follows"


def follow_invocations(
    allowed: Callable[[Context | None], None],
    provider_of: Callable[[str | None, int | None, str | None], str | None],
    begun: Callable[[Any, bool], None],
    ending: Callable[[Any, Any, bool], None],
) -> bool:
    """Have every inference and embedding of util-genai told of, once for the process.

    Args:
        allowed: Called before each, with the context that was given for it; what it raises the application gets, and
            there is no span.
        provider_of: Gives the provider of an address, a port and what the package says; before the span starts.
        begun: Called with a new invocation, and whether it is an embedding. Those inside of another are left out.
        ending: Called with an invocation that ends, its error or None, and whether it is an embedding; before the
            attributes are set and the metrics recorded.

    Returns:
        Whether util-genai is installed and has the shape that is known here.
    """
    try:
        from opentelemetry.util.genai._embedding_invocation import (
            EmbeddingInvocation,
            SuppressedEmbeddingInvocation,
        )
        from opentelemetry.util.genai._inference_invocation import (
            InferenceInvocation,
            SuppressedInferenceInvocation,
        )
        from opentelemetry.util.genai.handler import TelemetryHandler

        finishes = (InferenceInvocation._apply_finish, EmbeddingInvocation._apply_finish)
        starts = (TelemetryHandler.inference, TelemetryHandler.embedding)
    except (ImportError, AttributeError) as error:
        _logger.warning(
            "calls of language models have no price: opentelemetry-util-genai has changed (%r)", error
        )
        return False
    if getattr(TelemetryHandler, _DONE, False):
        return True
    suppressed = (SuppressedInferenceInvocation, SuppressedEmbeddingInvocation)

    def starting(original: Any, *, embedding: bool) -> Any:
        @functools.wraps(original)
        def start(self: Any, provider: Any, **kwargs: Any) -> Any:
            allowed(kwargs.get("context"))
            try:
                provider = (
                    provider_of(kwargs.get("server_address"), kwargs.get("server_port"), provider) or provider
                )
            except Exception:
                _logger.debug("the provider is not put right", exc_info=True)
            invocation = original(self, provider, **kwargs)
            if not isinstance(invocation, suppressed):
                begun(invocation, embedding)
            return invocation

        return start

    def finishing(original: Any, *, embedding: bool) -> Any:
        @functools.wraps(original)
        def finish(self: Any, error: Any = None) -> None:
            ending(self, error, embedding)
            original(self, error)

        return finish

    _leave_to_parent()
    TelemetryHandler.inference = starting(starts[0], embedding=False)
    TelemetryHandler.embedding = starting(starts[1], embedding=True)
    InferenceInvocation._apply_finish = finishing(finishes[0], embedding=False)
    EmbeddingInvocation._apply_finish = finishing(finishes[1], embedding=True)
    setattr(TelemetryHandler, _DONE, True)
    return True


def _leave_to_parent() -> None:
    """Have a forked child end no call that its parent began: what the child collects or closes, the parent still reads.

    Touches `GenAIInvocation._finish`. The clock of an invocation goes on over a fork, so that nothing is to be remembered.
    """
    from opentelemetry.util.genai._invocation import GenAIInvocation

    finish = GenAIInvocation._finish
    forked_at = float("-inf")

    def forked() -> None:
        nonlocal forked_at
        forked_at = timeit.default_timer()

    @functools.wraps(finish)
    def finish_here(self: Any, error: Any = None) -> None:
        if self._monotonic_start_s > forked_at:
            finish(self, error)
        elif not self._finished:
            self._finished = True
            self.suspend()

    in_child(forked)
    GenAIInvocation._finish = finish_here


def data_of(invocation: Any, *, embedding: bool) -> Any:
    """The data of an invocation, complete: with what those inside of it gave to its context.

    util-genai puts the two together when it sets the attributes, which is too late for a price; doing it twice is the
    same as once.
    """
    shared = shared_data(invocation._span_context, embedding=embedding)
    if shared is not None:
        if shared.provider_name is not None or shared.attributes or shared.metric_attributes:
            invocation.enrich_from_context(shared)
        else:
            # Whoever was inside has said at least who the provider is; copying nothing takes upstream 15 µs.
            invocation.enrich_from_context = _nothing_inside
    return invocation._data if embedding else invocation.data


def _nothing_inside(_data: Any) -> None:
    """Stand in for what copies the data of those inside."""


def shared_data(context: Context | None, *, embedding: bool) -> Any:
    """What invocations inside of the current one share with it; None outside of any."""
    get_value, of_inference, of_embedding = _reading()
    return get_value(of_embedding if embedding else of_inference, context)


@functools.cache
def _reading() -> tuple[Any, str, str]:
    """How a context is read, and where: four of these in each call, and an import statement takes a microsecond."""
    from opentelemetry.context import get_value
    from opentelemetry.util.genai.invocation import (
        CLIENT_EMBEDDING_CONTEXT_KEY,
        CLIENT_INFERENCE_CONTEXT_KEY,
    )

    return get_value, CLIENT_INFERENCE_CONTEXT_KEY, CLIENT_EMBEDDING_CONTEXT_KEY


def held(data: Any) -> Any:
    """What `hold` put on shared data; None where nothing was."""
    return data.__dict__.get(_HELD) if data is not None else None


def hold(invocation: Any, seen: Any, *, embedding: bool) -> None:
    """Put what we know of a call where every hook that runs inside of it finds it: on the data of its context.

    An attribute of our own, since the context itself is attached already and cannot be changed.
    """
    data = shared_data(invocation._span_context, embedding=embedding)
    if data is not None:
        data.__dict__[_HELD] = seen


def context_of(invocation: Any) -> Context:
    """The context of an invocation, with its span."""
    return invocation._span_context


def began_at(invocation: Any) -> float:
    """When an invocation began, in seconds of `timeit.default_timer`."""
    return invocation._monotonic_start_s


def streams(invocation: Any) -> bool:
    """Whether the answer comes in parts; the public property of inferences is not there on embeddings."""
    return bool(getattr(invocation, "_request_stream", None))


def record_with(invocation: Any, instruments: Any) -> None:
    """Have an invocation record its metrics with other instruments: those of another generation of names."""
    invocation._instruments = instruments


def instruments_of(invocation: Any) -> Any:
    """The instruments with which an invocation records."""
    return invocation._instruments
