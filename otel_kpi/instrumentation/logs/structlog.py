"""structlog to OpenTelemetry log records.

An event that is written through `logging` goes out there, with what it consists of; any other goes out from here,
as it is right before the application renders it: after its processors have added, renamed and taken out what they
wanted. No configuration is touched: each logger has two more steps around its last one, and
`structlog.get_config()` says what the application set.
"""

from __future__ import annotations

import logging
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, cast

from opentelemetry import context
from opentelemetry._logs import LogRecord
from opentelemetry._logs.severity import SeverityNumber

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.logs.log_records import (
    DELIVERY,
    EMITTER,
    current_ids,
    end_of_stack,
    exception_attributes,
    severity,
    simple_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import AnyValue

_BOUNDARY: Final = Boundary("structlog")

_LEVELS: Final = {
    "trace": 5,
    "debug": 10,
    "info": 20,
    "msg": 20,
    "warning": 30,
    "warn": 30,
    "error": 40,
    "err": 40,
    "failure": 40,
    "exception": 40,
    "critical": 50,
    "fatal": 50,
}
"""By the name of the level, or of the method that was called."""

_OWN_KEYS: Final = frozenset(
    ("event", "level", "timestamp", "logger", "exc_info", "exception", "stack", "_record", "_logger", "_name",
     "_from_structlog", "trace_id", "span_id")
)  # fmt: skip
"""What structlog's own processors write; it has a place of its own in a log record."""


class Instrumentor:
    """Puts a step before and one after the renderer of every logger."""

    def __init__(self) -> None:
        self._enabled = False
        self._correlation = False
        self._exports = True

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether this instrumentor is in place."""
        return self._enabled

    def instrument(self, *, correlation: bool = False, exports: bool = True, **_options: Any) -> None:
        """Add the steps.

        Args:
            correlation: Write `trace_id` and `span_id` into each event.
            exports: Whether records are sent at all.
        """
        self._enabled, self._correlation, self._exports = True, correlation, exports
        _compat.wrap_structlog_renderer(self._before_renderer, self._after_renderer)

    def uninstrument(self) -> None:
        """Take the steps out again."""
        self._enabled = False
        _compat.unwrap_structlog_renderer()

    def _before_renderer(self, logger: Any, method: str, event: Any) -> Any:
        if DELIVERY.recording or not _BOUNDARY.open or not isinstance(event, dict):
            return event
        fields = cast("dict[str, Any]", event)
        try:
            if self._correlation and (ids := current_ids()) is not None:
                fields.setdefault("trace_id", ids[0])
                fields.setdefault("span_id", ids[1])
            if isinstance(logger, logging.Logger):
                DELIVERY.event = ("", fields.copy())  # the renderer may empty it
            elif not _is_sent_by_upstream(logger):
                name = _name(logger, fields)
                if (
                    self._exports
                    and EMITTER.sends(name)
                    and not DELIVERY.is_repeated(str(fields.get("event", "")))
                ):
                    EMITTER.guarded(_BOUNDARY, lambda: EMITTER.emit(name, translate(method, fields)))
        except Exception as error:
            _BOUNDARY.failed(error)
        return event

    def _after_renderer(self, logger: Any, _method: str, rendered: Any) -> Any:
        event = DELIVERY.event
        if event is not None and isinstance(logger, logging.Logger):
            # `render_to_log_kwargs` gives text and fields to `logging`, which has them then.
            DELIVERY.event = (rendered, event[1]) if isinstance(rendered, str) else None
        return rendered


def translate(method: str, fields: Mapping[str, Any]) -> LogRecord:
    """Make the OpenTelemetry log record of an event, in the current context.

    Args:
        method: The logger's method that was called, for example `"info"`.
        fields: The event as it goes to the renderer.
    """
    level = fields.get("level")
    name = level if isinstance(level, str) and level else method
    number = _LEVELS.get(name.lower())
    body, attributes = body_and_attributes(fields)
    return LogRecord(
        timestamp=_timestamp(fields.get("timestamp")),
        context=context.get_current(),
        severity_number=SeverityNumber.UNSPECIFIED if number is None else severity(number),
        severity_text="ERROR" if name == "exception" else name.upper(),
        body=body,
        attributes=attributes,
    )


def body_and_attributes(fields: Mapping[str, Any]) -> tuple[str, dict[str, AnyValue]]:
    """Part an event in what it is about and what it says besides."""
    attributes = simple_attributes(fields, without=_OWN_KEYS)
    error: Any = fields.get("exc_info")
    if error is True:
        error = sys.exc_info()[1]
    elif isinstance(error, tuple):
        error = cast("tuple[Any, ...]", error)[1]
    rendered = fields.get("exception")
    text = rendered if isinstance(rendered, str) else None
    if isinstance(error, BaseException):
        attributes.update(exception_attributes(error, text))
    elif text is not None:  # `format_exc_info` came before and left the text alone
        attributes["exception.stacktrace"] = end_of_stack(text)
        kind, _, message = text.rstrip().rpartition("\n")[2].partition(": ")
        attributes["exception.type"], attributes["exception.message"] = kind, message
    stack = fields.get("stack")
    if isinstance(stack, str):
        attributes["code.stacktrace"] = end_of_stack(stack)
    return str(fields.get("event", "")), attributes


def _timestamp(written: Any) -> int:
    """The event's own time in nanoseconds, where it says one that can be read; else now."""
    try:
        if isinstance(written, float | int):
            return round(written * 1e6) * 1000
        if isinstance(written, str):
            moment = datetime.fromisoformat(written)
            if moment.tzinfo is not None:
                return round(moment.timestamp() * 1e6) * 1000
    except (ValueError, OverflowError):
        pass
    return time.time_ns()


def _name(logger: Any, fields: Mapping[str, Any]) -> str:
    name = fields.get("logger") or getattr(logger, "name", None)
    return name if isinstance(name, str) else "structlog"


def _is_sent_by_upstream(_logger: Any) -> bool:
    """Say whether upstream's processor is in the application's chain: its records are the application's."""
    upstream = sys.modules.get("opentelemetry.instrumentation.structlog")
    if upstream is None:
        return False
    import structlog

    return any(isinstance(each, upstream.StructlogProcessor) for each in structlog.get_config()["processors"])
