"""loguru to OpenTelemetry log records.

No sink is added: `logger.remove()` would take it away, and an application that counts its sinks would find one too
many. The first sink that is given a record tells that it was written; a record that no sink's level lets through
does not leave, as it is printed nowhere.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context
from opentelemetry._logs import LogRecord

from otel_kpi import _compat
from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.instrumentation.logs.log_records import (
    DELIVERY,
    EMITTER,
    current_ids,
    exception_attributes,
    severity,
    simple_attributes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_BOUNDARY: Final = Boundary("loguru")
_STAMPS: Final = frozenset(("trace_id", "span_id"))


class Instrumentor:
    """Wraps the method by which each sink is given a record."""

    def __init__(self) -> None:
        self._enabled = False
        self._correlation = False
        self._exports = True
        self._last = _Last()

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether this instrumentor is in place."""
        return self._enabled

    def instrument(self, *, correlation: bool = False, exports: bool = True, **_options: Any) -> None:
        """Wrap the method.

        Args:
            correlation: Write `trace_id` and `span_id` into each record's `extra`.
            exports: Whether records are sent at all.
        """
        self._enabled, self._correlation, self._exports = True, correlation, exports
        _compat.wrap_loguru_sinks(self._deliver)

    def uninstrument(self) -> None:
        """Unwrap it."""
        self._enabled = False
        _compat.unwrap_loguru_sinks()

    def _deliver(self, wrapped: Callable[..., Any], _sink: Any, args: Any, kwargs: Any) -> Any:
        record: dict[str, Any] = args[0] if args else kwargs["record"]
        if _BOUNDARY.open and self._last.record is not record:
            self._last.record = record
            self._send(record)
        outer, DELIVERY.text = DELIVERY.text, lambda: str(record["message"])
        try:
            return wrapped(*args, **kwargs)
        finally:
            DELIVERY.text = outer

    def _send(self, record: dict[str, Any]) -> None:
        try:
            if self._correlation and (ids := current_ids()) is not None:
                record["extra"].setdefault("trace_id", ids[0])
                record["extra"].setdefault("span_id", ids[1])
            name = record["name"] or "loguru"
            if self._exports and EMITTER.sends(name) and not DELIVERY.is_repeated(record["message"]):
                EMITTER.guarded(_BOUNDARY, lambda: EMITTER.emit(name, translate(record)))
        except Exception as error:
            _BOUNDARY.failed(error)


class _Last(threading.local):
    """The record that this thread has just sent: the other sinks are given the same one."""

    record: Any = None


def translate(record: Mapping[str, Any]) -> LogRecord:
    """Make the OpenTelemetry log record of a record of loguru, in the current context."""
    attributes = simple_attributes(record["extra"], without=_STAMPS)
    attributes["code.file.path"] = record["file"].path
    attributes["code.line.number"] = record["line"]
    attributes["code.function.name"] = record["function"]
    error = record["exception"]
    if error is not None and error.value is not None:
        attributes.update(exception_attributes(error.value))
    return LogRecord(
        timestamp=round(record["time"].timestamp() * 1e6) * 1000,
        context=context.get_current(),
        severity_number=severity(record["level"].no),
        severity_text=record["level"].name,
        body=record["message"],
        attributes=attributes,
    )
