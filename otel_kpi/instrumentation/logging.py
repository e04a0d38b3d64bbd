"""Python's `logging` to OpenTelemetry log records, and the trace into every record.

No handler is added anywhere: one on the root logger would make `basicConfig` a no-op and `dictConfig` would
remove it. `Logger.callHandlers` is what every record passes that its logger's level and filters let through,
whatever handlers there are, also for loggers that do not propagate.
"""

from __future__ import annotations

import logging
import threading
import traceback
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context, trace
from opentelemetry._logs import LogRecord, NoOpLogger, get_logger_provider
from opentelemetry._logs.severity import SeverityNumber

from otel_kpi import _compat

if TYPE_CHECKING:
    from opentelemetry._logs import Logger, LoggerProvider
    from opentelemetry.util.types import AnyValue

_OWN: Final = ("opentelemetry", "otel_kpi")
_TRANSPORTS: Final = ("urllib3", "requests", "httpcore", "httpx", "grpc", "http")
"""Loggers of what exporters are made of: under suppression their records are about sending our own."""

_MAX_SCOPES: Final = 1000
_MAX_STACKTRACE: Final = 16_384
"""Characters; the end of a stack trace, where the error is, is kept."""

_SENT: Final = "_otel_kpi_sent"
"""Marks a record that went out, so that a listener in another thread or process does not send it again."""

_KNOWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime",
    "message",
    "taskName",
    "color_message",  # uvicorn's message again, with escape sequences
    "otelTraceID",
    "otelSpanID",
    "otelTraceSampled",
    "otelServiceName",
    _SENT,
}

_guard: Final = threading.local()


