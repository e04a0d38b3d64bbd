"""Python's `logging` to OpenTelemetry log records, and the trace into the application's own output where it asks.

No handler is added anywhere: one on the root logger would make `basicConfig` a no-op and `dictConfig` would
remove it. `Logger.callHandlers` is what every record passes that its logger's level and filters let through,
whatever handlers there are, also for loggers that do not propagate.

The application's handlers come first. They format the record, and what they made of it is sent: it is formatted
once, and what a filter of theirs took out stays out.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import context, trace
from opentelemetry._logs import LogRecord

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.logs.log_records import (
    DELIVERY,
    EMITTER,
    end_of_stack,
    exception_attributes,
    severity,
    simple_attributes,
)
from otel_kpi.instrumentation.servers.excluded_urls import is_excluded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.util.types import AnyValue

_BOUNDARY: Final = Boundary("logging")

_TRANSPORTS: Final = ("urllib3", "requests", "httpcore", "httpx", "grpc", "http")
"""Loggers of what exporters are made of: under suppression their records are about sending our own."""

_UPSTREAM: Final = "opentelemetry.instrumentation.logging"

_SENT: Final = "_otel_kpi_sent"
"""Marks a record that went out, so that a listener in another thread or process does not send it again."""

_STAMPS: Final = {"otelTraceID": "0", "otelSpanID": "0", "otelTraceSampled": False, "otelServiceName": ""}

_PASSING_ON: Final = ("prepare", "enqueue", "makePickle", "mapLogRecord")
"""What handlers have that hand records on: `QueueHandler`, `SocketHandler`, `HTTPHandler` and their like."""

_KNOWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime",
    "message",
    "taskName",
    "color_message",  # uvicorn's message again, with escape sequences
    *_STAMPS,
    _SENT,
}
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")


class Instrumentor:
    """Wraps `logging.Logger.callHandlers` once, for every logger of the process.

    Attributes:
        foreign: Whether upstream's took our place, by the application's call.
    """

    def __init__(self) -> None:
        self.foreign = False
        self._original: Any = None
        self._enabled = False
        self._lowest = logging.NOTSET
        self._exports = True
        self._correlation = False

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether this instrumentor is in place."""
        return self._original is not None

    def instrument(
        self,
        *,
        correlation: bool = False,
        text_format: str = "",
        root_level: str | None = None,
        lowest_level: str = "notset",
        exports: bool = True,
        **_options: Any,
    ) -> None:
        """Wrap the method.

        Args:
            correlation: Give `text_format` to handlers that have no format of their own.
            text_format: With `%(otelTraceID)s` and its kind in it.
            root_level: Level of the root logger from now on; None leaves it.
            lowest_level: Lowest level that is sent.
            exports: Whether records are sent at all.
        """
        self._lowest = logging.getLevelNamesMapping()[lowest_level.upper()]
        self._exports = exports
        self._correlation = correlation
        if root_level is not None:
            logging.getLogger().setLevel(root_level.upper())
        if correlation:
            _compat.set_default_log_format(text_format, _STAMPS)
        original = self._original = logging.Logger.callHandlers
        self._enabled = True
        instrumentor = self

        def callHandlers(self: logging.Logger, record: logging.LogRecord) -> None:  # noqa: N802 -- logging's name
            state = instrumentor._before(self, record)
            if state is None:
                original(self, record)
                return
            outer, DELIVERY.text = DELIVERY.text, record.getMessage
            try:
                original(self, record)
            finally:
                DELIVERY.text = outer
                EMITTER.guarded(_BOUNDARY, lambda: EMITTER.emit(record.name, translate(record, state)))

        _compat.after_import(_UPSTREAM, self._yield_to_the_user)
        # structlog's formatters look for the place of a record on the stack, past the frames of `logging`.
        seen_as_logging = FunctionType(
            callHandlers.__code__,
            {**globals(), "__name__": logging.__name__},
            closure=callHandlers.__closure__,
        )
        seen_as_logging.__wrapped__ = original  # type: ignore[attr-defined] # as functools.wraps sets it
        logging.Logger.callHandlers = seen_as_logging  # type: ignore[method-assign] # what this is for

    def uninstrument(self) -> None:
        """Put the method back; what others wrapped around ours stays."""
        if self._original is None:
            return
        if getattr(logging.Logger.callHandlers, "__wrapped__", None) is self._original:
            logging.Logger.callHandlers = self._original  # type: ignore[method-assign] # and back
        self._enabled = False
        self._original = None
        EMITTER.forget()
        _compat.restore_default_log_format()

    def _yield_to_the_user(self, upstream: Any) -> None:
        """Let a `LoggingInstrumentor().instrument(…)` of the application take our place, with its options."""
        theirs = upstream.LoggingInstrumentor()
        instrument = theirs.instrument

        def in_our_place(**options: Any) -> Any:
            self.uninstrument()
            self.foreign = True
            return instrument(**options)

        theirs.instrument = in_our_place

    def _before(self, logger: logging.Logger, record: logging.LogRecord) -> Written | None:
        """Stamp a record, and remember how it was written; None when it is not to be sent."""
        if not self._enabled or not _BOUNDARY.open or DELIVERY.recording or _SENT in record.__dict__:
            return None
        try:
            handlers = _Handlers(logger)
            if handlers.send:
                return None
            # Not on every record: formatters that print all of its attributes are many.
            if self._correlation or handlers.show or handlers.pass_on:
                _stamp(record)
            if not self._leaves(record):
                return None
            if handlers.pass_on:
                record.__dict__[_SENT] = True
            return written(record)
        except Exception as error:
            _BOUNDARY.failed(error)
            return None

    def _leaves(self, record: logging.LogRecord) -> bool:
        """Say whether a record is to be sent from here."""
        if not self._exports or record.levelno < self._lowest or not EMITTER.sends(record.name):
            return False
        if _compat.suppressed() and record.name.partition(".")[0] in _TRANSPORTS:
            return False
        return DELIVERY.text is None or not DELIVERY.is_repeated(record.getMessage())


