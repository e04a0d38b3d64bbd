"""How the streams of opentelemetry-util-genai end, which its wrappers know and do not say.

A stream that the application closes before its end is a success to them, one that it drops or whose task is cancelled an
error of the provider's, and an exception of the application's own, raised between two chunks, is that of the call.
"""

from __future__ import annotations

import _thread
import asyncio
import functools
import gc
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_MARK: Final = "_otel_kpi_endings"
_CHUNKS: Final = "_otel_kpi_chunks"
_CANCELLED: Final = (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt)
_LEAVING: Final = "_self_otel_kpi_leaving"

_collecting = 0
"""The thread that runs the garbage collector; 0 while none does."""


def follow_stream_endings(ended: Callable[[Any, str], bool]) -> bool:
    """Have every stream, and every call that is cancelled, say how it ended.

    Touches `_StreamTelemetry._finalize_success`, `._finalize_failure` and `.__del__`, `__exit__` and `__aexit__` of the two
    stream wrappers, `InferenceInvocation._on_stream_chunk` and `GenAIInvocation.fail`: a completion hook is told neither how
    a stream ended nor of embeddings, and a wrapper of our own around upstream's would no more be the SDK's type.

    Args:
        ended: Called before the invocation finishes, with it and `left` (dropped unread), `closed`, `cancelled` or
            `broken_off`. Returns whether the ending is to be no error, where it was not the provider's.

    Returns:
        Whether util-genai is installed and has the shape that is known here.
    """
    try:
        from opentelemetry.util.genai import stream
        from opentelemetry.util.genai._invocation import GenAIInvocation
        from opentelemetry.util.genai.invocation import EmbeddingInvocation, InferenceInvocation

        endings = _Endings(ended, (InferenceInvocation, EmbeddingInvocation), stream.AbandonedStreamError)
        if getattr(stream._StreamTelemetry, _MARK, False):
            return True
        wrapped = (
            (stream._StreamTelemetry, "_finalize_success", endings.success),
            (stream._StreamTelemetry, "_finalize_failure", endings.failure),
            (stream._StreamTelemetry, "__del__", _deleting),
            (stream.SyncStreamWrapper, "__exit__", _leaving),
            (stream.AsyncStreamWrapper, "__aexit__", _leaving),
            (InferenceInvocation, "_on_stream_chunk", _counting),
            (GenAIInvocation, "fail", endings.fail),
        )
        made = [(cls, name, wrap(getattr(cls, name))) for cls, name, wrap in wrapped]
    except (ImportError, AttributeError) as error:
        _logger.warning("how streams end is not known: opentelemetry-util-genai has changed (%r)", error)
        return False
    endings.finalize_success = stream._StreamTelemetry._finalize_success
    for cls, name, function in made:
        setattr(cls, name, function)
    setattr(stream._StreamTelemetry, _MARK, True)
    gc.callbacks.append(_collects)
    return True


class _Endings:
    """What util-genai's methods do before what they did."""

    finalize_success: Any

    def __init__(
        self, ended: Callable[[Any, str], bool], calls: tuple[type, ...], abandoned: type[Exception]
    ) -> None:
        self._ended = ended
        self._calls = calls
        self._abandoned = abandoned

    def _told(self, invocation: Any, how: str) -> bool:
        try:
            return (
                not isinstance(invocation, self._calls)
                or invocation._finished
                or self._ended(invocation, how)
            )
        except Exception:
            _logger.debug("how a stream ended is not known", exc_info=True)
            return False

    def _how_of(self, error: Any) -> str | None:
        if isinstance(error, self._abandoned):
            return "left"
        return "cancelled" if isinstance(error, _CANCELLED) else None

    def success(self, original: Any) -> Any:
        @functools.wraps(original)
        def finalize_success(proxy: Any) -> None:
            # The wrapper that has read everything says so while it handles the end of the iteration.
            drained = isinstance(sys.exception(), (StopIteration, StopAsyncIteration))
            if not proxy._self_finalized and not drained:
                self._told(proxy._self_invocation, "closed")
            original(proxy)

        return finalize_success

    def failure(self, original: Any) -> Any:
        @functools.wraps(original)
        def finalize_failure(proxy: Any, error: BaseException) -> None:
            if proxy._self_finalized:
                return
            how = self._how_of(error) or ("closed" if getattr(proxy, _LEAVING, False) else "broken_off")
            invocation = proxy._self_invocation
            if isinstance(invocation, self._calls) and self._told(invocation, how) and how != "broken_off":
                self.finalize_success(proxy)
            else:
                original(proxy, error)

        return finalize_failure

    def fail(self, original: Any) -> Any:
        @functools.wraps(original)
        def fail(invocation: Any, error: Any) -> None:
            how = self._how_of(error) if isinstance(invocation, self._calls) else None
            if how is not None and self._told(invocation, how):
                invocation.stop()
            else:
                original(invocation, error)

        return fail


def outside_of_a_collection(function: Callable[..., object], *args: object) -> None:
    """Call something from a finalizer, in a thread of its own where the garbage collector called that.

    The collector runs wherever an object is made: inside of a lock of the SDK's, too, which the end of a span needs. The
    same thread would wait for itself.
    """
    if _collecting == threading.get_ident():
        _thread.start_new_thread(function, args)
    else:
        function(*args)


def _collects(phase: str, _info: Mapping[str, int]) -> None:
    global _collecting
    _collecting = threading.get_ident() if phase == "start" else 0


def _deleting(original: Any) -> Any:
    @functools.wraps(original)
    def del_(self: Any) -> None:
        if getattr(self, "_self_finalized", True):
            return
        try:
            outside_of_a_collection(original, self)
        except Exception:
            # At the end of the process there are no threads any more, and modules are gone.
            _logger.debug("a stream is not ended", exc_info=True)

    return del_


def _leaving(original: Any) -> Any:
    """Note that what is raised inside of a stream's `with` is the application's; awaited or not, as it was."""

    @functools.wraps(original)
    def exit_(self: Any, exc_type: Any, exc_val: Any, exc_tb: Any) -> Any:
        if exc_val is not None:
            setattr(self, _LEAVING, True)
        return original(self, exc_type, exc_val, exc_tb)

    return exit_


def _counting(original: Any) -> Any:
    @functools.wraps(original)
    def on_stream_chunk(self: Any, chunk_at: float) -> None:
        self.__dict__[_CHUNKS] = self.__dict__.get(_CHUNKS, 0) + 1
        try:
            original(self, chunk_at)
        except Exception:
            # A view or a reader of the application's; it comes up in the loop that reads the stream.
            _logger.debug("the time of a chunk is not recorded", exc_info=True)

    return on_stream_chunk


def chunks_of(invocation: Any) -> int:
    """How many parts of its answer an invocation was given."""
    return invocation.__dict__.get(_CHUNKS, 0)
