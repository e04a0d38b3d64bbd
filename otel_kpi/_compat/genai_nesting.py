"""One inference of opentelemetry-util-genai inside of another: a framework's over that of the provider's package.

Upstream tells them apart by what lies in the context, and lets the inner one hand its data over without a span of its
own. Nothing public says which of the two does what, so the places where it decides are asked here.
"""

from __future__ import annotations

import functools
import logging
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_NEST: Final = "_otel_kpi_nest"
_DONE: Final = "_otel_kpi_nests"


class Over:
    """Stands on the data of an inference that has ended, when nothing was within it."""

    __slots__ = ()


OVER: Final = Over()


def follow_nesting(  # noqa: C901 - one function for each place
    where: Callable[[Any, Context | None], Context | None],
    inner_ended: Callable[[Any, Any, bool], None],
    outer_ends: Callable[[Any, Any], None],
) -> bool:
    """Have inferences inside of inferences told of, once for the process.

    Args:
        where: Called with the shared data that a new inference finds in its context, and that context (None is the
            current one); gives the one that it is to have.
        inner_ended: Called with the shared data, the invocation inside that handed over its own, and whether it failed.
        outer_ends: Called with an invocation that has a span and something noted on its shared data, and these, before it
            sets its attributes.

    Returns:
        Whether util-genai is installed and has the shape that is known here.
    """
    try:
        from opentelemetry.context import get_value
        from opentelemetry.util.genai._inference_invocation import (
            CLIENT_INFERENCE_CONTEXT_KEY,
            InferenceInvocation,
            SuppressedInferenceInvocation,
        )
        from opentelemetry.util.genai.handler import TelemetryHandler

        start = TelemetryHandler.inference
        finish, hand_over = InferenceInvocation._finish, SuppressedInferenceInvocation._finish
    except (ImportError, AttributeError) as error:
        _logger.warning(
            "calls inside of calls are counted as upstream does it: opentelemetry-util-genai has changed (%r)",
            error,
        )
        return False
    if getattr(TelemetryHandler, _DONE, False):
        return True

    # Most calls are not within another: for these there is one look into the context at each end.
    @functools.wraps(start)
    def inference(self: Any, provider: Any, **kwargs: Any) -> Any:
        try:
            context = kwargs.get("context")
            data = get_value(CLIENT_INFERENCE_CONTEXT_KEY, context)
            if data is not None:
                kwargs["context"] = where(data, context)
        except Exception:
            _logger.debug("a call inside of a call is upstream's to judge", exc_info=True)
        return start(self, provider, **kwargs)

    @functools.wraps(finish)
    def finish_outer(self: Any, error: Any = None) -> None:
        if not self._finished:
            try:
                data: Any = get_value(CLIENT_INFERENCE_CONTEXT_KEY, self._span_context)
                if data is not None and data.__dict__.setdefault(_NEST, OVER) is not OVER:
                    outer_ends(self, data)
            except Exception:
                _logger.debug("a call keeps what its framework says of it", exc_info=True)
        finish(self, error)

    @functools.wraps(hand_over)
    def finish_inner(self: Any, error: Any = None) -> None:
        ended = self._finished
        hand_over(self, error)
        if not ended:
            try:
                inner_ended(
                    get_value(CLIENT_INFERENCE_CONTEXT_KEY, self._span_context), self, error is not None
                )
            except Exception:
                _logger.debug("a call keeps what its framework says of it", exc_info=True)

    TelemetryHandler.inference = inference
    InferenceInvocation._finish = finish_outer
    SuppressedInferenceInvocation._finish = finish_inner
    setattr(TelemetryHandler, _DONE, True)
    return True


def inference_data(context: Context | None) -> Any:
    """What an inference shares with those inside of it; None outside of any."""
    from opentelemetry.context import get_value
    from opentelemetry.util.genai.invocation import CLIENT_INFERENCE_CONTEXT_KEY

    return get_value(CLIENT_INFERENCE_CONTEXT_KEY, context=context)


def outside_inference(context: Context | None) -> Context:
    """A context as it would be outside of its inference, with the same span."""
    from opentelemetry.context import set_value
    from opentelemetry.util.genai.invocation import CLIENT_INFERENCE_CONTEXT_KEY

    return set_value(CLIENT_INFERENCE_CONTEXT_KEY, None, context=context)


def nest_of(data: Any, make: Callable[[], Any] | None = None) -> Any:
    """What is noted of shared data, by an attribute of ours; made when `make` is given and nothing is.

    Atomic: two calls that begin at once find the same. `OVER` where the inference has ended.
    """
    found = data.__dict__.get(_NEST)
    if found is None and make is not None:
        found = data.__dict__.setdefault(_NEST, make())
    return found


def prefer(outer: Any, inner: Any, names: frozenset[str], prefix: str = "") -> None:
    """Have the data of an invocation say what that inside of it says, of fields with these names or this prefix.

    What the inner one does not know stays, but of a prefix all fields come from one of the two: half a usage of each
    would be the usage of nobody.
    """
    ours, theirs = outer.data, inner
    known = bool(prefix) and any(
        getattr(theirs, each.name) is not None for each in fields(theirs) if each.name.startswith(prefix)
    )
    for each in fields(theirs):
        value = getattr(theirs, each.name)
        if (known and each.name.startswith(prefix)) or (each.name in names and value is not None):
            setattr(ours, each.name, value)


def forget(invocation: Any, prefix: str) -> None:
    """Have an invocation know nothing of the fields with a prefix."""
    for each in fields(invocation.data):
        if each.name.startswith(prefix):
            setattr(invocation.data, each.name, None)


def unmeasured(invocation: Any) -> None:
    """Have an invocation that called nobody record no metrics; its span stays."""
    invocation._record_client_metrics = _nothing


def _nothing() -> None:
    """Stand in for what records."""
