"""Private parts of opentelemetry-sdk: where it calls what an application plugs in, and lets its errors through."""

from __future__ import annotations

import functools
import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from opentelemetry.sdk._logs import LogRecordProcessor
    from opentelemetry.sdk.trace import SpanProcessor

    Failed = Callable[[Any, BaseException], None]
    """Takes the part that failed, and its error."""


def guarded_span_processors(failed: Failed) -> Any:
    """Give a place for span processors where an error of one reaches neither the application nor the others.

    opentelemetry-sdk takes such a place in the constructor of its provider, but keeps the list of it to itself; an
    application that looks for its own processor finds it there.
    """
    return _span_processors()(failed)


def guarded_log_processors(failed: Failed) -> Any:
    """Give a place for processors of log records, as `guarded_span_processors` for those of spans."""
    return _log_processors()(failed)


def quiet_callbacks(instrument: Any, failed: Failed) -> None:
    """Have the errors of an observable instrument's callbacks given to `failed`.

    opentelemetry-sdk logs each with its traceback, at each collection, for the life of the process. What cannot be
    an observation costs the callback too, not the whole collection.
    """
    instrument._callbacks = [_quiet(callback, failed) for callback in instrument._callbacks]


def _quiet(callback: Any, failed: Failed) -> Callable[[Any], Iterator[Any]]:
    def quiet(options: Any) -> Iterator[Any]:
        try:
            for observation in callback(options):
                math.isfinite(observation.value)
                yield observation
        except Exception as error:
            failed(callback, error)

    return quiet


def _flushed(processors: Iterable[Any], timeout_millis: int, failed: Failed) -> bool:
    deadline = time.monotonic() + timeout_millis / 1000.0
    flushed = True
    for processor in processors:
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        try:
            flushed = processor.force_flush(int(left * 1000)) is not False and flushed
        except Exception as error:
            failed(processor, error)
            flushed = False
    return flushed


def _shut_down(processors: Iterable[Any], failed: Failed) -> None:
    for processor in processors:
        try:
            processor.shutdown()
        except Exception as error:
            failed(processor, error)


@functools.cache
def _span_processors() -> Any:  # noqa: C901 - a class with its methods
    from opentelemetry.sdk.trace import SynchronousMultiSpanProcessor

    class Processors(SynchronousMultiSpanProcessor):
        """Calls each processor; what one raises is counted."""

        _span_processors: tuple[SpanProcessor, ...]

        def __init__(self, failed: Failed) -> None:
            super().__init__()
            self._failed = failed

        def on_start(self, span: Any, parent_context: Any = None) -> None:
            for processor in self._span_processors:
                try:
                    processor.on_start(span, parent_context=parent_context)
                except Exception as error:
                    self._failed(processor, error)

        def _on_ending(self, span: Any) -> None:
            for processor in self._span_processors:
                try:
                    processor._on_ending(span)  # pyright: ignore[reportPrivateUsage]
                except Exception as error:
                    self._failed(processor, error)

        def on_end(self, span: Any) -> None:
            for processor in self._span_processors:
                try:
                    processor.on_end(span)
                except Exception as error:
                    self._failed(processor, error)

        def shutdown(self) -> None:
            _shut_down(self._span_processors, self._failed)

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return _flushed(self._span_processors, timeout_millis, self._failed)

    return Processors


@functools.cache
def _log_processors() -> Any:  # noqa: C901 - a class with its methods
    from opentelemetry.sdk._logs._internal import SynchronousMultiLogRecordProcessor

    class Processors(SynchronousMultiLogRecordProcessor):
        """Calls each processor; what one raises is counted."""

        _log_record_processors: tuple[LogRecordProcessor, ...]

        def __init__(self, failed: Failed) -> None:
            super().__init__()
            self._failed = failed

        def on_emit(self, log_record: Any) -> None:
            for processor in self._log_record_processors:
                try:
                    processor.on_emit(log_record)
                except Exception as error:
                    self._failed(processor, error)

        def enabled(self, **asked: Any) -> bool:
            for processor in self._log_record_processors:
                try:
                    if processor.enabled(**asked):
                        return True
                except Exception as error:
                    self._failed(processor, error)
            return False

        def shutdown(self) -> None:
            _shut_down(self._log_record_processors, self._failed)

        def force_flush(self, timeout_millis: int = 30_000) -> bool:
            return _flushed(self._log_record_processors, timeout_millis, self._failed)

    return Processors
