"""The making of plans, a span each."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Self, TypeVar

from opentelemetry import trace

from otel_kpi.packs.blocks import Attached
from otel_kpi.packs.coaching import handles
from otel_kpi.packs.coaching.instruments import KIND, RESULT
from otel_kpi.packs.decoration import decorated
from otel_kpi.packs.faults import failed
from otel_kpi.packs.outcome import error_type, result_of
from otel_kpi.packs.spans import mark

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

F = TypeVar("F", bound="Callable[..., Any]")

tracer: Final = trace.get_tracer(handles.SCOPE)


class _Making(Attached):
    """One plan that is being made."""

    __slots__ = ("_began", "_kind")

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind
        self._began = time.perf_counter()
        try:
            self._span = tracer.start_span(f"make plan {kind}", attributes={KIND.name: kind})
            self.context = trace.set_span_in_context(self._span)
        except Exception as error:
            failed("the beginning of a plan", error)

    def end(self, error: BaseException | None = None) -> None:
        seconds = time.perf_counter() - self._began
        result = result_of(error)
        try:
            # While the span is current: it is the exemplar of its time.
            handles.plans.add(1, self._kind, result)
            handles.plan_duration.record(seconds, self._kind, result)
            status = "success" if result == "success" else "error"
            handles.coaching_plan_duration.record(seconds, self._kind, status)
            self._span.set_attribute(RESULT.name, result)
            if error is not None and result != "success" and not isinstance(error, GeneratorExit):
                mark(self._span, error_type(error), error)
        except Exception as fault:
            failed("the end of a plan", fault)
        finally:
            self.detach()
            self._span.end()


class Plan:
    """A plan to come; made by `plan()`."""

    __slots__ = ("_kind", "_making")

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._making: list[_Making] = []

    def __enter__(self) -> Self:
        making = _Making(self._kind)
        making.attach()
        self._making.append(making)
        return self

    def __exit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._making.pop().end(error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, cls: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._making.pop().end(error)

    def __call__(self, function: F) -> F:
        """Decorate a function: each call makes a plan, a generator until its last value."""
        return decorated(lambda: _Making(self._kind), function)


def plan(kind: str) -> Plan:
    """The making of a plan: a span, and its time.

    Args:
        kind: Which plan, as `"running"`; at most 20 distinct ones.

    For `with`, `async with` and as a decorator. Exported as ``kpi_coaching_plans_total`` and
    ``kpi_coaching_plan_duration_seconds`` by kind and result, and as
    ``coaching_plan_generation_duration_seconds{kind,status}``. Never raises; what the application raises goes on.
    """
    return Plan(kind)
