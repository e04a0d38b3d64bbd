"""Streams of `openai` that upstream's instrumentor loses: closed past its wrapper, or raw and never parsed."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import genai_answers
from otel_kpi._compat.genai_streams import outside_of_a_collection

if TYPE_CHECKING:
    from collections.abc import Callable

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_MARK: Final = "_otel_kpi_ends"


def end_openai_helpers(broken: Callable[[Exception], None]) -> None:
    """Have `client.chat.completions.stream()` close the stream that it reads, and not only its response.

    Touches `ChatCompletionStream._raw_stream` and its asynchronous twin. The helper closes the HTTP response; upstream's
    wrapper of the stream hears of it when it is garbage, and calls it an abandoned one.

    Args:
        broken: Told of an error of ours.
    """
    try:
        from openai.lib.streaming.chat import AsyncChatCompletionStream, ChatCompletionStream
    except ImportError:
        return  # before openai 1.40 the helper belonged to another API
    if getattr(ChatCompletionStream, _MARK, False):
        return
    close, close_async = ChatCompletionStream.close, AsyncChatCompletionStream.close

    @functools.wraps(close)
    def close_all(self: Any) -> None:
        close(self)
        try:
            self._raw_stream.close()
        except Exception as error:
            broken(error)

    @functools.wraps(close_async)
    async def close_all_async(self: Any) -> None:
        await close_async(self)
        try:
            await self._raw_stream.close()
        except Exception as error:
            broken(error)

    ChatCompletionStream.close = close_all  # type: ignore[method-assign] # what this is for
    AsyncChatCompletionStream.close = close_all_async  # type: ignore[method-assign] # the same
    setattr(ChatCompletionStream, _MARK, True)


def end_raw_responses(left: Callable[[Any], None]) -> None:
    """Have the span of a raw response that is dropped without `parse()` end with it.

    Touches `RawResponseStreamProxy._take_finalize` of opentelemetry-instrumentation-genai-openai, which waits for the
    response to be closed: who drops it closes nothing, and there is no span at all.

    Args:
        left: Told of the invocation before it is finished.
    """
    try:
        from opentelemetry.instrumentation.genai.openai import _raw_response
        from opentelemetry.util.genai.invocation import InferenceInvocation
    except ImportError:
        return
    proxy: Any = _raw_response.RawResponseStreamProxy
    if getattr(proxy, _MARK, False):
        return

    def end(finalize: Any) -> None:
        try:
            for invocation in getattr(finalize, "args", ()):
                if isinstance(invocation, InferenceInvocation):
                    left(invocation)
            finalize()
        except Exception:
            _logger.debug("a raw response is not ended", exc_info=True)

    def deleted(self: Any) -> None:
        try:
            if self._self_parsed is None and (finalize := self._take_finalize()) is not None:
                outside_of_a_collection(end, finalize)
        except Exception:
            # In a finalizer there is nobody to tell; at the end of the process modules are gone.
            _logger.debug("a raw response is not ended", exc_info=True)

    proxy.__del__ = deleted
    setattr(proxy, _MARK, True)


def bear_odd_answers(failed: Callable[[Exception], None]) -> None:
    """Keep what upstream raises over an answer, with its span, and its buffers from growing without an end.

    Touches `patch._set_response_properties`, and what `patch_responses` and `response_wrappers` read answers with.

    Args:
        failed: Told of an error.
    """
    try:
        from opentelemetry.instrumentation.genai.openai import patch, patch_responses, response_wrappers
    except ImportError as error:
        _logger.warning("odd answers are not borne: upstream's package for openai has changed (%r)", error)
        return
    read = ("set_invocation_response_attributes", "get_response_error", "set_fetch_response_attributes")
    missing = [
        *genai_answers.bear_odd_answers(patch, ("_set_response_properties",), failed),
        *genai_answers.bear_odd_answers(patch_responses, read, failed),
        *genai_answers.bear_odd_answers(response_wrappers, read[:2], failed),
    ]
    if missing:
        _logger.warning(
            "odd answers are not borne: upstream's package for openai has no %s", ", ".join(missing)
        )
    genai_answers.bound_choices()
