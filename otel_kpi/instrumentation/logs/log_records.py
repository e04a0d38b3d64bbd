"""Log records on their way to OpenTelemetry, whatever library they were written with.

`logging`, structlog and loguru hand the same record to each other: an `InterceptHandler` gives those of `logging`
to loguru, structlog writes through `logging`, a sink of loguru propagates to `logging`. A record leaves once, from
where it was written: while one is being delivered, a nested one of the same text is the same one.
"""

from __future__ import annotations

import functools
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import trace
from opentelemetry._logs import NoOpLogger, get_logger_provider
from opentelemetry._logs.severity import SeverityNumber

from otel_kpi.instrumentation.servers.excluded_urls import is_excluded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry._logs import Logger, LoggerProvider, LogRecord
    from opentelemetry.util.types import AnyValue

    from otel_kpi.instrumentation.boundary import Boundary

_OWN: Final = ("opentelemetry", "otel_kpi")
_OF_APPLICATION: Final = frozenset({"otel_kpi.slow_requests", "otel_kpi.health"})
"""Loggers of ours that say what is wrong with the application and not with telemetry."""
_MAX_SCOPES: Final = 1000
_MAX_STACKTRACE: Final = 16_384
"""Characters; the end of a stack trace, where the error is, is kept."""


class Delivery(threading.local):
    """What this thread is doing with a log record.

    Attributes:
        recording: One of ours is being made; whatever that logs is not worth another.
        text: Gives the text of the record whose handlers run now; None when none do.
        event: Text and fields of an event that structlog has just handed to `logging`.
    """

    recording: bool = False
    text: Callable[[], str] | None = None
    event: tuple[str, Mapping[str, Any]] | None = None

    def is_repeated(self, text: str) -> bool:
        """Say whether the record that is being delivered has this text; a handler may have put more around it."""
        if self.text is None:
            return False
        outer = self.text()
        return bool(text) and (text in outer or (bool(outer) and outer in text))


DELIVERY: Final = Delivery()


class Emitter:
    """Sends records through the global logger provider."""

    def __init__(self) -> None:
        self._provider: LoggerProvider | None = None
        self._scopes: dict[str, Logger] = {}

    def sends(self, name: str) -> bool:
        """Say whether a record of this logger would leave."""
        return not is_ours(name) and not isinstance(self._scope(name), NoOpLogger)

    def emit(self, name: str, record: LogRecord) -> None:
        """Send a record of the logger `name`."""
        if is_excluded(record.context):
            # Of a request that leaves no trace: the ids there name a trace that nobody records.
            record.trace_id, record.span_id, record.trace_flags = 0, 0, trace.TraceFlags()
        self._scope(name).emit(record)

    def guarded(self, boundary: Boundary, send: Callable[[], None]) -> None:
        """Call `send`; what it logs itself does not come here again, what it raises is the boundary's. Never raises."""
        if DELIVERY.recording:
            return
        DELIVERY.recording = True
        try:
            send()
        except Exception as error:
            boundary.failed(error)
        finally:
            DELIVERY.recording = False

    def forget(self) -> None:
        """Forget the scopes of the provider."""
        self._provider, self._scopes = None, {}

    def _scope(self, name: str) -> Logger:
        provider = get_logger_provider()
        if provider is not self._provider:
            self.forget()
            self._provider = provider
        scope = self._scopes.get(name)
        if scope is None:
            # Providers keep every scope for good; names made per object would grow without bound.
            if len(self._scopes) >= _MAX_SCOPES:
                name = "logging"
                scope = self._scopes.get(name)
            if scope is None:
                scope = self._scopes[name] = provider.get_logger(name)
        return scope


EMITTER: Final = Emitter()
"""The one of this process, for every library."""


def is_ours(name: str) -> bool:
    """Say whether a logger speaks about telemetry itself."""
    return name.partition(".")[0] in _OWN and name not in _OF_APPLICATION


@functools.lru_cache(maxsize=64)
def severity(level: int) -> SeverityNumber:
    """Map a level of `logging`, custom ones too: ten levels are four severities."""
    if level <= 0:
        return SeverityNumber.UNSPECIFIED
    # DEBUG 10 → 5, INFO 20 → 9, WARNING 30 → 13, ERROR 40 → 17, CRITICAL 50 → 21; below DEBUG is TRACE.
    base, step = divmod(level, 10)
    return SeverityNumber(min(24, base * 4 + 1 + min(3, step * 4 // 10)))


def current_ids() -> tuple[str, str] | None:
    """Trace and span id of the current span in hexadecimal, for text."""
    context = trace.get_current_span().get_span_context()
    if not context.is_valid or is_excluded():
        return None
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)


def simple_attributes(fields: Mapping[str, Any], *, without: frozenset[str]) -> dict[str, AnyValue]:
    """Give the fields whose values are text, numbers, flags or lists of these."""
    return {str(key): value for key, value in fields.items() if key not in without and _is_simple(value)}


def exception_attributes(error: BaseException, stacktrace: str | None = None) -> dict[str, AnyValue]:
    """Give `exception.type`, `exception.message` and `exception.stacktrace`.

    Args:
        error: The exception.
        stacktrace: Its stack as text, where somebody has formatted it already.
    """
    cls = type(error)
    kind = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    attributes: dict[str, AnyValue] = {"exception.type": kind}
    try:
        attributes["exception.message"] = str(error)
        text = stacktrace or "".join(traceback.format_exception(error))
    except Exception:
        return attributes
    attributes["exception.stacktrace"] = end_of_stack(text)
    return attributes


def end_of_stack(text: str) -> str:
    """Give the end of a long stack trace."""
    return text[-_MAX_STACKTRACE:]


def _is_simple(value: object) -> bool:
    if isinstance(value, (str, bool, int, float)):
        return True
    if not isinstance(value, (list, tuple)):
        return False
    items = cast("Sequence[object]", value)
    return all(isinstance(item, (str, bool, int, float)) for item in items)
