"""What OpenTelemetry's packages read of an answer: what they raise on the way reaches nobody, and ends no span early.

SDKs make objects of whatever a provider sends, without looking: a number where choices should be, a list for a usage. The
packages look, and raise. Of a call the boundary keeps that from the application, at the price of the span, and after ten
of them the package is off, by the will of a provider. Of a stream nothing keeps it: it comes up in the middle of the
application's loop. An index of a choice is allocated for as far as it says, so a large one takes all memory there is.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    Failed = Callable[[Exception], None]

_logger: Final = logging.getLogger("otel_kpi.instrumentation")
_MARK: Final = "_otel_kpi_bears"
_FAULTY: Final = "_self_otel_kpi_faulty"
_MOST_CHOICES: Final = 128
"""As many as OpenAI lets anybody ask for; of calls of tools in one answer too."""


def bear_odd_streams(failed: Failed) -> None:
    """Keep what upstream raises over a part of a stream, or over its end, from who reads it; done once for the process.

    Touches `__init__` of util-genai's two stream wrappers, and `_process_chunk`, `_on_stream_end` and `_on_stream_error` of
    each class that is made of them: those are abstract, and each package has its own.

    Args:
        failed: Told of an error, once for each stream.
    """
    try:
        from opentelemetry.util.genai import stream

        classes: tuple[Any, ...] = (stream.SyncStreamWrapper, stream.AsyncStreamWrapper)
    except (ImportError, AttributeError) as error:
        _logger.warning("streams are not guarded: opentelemetry-util-genai has changed (%r)", error)
        return
    for cls in classes:
        if not getattr(cls, _MARK, None):
            cls.__init__ = _guarding(cls.__init__, failed)
            setattr(cls, _MARK, True)


def _guarding(init: Any, failed: Failed) -> Any:
    guarded: set[type] = set()

    @functools.wraps(init)
    def initialize(self: Any, *args: Any, **kwargs: Any) -> None:
        cls: Any = type(self)
        if cls not in guarded:
            guarded.add(cls)
            cls._process_chunk = _bearing(cls._process_chunk, failed)
            cls._on_stream_end = _ending(cls._on_stream_end, failed)
            cls._on_stream_error = _ending(cls._on_stream_error, failed)
        init(self, *args, **kwargs)

    return initialize


def _bearing(process: Any, failed: Failed) -> Any:
    @functools.wraps(process)
    def process_chunk(self: Any, chunk: Any) -> None:
        try:
            process(self, chunk)
        except Exception as error:
            if not getattr(self, _FAULTY, False):
                setattr(self, _FAULTY, True)
                failed(error)

    return process_chunk


def _ending(end: Any, failed: Failed) -> Any:
    @functools.wraps(end)
    def on_stream_end(self: Any, *error: BaseException) -> None:
        try:
            end(self, *error)
        except Exception as fault:
            failed(fault)
            _finish(self._self_invocation, error, failed)

    return on_stream_end


def _finish(invocation: Any, error: tuple[BaseException, ...], failed: Failed) -> None:
    """End a call with what is known of it; nothing of one that has ended."""
    if invocation is None:
        return
    try:
        if error:
            invocation.fail(error[0])
        else:
            invocation.stop()
    except Exception as fault:
        failed(fault)


def bear_managers(passes: type[Exception], failed: Failed) -> None:
    """Have who enters a stream of an SDK's helpers get it, whatever raises where its span begins; done once.

    Touches `SyncStreamManagerWrapper.__enter__` and `AsyncStreamManagerWrapper.__aenter__` of util-genai, which begin the
    span there: past the boundary around what made them.

    Args:
        passes: What the application asked for, and gets.
        failed: Told of an error.
    """
    try:
        from opentelemetry.util.genai import stream

        one, other = stream.SyncStreamManagerWrapper, stream.AsyncStreamManagerWrapper
        enter, enter_async = one.__enter__, other.__aenter__
    except (ImportError, AttributeError) as error:
        _logger.warning(
            "helpers of streams are not guarded: opentelemetry-util-genai has changed (%r)", error
        )
        return
    if getattr(enter, _MARK, False):
        return

    def begun(self: Any) -> bool:
        """Begin the span for the method that does it next; say whether there is one."""
        factory = self._self_invocation_factory
        try:
            invocation = factory()
        except passes:
            raise
        except Exception as error:
            failed(error)
            return False

        def again() -> Any:
            self._self_invocation_factory = factory
            return invocation

        self._self_invocation_factory = again
        return True

    @functools.wraps(enter)
    def entered(self: Any) -> Any:
        return enter(self) if begun(self) else self.__wrapped__.__enter__()

    @functools.wraps(enter_async)
    async def entered_async(self: Any) -> Any:
        return await (enter_async(self) if begun(self) else self.__wrapped__.__aenter__())

    setattr(entered, _MARK, True)
    one.__enter__ = entered
    other.__aenter__ = entered_async


def bear_odd_answers(module: Any, names: tuple[str, ...], failed: Failed) -> tuple[str, ...]:
    """Have functions of a package that read an answer give None where they raise: the call goes on, and its span.

    Args:
        module: Where the functions are looked up when they are called; a class for methods.
        names: Theirs.
        failed: Told of an error.

    Returns:
        The names that this version does not have.
    """
    missing: list[str] = []
    for name in names:
        read = getattr(module, name, None)
        if read is None:
            missing.append(name)
        elif not getattr(read, _MARK, False):
            setattr(module, name, _reading(read, failed))
    return tuple(missing)


def _reading(read: Any, failed: Failed) -> Any:
    @functools.wraps(read)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return read(*args, **kwargs)
        except Exception as error:
            failed(error)
            return None

    setattr(guarded, _MARK, True)
    return guarded


def bound_choices() -> None:
    """Have upstream read no chunk of OpenAI's whose choices or calls of tools have a number that cannot be.

    Touches `_ChatStreamMixin._build_streaming_response` of opentelemetry-instrumentation-genai-openai, which makes as many
    buffers as the number says.
    """
    try:
        from opentelemetry.instrumentation.genai.openai.chat_wrappers import _ChatStreamMixin as mixin

        build = mixin._build_streaming_response
    except (ImportError, AttributeError) as error:
        _logger.warning("numbers of choices are not looked at: upstream has changed (%r)", error)
        return
    if getattr(build, _MARK, False):
        return

    @functools.wraps(build)
    def build_streaming_response(self: Any, chunk: Any) -> None:
        for choice in chunk.choices or ():
            _check(choice.index)
            for call in getattr(choice.delta, "tool_calls", None) or ():
                _check(call.index)
        build(self, chunk)

    setattr(build_streaming_response, _MARK, True)
    mixin._build_streaming_response = build_streaming_response  # type: ignore[method-assign] # what this is for


def _check(index: Any) -> None:
    if type(index) is not int or not 0 <= index < _MOST_CHOICES:
        message = f"a choice with the number {str(index)[:32]}"
        raise ValueError(message)
