"""A function that takes its place with it: into a pool of threads, or into another process.

`contextvars` do not follow into the threads of a pool, and nothing follows into a process that was spawned.
"""

from __future__ import annotations

import contextvars
import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan

from otel_kpi.packs.etl.carrier import carrier, context_of
from otel_kpi.packs.etl.scope import innermost, placed
from otel_kpi.packs.etl.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")


def bound(function: F) -> F:
    """A function that runs in the run and stage that are current now, wherever it is called.

    Args:
        function: What a `ThreadPoolExecutor`, a `ProcessPoolExecutor` or `multiprocessing.Pool` will call.

    What it counts counts in this run's model, and its spans are in this trace. In another process the stage's own
    totals do not know of it, the series do. To pickle it, `function` must be one of a module.
    """
    return cast("F", _Bound(function))


class _Bound:
    """A function with the context of the thread that bound it."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._context = contextvars.copy_context()
        self._where = context.get_current()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # A copy for each call: two threads cannot be in one context at once.
        return self._context.copy().run(self._function, *args, **kwargs)

    def __reduce__(self) -> tuple[Any, ...]:
        inner = innermost(self._where)
        place = None if inner is None else (inner.model, inner.pipeline, inner.run_id, inner.stage_type)
        return _Arrived, (self._function, carrier(trace.get_current_span(self._where)), place)


class _Arrived:
    """A bound function in another process."""

    def __init__(
        self,
        function: Callable[..., Any],
        came: dict[str, str],
        place: tuple[str | None, str | None, str | None, str | None] | None,
    ) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._came = came
        self._place = place

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        before = context.get_current()
        now = before
        came = context_of(self._came)
        if came is not None:
            now = trace.set_span_in_context(NonRecordingSpan(came), now)
        if self._place is not None:
            there = Tally(*self._place)
            there.at_once = True  # its run ends elsewhere
            now = placed(there, now)
        context.attach(now)
        try:
            return self._function(*args, **kwargs)
        finally:
            context.attach(before)

    def __reduce__(self) -> tuple[Any, ...]:
        return _Arrived, (self._function, self._came, self._place)
