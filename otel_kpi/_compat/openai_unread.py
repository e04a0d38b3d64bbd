"""Answers of `openai` that the application reads itself: `with_streaming_response` of a call that is no stream.

Upstream's instrumentor calls `parse()` of what such a call gives, before the application has it: the synchronous client
reads the whole body there, and who reads it afterwards gets another error than the connection had; the asynchronous one
gives a coroutine that nobody awaits. The span ends there too, so that what is read later, the usage, is of no call.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_kpi._compat import stainless
from otel_kpi._compat.genai_streams import outside_of_a_collection

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    Told = Callable[[Any, Any], None]

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_MARK: Final = "_otel_kpi_waits"
_LONGEST: Final = 1 << 22
"""Bytes of an answer that are kept until it ends; of a longer one nobody learns the usage."""


def wait_for_reading(told: Told) -> None:
    """Have the span of such a call end when its answer was read or closed, with what the answer says.

    Touches `_set_response_properties` and `_set_embeddings_response_properties` of the package's `patch`, and
    `set_invocation_response_attributes` of its `patch_responses`; `iter_bytes` and `aiter_bytes` of the response of httpx,
    through which each way of reading it goes; `close` of the SDK's own response; and `stop` of the invocation.

    Args:
        told: Given what a watcher keeps of the request, and the JSON of its answer.
    """
    try:
        from openai.types import CreateEmbeddingResponse
        from openai.types.chat import ChatCompletion
        from opentelemetry.instrumentation.genai.openai import patch, patch_responses
    except ImportError as error:
        _logger.warning("raw answers are read by upstream: its package for openai has changed (%r)", error)
        return
    readers: list[tuple[Any, str, Any]] = [
        (patch, "_set_response_properties", ChatCompletion),
        (patch, "_set_embeddings_response_properties", CreateEmbeddingResponse),
    ]
    try:
        from openai.types.responses import Response
    except ImportError:
        pass  # before openai 1.66 there are none
    else:
        readers.append((patch_responses, "set_invocation_response_attributes", Response))
    for module, name, model in readers:
        read = getattr(module, name, None)
        if read is None:
            _logger.warning("raw answers are read by upstream: its package for openai has no %s", name)
        elif not getattr(read, _MARK, False):
            setattr(module, name, _waiting(read, model, told))


def _waiting(read: Any, model: Any, told: Told) -> Any:
    @functools.wraps(read)
    def wait(invocation: Any, result: Any, *args: Any, **kwargs: Any) -> Any:
        response = getattr(result, "http_response", None)
        if response is None or getattr(response, "is_closed", True):
            return read(invocation, result, *args, **kwargs)

        def said(data: Any) -> None:
            kept = response.extensions.get(stainless.KEY)
            if kept is not None:
                told(kept, data)
            read(invocation, model.construct(**data), *args)

        _Unread(invocation, said).follow(result, response)
        return invocation

    setattr(wait, _MARK, True)
    return wait


class _Unread:
    """A call whose answer is on its way to the application."""

    def __init__(self, invocation: Any, said: Callable[[Any], None]) -> None:
        self._invocation = invocation
        self._said = said
        self._ended = False

    def follow(self, result: Any, response: Any) -> None:
        """Wait for the end of a response; the caller has its own context meanwhile."""
        self._invocation.suspend()
        # Upstream stops it as soon as it has handed the response over.
        self._invocation.stop = _nothing
        response.iter_bytes = self._through(response.iter_bytes)
        response.aiter_bytes = self._through_async(response.aiter_bytes)
        cls, self_of = type(result), weakref.ref(result)
        close = cls.close
        if inspect.iscoroutinefunction(close):

            async def close_async() -> None:
                try:
                    await close(self_of())
                finally:
                    self.end()

            result.close = close_async
        else:

            def close_now() -> None:
                try:
                    close(self_of())
                finally:
                    self.end()

            result.close = close_now
        # Who enters no `with` closes nothing.
        weakref.finalize(result, outside_of_a_collection, self.end).atexit = False

    def end(self, error: BaseException | None = None, body: bytes | None = None) -> None:
        """End the call, once, with what was read of its answer."""
        if self._ended:
            return
        self._ended = True
        invocation = self._invocation
        try:
            vars(invocation).pop("stop", None)
            with invocation.activate():
                if body is not None:
                    self._read(body)
                if error is None:
                    invocation.stop()
                else:
                    invocation.fail(error)
        except Exception:
            _logger.debug("a raw answer is not ended", exc_info=True)

    def _read(self, body: bytes) -> None:
        try:
            data = json.loads(body)
            if isinstance(data, dict):
                self._said(data)
        except Exception:
            _logger.debug("a raw answer is not read", exc_info=True)

    def _through(self, read: Any) -> Any:
        def through(*args: Any, **kwargs: Any) -> Generator[bytes]:
            kept = bytearray()
            pieces = read(*args, **kwargs)
            try:
                for piece in pieces:
                    if len(kept) <= _LONGEST:
                        kept += piece
                    yield piece
            except GeneratorExit:
                pieces.close()
                raise
            except BaseException as error:
                self.end(error)
                raise
            self.end(body=bytes(kept) if len(kept) <= _LONGEST else None)

        return through

    def _through_async(self, read: Any) -> Any:
        async def through(*args: Any, **kwargs: Any) -> AsyncGenerator[bytes]:
            kept = bytearray()
            pieces = read(*args, **kwargs)
            try:
                async for piece in pieces:
                    if len(kept) <= _LONGEST:
                        kept += piece
                    yield piece
            except GeneratorExit:
                await pieces.aclose()
                raise
            except BaseException as error:
                self.end(error)
                raise
            self.end(body=bytes(kept) if len(kept) <= _LONGEST else None)

        return through


def _nothing() -> None:
    pass
