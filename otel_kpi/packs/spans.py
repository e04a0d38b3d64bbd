"""How a span says what went wrong: its kind, a status, and the exception once in a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from opentelemetry.trace import Status, StatusCode

from otel_kpi.packs.attributes import ERROR_TYPE
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_RECORDED: Final = "_otel_kpi_recorded"
"""Attribute of an exception: in which trace a span has recorded it."""


def mark(span: Span, kind: str | None, error: BaseException | None) -> None:
    """Write on a span what went wrong, and record the exception unless a span inside of it has done so.

    Args:
        span: The span of what went wrong.
        kind: `error.type`; None where nothing went wrong.
        error: What was raised; None where nothing was.
    """
    if kind is not None:
        span.set_attribute(ERROR_TYPE.name, kind)
        span.set_status(Status(StatusCode.ERROR, kind if error is None else _description(error, kind)))
    if error is not None:
        record_once(span, error)


def _description(error: BaseException, kind: str) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return kind  # its own text raises


def record_once(span: Span, error: BaseException) -> None:
    """Record an exception on a span, unless one inside of it in the same trace has done so."""
    trace_id = span.get_span_context().trace_id
    try:
        if error.__dict__.get(_RECORDED) == trace_id:
            return
        error.__dict__[_RECORDED] = trace_id
    except Exception:
        pass  # an exception without attributes is recorded on every span
    try:
        span.record_exception(error)
    except Exception as fault:
        failed("an exception", fault)  # its own text raises
