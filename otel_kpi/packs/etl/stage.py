"""Stages: the parts of a run, each a span with a time, and what went in and came out."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from opentelemetry import context
from opentelemetry.trace import INVALID_SPAN

from otel_kpi.packs.contexts import Inside
from otel_kpi.packs.etl import handles
from otel_kpi.packs.etl import instruments as names
from otel_kpi.packs.etl.definition import Definition, named
from otel_kpi.packs.etl.heartbeat import HEARTBEAT
from otel_kpi.packs.etl.scope import Scope, innermost, start_span
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.packs.etl.outcome import Outcome
    from otel_kpi.packs.etl.run import Run

_logger = logging.getLogger("otel_kpi.packs")

F = TypeVar("F", bound="Callable[..., Any]")

_NAME: Final = names.STAGE_NAME.name
_TYPE: Final = names.STAGE_TYPE.name
_PIPELINE: Final = names.PIPELINE_NAME.name
TYPES: Final = frozenset(names.STAGE_TYPE.members)
_WORDS: Final = {
    "validation": "validate", "transformation": "transform", "storage": "store", "extraction": "extract",
    "loading": "load", "read": "extract", "write": "store",
}  # fmt: skip
"""Other words for the types; S0 has the first three."""


@lru_cache(256)
def _type_of(word: str) -> str:
    word = word.strip().lower()
    return word if word in TYPES else _WORDS.get(word, "other")


def stage_type(name: str) -> str:
    """The type of a stage from its name, or from a type in other words; `other` where neither says it."""
    try:
        return _type_of(name)
    except Exception:
        return "other"


@lru_cache(256)
def _say_unknown(word: str) -> None:
    _logger.warning("stage type %.40r is none of %s; its series is 'other'", word, ", ".join(sorted(TYPES)))


class Stage(Scope):
    """A stage that is under way; `with etl.stage(...) as stage`."""

    what = "stage"
    extra: dict[str, Any] | None = None

    def __init__(self, definition: Stages) -> None:
        around = innermost()
        pipeline = definition.pipeline or (around.pipeline if around is not None else None)
        if definition.model is not None:
            model = definition.model
        elif definition.pipeline is not None or around is None:
            model = definition.pipeline
        else:
            model = around.model
        super().__init__(model, pipeline, around.run_id if around is not None else None, definition.type)
        self.name = definition.name
        self.run: Run | None = getattr(around, "run", None)

    def _dataset(self) -> str | None:
        run = self.run
        return run.outputs[0] if run is not None and run.outputs else super()._dataset()

    def _record(self, seconds: float, how: Outcome) -> None:
        handles.active_processors.add(-1, self.model)
        if context.get_current() is self.context:
            handles.stage_duration.record(seconds, self.model, self.stage_type, how.result)
        else:
            # The exemplar of its duration is its own span, also where its end is noticed elsewhere.
            with Inside(self.context):
                handles.stage_duration.record(seconds, self.model, self.stage_type, how.result)
        if self.run is not None and not self.is_empty:
            self.run.take(self)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not self.extra and super().is_empty

    def _facts(self) -> dict[str, Any]:
        return {**super()._facts(), **(self.extra or {})}


class Stages(Definition[Stage]):
    """A stage to come; made by `stage()`."""

    def __init__(
        self,
        name: str,
        type: str | None,  # noqa: A002 - the word of the convention
        pipeline: str | None,
        model: str | None,
        attributes: dict[str, Any] | None,
    ) -> None:
        super().__init__()
        self.name = name
        self.type = stage_type(name if type is None else type)
        if self.type == "other" and isinstance(type, str) and type != "other":
            _say_unknown(type)
        self.pipeline = None if pipeline is None else named(pipeline, "other")
        self.model = model
        self.attributes = attributes

    def begin(self) -> Stage:
        """Begin the stage, not yet as the innermost."""
        stage = Stage(self)
        span = INVALID_SPAN
        handles.active_processors.add(1, stage.model)
        try:
            attributes = {_NAME: self.name, _TYPE: self.type}
            title = self.name
            if stage.pipeline:
                attributes[_PIPELINE] = stage.pipeline
                title = f"{self.name} {stage.pipeline}"
            if isinstance(self.attributes, dict):
                attributes.update(self.attributes)
            span = start_span(title, attributes)
            HEARTBEAT.look()
        except Exception as error:
            failed("the beginning of a stage", error)
        return stage.begin(span, context.get_current())


@overload
def stage(name: F, /) -> F: ...
@overload
def stage(
    name: str,
    /,
    *,
    type: str | None = None,
    pipeline: str | None = None,
    model: str | None = None,
    attributes: dict[str, Any] | None = None,
) -> Stages: ...
def stage(
    name: str | Callable[..., Any],
    /,
    *,
    type: str | None = None,  # noqa: A002 - the word of the convention
    pipeline: str | None = None,
    model: str | None = None,
    attributes: dict[str, Any] | None = None,
) -> Any:
    """A stage of a run: a span, a time in `kpi.etl.stage.duration`, and what is counted in it.

    Args:
        name: Its name, any; on spans only.
        type: `extract`, `validate`, `transform`, `load` or `store`, the label of its series. Unless given, the name
            says it if it is one of them or S0's `validation`, `transformation`, `storage`; else it is `other`.
        pipeline: The pipeline; the current run's unless given.
        model: The label `model_name`; the run's unless given, or the pipeline.
        attributes: Further ones of its span.

    For `with`, `async with`, and as a decorator of functions, coroutines, generators and methods; `@etl.stage` alone
    takes the function's name. Without an SDK it does nothing. Never raises; what the application raises goes on.
    """
    if isinstance(name, str):
        return Stages(name, type, pipeline, model, attributes)
    if callable(name):
        return Stages(getattr(name, "__name__", "stage"), type, pipeline, model, attributes)(name)
    return Stages(named(name, "stage"), type, pipeline, model, attributes)
