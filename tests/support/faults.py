"""Telemetry that is broken on purpose, and what an application sees of it: nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio, Sampler

from otel_kpi import instrumentation

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from opentelemetry.propagators.textmap import TextMapPropagator

FAULTS = ("sampler", "on_start", "on_end", "inject", "extract")
"""What may be broken."""

Outcome = tuple[Any, ...]


class Ours(Exception):  # noqa: N818 - what it stands for
    """A part of telemetry that is broken."""


class Faults(Sampler, SpanProcessor):
    """A sampler, a span processor and a propagator that raise when they are asked to."""

    def __init__(self, propagator: TextMapPropagator) -> None:
        self.armed = ""
        self.raised = 0
        self._sampler = ParentBasedTraceIdRatio(1.0)
        self._propagator = propagator
        self.fields = propagator.fields

    def _fail(self, name: str) -> None:
        if self.armed == name:
            self.raised += 1
            raise Ours(name)

    def should_sample(self, *args: Any, **kwargs: Any) -> Any:
        self._fail("sampler")
        return self._sampler.should_sample(*args, **kwargs)

    def get_description(self) -> str:
        return "faults"

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's signature
        self._fail("on_start")

    def on_end(self, span: Any) -> None:  # noqa: ARG002 - the same
        self._fail("on_end")

    def inject(self, *args: Any, **kwargs: Any) -> None:
        self._fail("inject")
        self._propagator.inject(*args, **kwargs)

    def extract(self, *args: Any, **kwargs: Any) -> Any:
        self._fail("extract")
        return self._propagator.extract(*args, **kwargs)


def outcome(call: Callable[[], Any]) -> Outcome:
    """What the application sees: an answer, or exceptions by type, through the whole chain."""
    try:
        return ("answer", call())
    except Exception as error:
        chain: list[BaseException] = [error]
        while chain[-1].__context__ is not None:
            chain.append(chain[-1].__context__)
        return ("error", [type(link).__qualname__ for link in chain])


def state(name: str) -> instrumentation.Instrumented:
    return next(row for row in instrumentation.report() if row.name == name)


def lines(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith(f"{name}")]
