"""Celery's own work with its broker, in which drivers are silent, and the application's code in the midst of it."""

from __future__ import annotations

from typing import Any, Final

from opentelemetry import context
from opentelemetry.context import Context

from otel_kpi import _compat

_OUTSIDE: Final = context.create_key("otel-kpi-celery-outside")
"""In Celery's own work: the context of the application around it."""

_SILENCE: Final = object()
"""True, and not `True`: who asks for the silence of exporters asks for more."""


def outside() -> Context:
    """Give the application's context: the current one, or the one around Celery's own work."""
    around = context.get_value(_OUTSIDE)
    return around if isinstance(around, Context) else context.get_current()


def silenced() -> Context:
    """Give the current context with the drivers silent."""
    return context.set_value(_OUTSIDE, context.get_current(), _compat.suppressed_context(_SILENCE))


def in_silence(wrapped: Any, _worker: Any, args: Any, kwargs: Any) -> Any:
    """Call what is wrapped as Celery's own work; a wrapper for `wrapt`."""
    token = context.attach(silenced())
    try:
        return wrapped(*args, **kwargs)
    finally:
        context.detach(token)


def out_of_silence(wrapped: Any, signal: Any, args: Any, kwargs: Any) -> Any:
    """Send a signal in the application's context; a wrapper for `wrapt`."""
    around = context.get_value(_OUTSIDE)
    # The receivers of these two enter and leave a task's own context.
    if not isinstance(around, Context) or signal.name in {"task_prerun", "task_postrun"}:
        return wrapped(*args, **kwargs)
    token = context.attach(around)
    try:
        return wrapped(*args, **kwargs)
    finally:
        context.detach(token)