class Instrumentor:
    """Wraps `logging.Logger.callHandlers` once, for every logger of the process."""

    def __init__(self) -> None:
        self._original: Any = None
        self._emitter = Emitter()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether this instrumentor is in place."""
        return self._original is not None

    @property
    def errors(self) -> int:
        """Records that were lost to an error of ours."""
        return self._emitter.errors

    def instrument(self, **_options: Any) -> None:
        """Wrap the method."""
        original = self._original = logging.Logger.callHandlers
        emitter = self._emitter

        def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
            emitter.handle(self, record)
            original(self, record)

        callHandlers.__wrapped__ = original  # type: ignore[attr-defined] # as functools.wraps sets it
        logging.Logger.callHandlers = callHandlers  # type: ignore[method-assign] # what this is for

    def uninstrument(self) -> None:
        """Put the method back; what others wrapped around ours stays."""
        if getattr(logging.Logger.callHandlers, "__wrapped__", None) is self._original:
            logging.Logger.callHandlers = self._original  # type: ignore[method-assign] # and back
        else:
            self._emitter.enabled = False
        self._original = None


class Emitter:
    """Stamps the trace on records and sends them through the global logger provider. Never raises."""

    def __init__(self) -> None:
        self.enabled = True
        self.errors = 0
        self._provider: LoggerProvider | None = None
        self._scopes: dict[str, Logger] = {}

    def handle(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        """Stamp a record and send it once."""
        if not self.enabled or getattr(_guard, "inside", False) or _SENT in record.__dict__:
            return
        _guard.inside = True
        try:
            # A handler of the user's that sends to OpenTelemetry would send our stamps as attributes.
            if not _has_otel_handler(logger):
                self._stamp(record)
                if not _is_ours(record.name):
                    self._emit(record)
        except Exception:
            # A line about it would be a record, and end here again.
            self.errors += 1
        finally:
            _guard.inside = False

    def _stamp(self, record: logging.LogRecord) -> None:
        """Set the attributes that upstream's logging instrumentor sets, for the application's own formats."""
        span_context = trace.get_current_span().get_span_context()
        fields = record.__dict__
        fields.setdefault("otelServiceName", _service_name())
        if span_context.is_valid:
            fields.setdefault("otelTraceID", f"{span_context.trace_id:032x}")
            fields.setdefault("otelSpanID", f"{span_context.span_id:016x}")
            fields.setdefault("otelTraceSampled", span_context.trace_flags.sampled)
        else:
            fields.setdefault("otelTraceID", "0")
            fields.setdefault("otelSpanID", "0")
            fields.setdefault("otelTraceSampled", False)

    def _emit(self, record: logging.LogRecord) -> None:
        if _compat.suppressed() and record.name.partition(".")[0] in _TRANSPORTS:
            return
        scope = self._scope(record.name)
        if isinstance(scope, NoOpLogger):
            return
        record.__dict__[_SENT] = True
        scope.emit(translate(record))

    def _scope(self, name: str) -> Logger:
        provider = get_logger_provider()
        if provider is not self._provider:
            self._provider = provider
            self._scopes = {}
        scope = self._scopes.get(name)
        if scope is None:
            # Providers keep every scope for good; names made per object would grow without bound.
            if len(self._scopes) >= _MAX_SCOPES:
                name = "logging"
                scope = self._scopes.get(name)
            if scope is None:
                scope = self._scopes[name] = provider.get_logger(name)
        return scope


def _service_name() -> str:
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    return "" if resource is None else str(resource.attributes.get("service.name", ""))


def translate(record: logging.LogRecord) -> LogRecord:
    """Make the OpenTelemetry log record of a `logging` record, in the current context."""
    return LogRecord(
        timestamp=round(record.created * 1e6) * 1000,  # a double holds microseconds of today, not nanoseconds
        context=context.get_current(),
        severity_number=severity(record.levelno),
        severity_text=record.levelname,
        body=_body(record),
        attributes=_attributes(record),
    )


def severity(level: int) -> SeverityNumber:
    """Map a level of `logging`, custom ones too: ten levels are four severities."""
    if level <= 0:
        return SeverityNumber.UNSPECIFIED
    # DEBUG 10 → 5, INFO 20 → 9, WARNING 30 → 13, ERROR 40 → 17, CRITICAL 50 → 21; below DEBUG is TRACE.
    base, step = divmod(level, 10)
    return SeverityNumber(min(24, base * 4 + 1 + min(3, step * 4 // 10)))


def _body(record: logging.LogRecord) -> AnyValue:
    try:
        return record.getMessage()
    except Exception:
        # The handlers report it as they always did; the template still says what it was about.
        return str(record.msg)


def _attributes(record: logging.LogRecord) -> dict[str, AnyValue]:
    attributes: dict[str, AnyValue] = {
        key: value for key, value in record.__dict__.items() if key not in _KNOWN_FIELDS and _is_simple(value)
    }
    attributes["code.file.path"] = record.pathname
    attributes["code.line.number"] = record.lineno
    if record.funcName:
        attributes["code.function.name"] = record.funcName
    exc_info: Any = record.exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3 and exc_info[1] is not None:  # noqa: PLR2004 - type, value, traceback
        attributes.update(_exception(exc_info[1]))
    if record.stack_info:
        attributes["code.stacktrace"] = record.stack_info[-_MAX_STACKTRACE:]
    return attributes


def _exception(error: BaseException) -> dict[str, AnyValue]:
    cls = type(error)
    kind = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    attributes: dict[str, AnyValue] = {"exception.type": kind}
    try:
        attributes["exception.message"] = str(error)
        text = "".join(traceback.format_exception(error))
    except Exception:
        return attributes
    attributes["exception.stacktrace"] = text[-_MAX_STACKTRACE:]
    return attributes


def _is_simple(value: object) -> bool:
    if isinstance(value, (str, bool, int, float)):
        return True
    return isinstance(value, (list, tuple)) and all(
        isinstance(item, (str, bool, int, float)) for item in value
    )  # pyright: ignore[reportUnknownVariableType]


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in _OWN


def _has_otel_handler(logger: logging.Logger) -> bool:
    """Say whether the user attached a handler that sends records to OpenTelemetry itself."""
    current: logging.Logger | None = logger
    while current is not None:
        for handler in current.handlers:
            if type(handler).__module__.startswith("opentelemetry."):
                return True
        current = current.parent if current.propagate else None
    return False