@dataclass(frozen=True, slots=True)
class Written:
    """What a record said before the application's handlers had it: some paint its level, some add fields.

    Attributes:
        context: Where it was written.
        severity_text: Its level's name.
        message: Template and arguments.
        body: What an event of structlog is about; None for a record of `logging` itself.
        attributes: Its extra fields.
    """

    context: Context
    severity_text: str
    message: tuple[Any, Any]
    body: str | None
    attributes: dict[str, AnyValue]


def written(record: logging.LogRecord) -> Written:
    """Remember a record in the current context."""
    body, fields = _structlog_event(record)
    attributes = simple_attributes(record.__dict__, without=_KNOWN_FIELDS)
    if fields:
        attributes.update(fields)
    return Written(context.get_current(), record.levelname, (record.msg, record.args), body, attributes)


def translate(record: logging.LogRecord, state: Written) -> LogRecord:
    """Make the OpenTelemetry log record of a `logging` record."""
    return LogRecord(
        timestamp=round(record.created * 1e6) * 1000,  # a double holds microseconds of today, not nanoseconds
        context=state.context,
        severity_number=severity(record.levelno),
        severity_text=state.severity_text,
        body=state.body if state.body is not None else _message(record, state),
        attributes=state.attributes | _place_and_error(record),
    )


def _message(record: logging.LogRecord, state: Written) -> str:
    """The text that a handler made of the record, or else ours."""
    made = record.__dict__.get("message")
    template, arguments = state.message
    unchanged = record.msg is template and record.args is arguments
    if unchanged and isinstance(made, str) and isinstance(template, str) and "\x1b" not in made:
        return made
    try:
        text = record.getMessage()
    except Exception:
        # The handlers report it as they always did; the template still says what it was about.
        return str(record.msg)
    return text if unchanged else _ESCAPES.sub("", text)


def _structlog_event(record: logging.LogRecord) -> tuple[str | None, dict[str, AnyValue]]:
    """Text and fields of an event that structlog wrote through `logging`."""
    from_structlog, DELIVERY.event = DELIVERY.event, None
    if from_structlog is not None and from_structlog[0] is record.msg:
        fields = from_structlog[1]
    elif isinstance(record.msg, dict) and "_logger" in record.__dict__:
        fields = cast("Mapping[str, Any]", record.msg)  # `ProcessorFormatter.wrap_for_formatter`
    else:
        return None, {}
    from otel_kpi.instrumentation.logs.structlog import body_and_attributes

    return body_and_attributes(fields)


def _place_and_error(record: logging.LogRecord) -> dict[str, AnyValue]:
    attributes: dict[str, AnyValue] = {
        "code.file.path": record.pathname,
        "code.line.number": record.lineno,
    }
    if record.funcName:
        attributes["code.function.name"] = record.funcName
    exc_info: Any = record.exc_info
    if isinstance(exc_info, tuple) and len(exc_info) == 3 and exc_info[1] is not None:  # noqa: PLR2004 - type, value, traceback
        # `Formatter` keeps what it made of the exception; another kind of text may be short or coloured.
        made = f"{record.exc_text}\n" if (record.exc_text or "").startswith("Traceback (") else None
        attributes.update(exception_attributes(exc_info[1], made))
    if record.stack_info:
        attributes["code.stacktrace"] = end_of_stack(record.stack_info)
    return attributes


def _stamp(record: logging.LogRecord) -> None:
    """Set the attributes that upstream's logging instrumentor sets, for the application's own formats."""
    span_context = trace.get_current_span().get_span_context()
    fields = record.__dict__
    fields.setdefault("otelServiceName", _service_name())
    if span_context.is_valid and not is_excluded():
        fields.setdefault("otelTraceID", f"{span_context.trace_id:032x}")
        fields.setdefault("otelSpanID", f"{span_context.span_id:016x}")
        fields.setdefault("otelTraceSampled", span_context.trace_flags.sampled)
    else:
        fields.setdefault("otelTraceID", "0")
        fields.setdefault("otelSpanID", "0")
        fields.setdefault("otelTraceSampled", False)


def _service_name() -> str:
    resource = getattr(trace.get_tracer_provider(), "resource", None)
    return "" if resource is None else str(resource.attributes.get("service.name", ""))


class _Handlers:
    """What the handlers that a record will reach do with it.

    Attributes:
        send: One of them sends to OpenTelemetry itself, by the user's wish.
        show: One of them has a format that names our stamps.
        pass_on: One of them hands the record to another thread, process or machine.
    """

    __slots__ = ("pass_on", "send", "show")

    def __init__(self, logger: logging.Logger) -> None:
        self.send = self.show = self.pass_on = False
        current: logging.Logger | None = logger
        while current is not None:
            for handler in current.handlers:
                self.send = self.send or type(handler).__module__.startswith("opentelemetry.")
                self.pass_on = self.pass_on or any(hasattr(handler, name) for name in _PASSING_ON)
                text_format = getattr(handler.formatter, "_fmt", None)
                self.show = self.show or (isinstance(text_format, str) and "otel" in text_format)
            current = current.parent if current.propagate else None
