"""Analyses, their stages and their methods: spans and times, from the first line to however it ends.

`analysis("marketing")`, `stage("marketing", "statistical")` and `algorithm("marketing", "zscore")` are context
managers, `with` or `async with`, and decorators of functions, coroutines and generators. What is asked of a language
model inside a stage is a span below it, and `gen_ai.client.operation.duration` its latency by provider: the client's
instrumentation records both, and nothing is measured twice here.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from opentelemetry import context, trace

from otel_kpi.packs.analytics import handles
from otel_kpi.packs.analytics.instruments import DATA_POINTS, FOUND, RESULT, STAGE
from otel_kpi.packs.attributes import MODEL_NAME
from otel_kpi.packs.blocks import Block
from otel_kpi.packs.faults import failed
from otel_kpi.packs.outcome import error_type, result_of
from otel_kpi.packs.spans import mark

if TYPE_CHECKING:
    from typing import Self

tracer: Final = trace.get_tracer(handles.SCOPE)
_INNERMOST: Final = context.create_key("otel_kpi.analytics")


def _innermost() -> _Work | None:
    # In OpenTelemetry's context: whoever hands that on to a thread hands on where anomalies count, too.
    found = context.get_value(_INNERMOST)
    return found if isinstance(found, _Work) else None


class _Work(Block):
    """A piece of work with a time and, unless it is too short for one, a span."""

    __slots__ = (
        "_attributes",
        "_began",
        "_noted",
        "_outer",
        "_process",
        "model",
    )

    def __init__(self, model: str) -> None:
        super().__init__()
        self.model = model
        self._attributes = {MODEL_NAME.name: model}
        self._outer: _Work | None = None
        self._noted: dict[str, int] = {}
        self._began = 0.0
        self._process = os.getpid()

    def _name(self) -> str | None:
        """Of its span; None is without one."""
        return None

    def _over(self, seconds: float, result: str) -> None:
        """Record that it is over."""
        raise NotImplementedError

    def _on_begin(self) -> None:
        """Record that it begins."""

    def data_points(self, count: int) -> None:
        """Say how many values were looked at; they count in `kpi.analytics.data_points.processed` and on the span."""
        handles.data_points_processed.add(count, self.model)
        self._note(DATA_POINTS.name, count)

    def begin(self) -> Self:
        """Begin to measure, not yet as what is current."""
        self._began = time.perf_counter()
        self._process = os.getpid()
        self._noted = {}
        try:
            self._outer = _innermost()
            self._on_begin()
            name = self._name()
            if name is not None:
                self._span = tracer.start_span(name, attributes=self._attributes)
                self.context = context.set_value(_INNERMOST, self, trace.set_span_in_context(self._span))
        except Exception as error:
            failed("the beginning of an analysis", error)
        return self

    def _is_current(self) -> bool:
        # Not by the span: one that the application left attached within would never let this one go.
        return _innermost() is self

    def end(self, error: BaseException | None = None) -> None:
        """End the measurement and the span."""
        if self._process != os.getpid():
            self.detach()
            return  # a fork of the process that began it, and will end it
        result = result_of(error)
        try:
            # While the span is current: it is the exemplar of its duration.
            self._over(time.perf_counter() - self._began, result)
            if self._span.is_recording():
                self._span.set_attributes({RESULT.name: result, **self._noted})
                # A generator that is closed has not failed: who took its values has enough.
                if error is not None and result != "success" and not isinstance(error, GeneratorExit):
                    mark(self._span, error_type(error), error)
        except Exception as fault:
            failed("the end of an analysis", fault)
        finally:
            self.detach()
            self._span.end()

    def _note(self, name: str, count: int) -> None:
        """Add to a number of this span and of those around it that speak of the same model."""
        if not isinstance(count, int) or count < 0:  # pyright: ignore[reportUnnecessaryIsInstance] # what comes
            return
        work: _Work | None = self
        while work is not None and work.model == self.model:
            work._noted[name] = work._noted.get(name, 0) + count  # noqa: SLF001 - the class's own
            work = work._outer  # noqa: SLF001 - the same


class Analysis(_Work):
    """One analysis of one model; made by `analysis()`."""

    __slots__ = ()

    def stage(self, name: str) -> Stage:
        """A stage of it."""
        return Stage(self.model, name)

    def _name(self) -> str:
        return f"analyse {self.model}"

    def _anew(self) -> Analysis:
        return Analysis(self.model)

    def _on_begin(self) -> None:
        handles.analyses_started.add(1, self.model)
        handles.analyses_active.add(1, self.model)

    def _over(self, seconds: float, result: str) -> None:
        handles.analyses_active.add(-1, self.model)
        handles.analyses_completed.add(1, self.model, result)
        handles.analysis_duration.record(seconds, self.model, result)


class Stage(_Work):
    """One part of an analysis; made by `stage()`."""

    __slots__ = ("_stage",)

    def __init__(self, model: str, name: str) -> None:
        super().__init__(model)
        self._stage = name
        self._attributes[STAGE.name] = name

    def _name(self) -> str:
        return f"{self._stage} {self.model}"

    def _anew(self) -> Stage:
        return Stage(self.model, self._stage)

    def _over(self, seconds: float, result: str) -> None:
        handles.stage_duration.record(seconds, self.model, self._stage, result)


class Algorithm(_Work):
    """One run of a statistical method; made by `algorithm()`. It has no span."""

    __slots__ = ("_method",)

    def __init__(self, model: str, method: str) -> None:
        super().__init__(model)
        self._method = method

    def _anew(self) -> Algorithm:
        return Algorithm(self.model, self._method)

    def _over(self, seconds: float, result: str) -> None:  # noqa: ARG002 - as the other kinds
        handles.algorithm_duration.record(seconds, self.model, self._method)


def analysis(model: str) -> Analysis:
    """An analysis of a model: a span, counted when it starts and, with its result, when it ends.

    Args:
        model: The KPI model, for example `"marketing"`; at most 40 distinct values.

    A context manager for `with` and `async with`, or a decorator. Never raises; what the application raises goes on.
    """
    return Analysis(model)


def stage(model: str, name: str) -> Stage:
    """A part of an analysis: a span, and a time in `kpi.analytics.stage.duration`.

    Args:
        model: The KPI model.
        name: What is done, for example `"statistical"`; at most 12 distinct values.
    """
    return Stage(model, name)


def algorithm(model: str, method: str) -> Algorithm:
    """One run of a statistical method, a time in `kpi.analytics.algorithm.duration` without a span.

    Args:
        model: The KPI model.
        method: For example `"zscore"`; at most 12 distinct values.
    """
    return Algorithm(model, method)


def note_anomalies(model: str, count: int) -> None:
    """Count anomalies on the current spans of their model."""
    work = _innermost()
    if work is not None and work.model == model:
        work._note(FOUND.name, count)  # noqa: SLF001 - the module's own
