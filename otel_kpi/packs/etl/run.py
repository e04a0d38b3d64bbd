"""Runs: a pipeline from its first line to its last, a trace of its own.

A scheduler's tick, a queue's message or a request asks for a run, and is linked to, not its parent: a night's load
does not belong into the trace of the request that began it, three retries are three traces, and a report over a
thousand messages has a thousand origins. The same holds for a run inside of a run. `parent=True` says otherwise.
"""

from __future__ import annotations

import time
import uuid
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, overload

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, SpanKind

from otel_kpi.packs.contexts import Inside
from otel_kpi.packs.etl import adapters, events, handles
from otel_kpi.packs.etl import instruments as names
from otel_kpi.packs.etl.carrier import carrier
from otel_kpi.packs.etl.datasets import dataset_names
from otel_kpi.packs.etl.definition import Definition, named
from otel_kpi.packs.etl.heartbeat import HEARTBEAT
from otel_kpi.packs.etl.links import Links, inbound, linked, span_contexts
from otel_kpi.packs.etl.moments import iso
from otel_kpi.packs.etl.scope import Scope, facts, innermost, start_span
from otel_kpi.packs.etl.tally import Volumes, lock, nothing
from otel_kpi.packs.faults import failed

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.packs.etl.outcome import Outcome
    from otel_kpi.packs.etl.stage import Stage

F = TypeVar("F", bound="Callable[..., Any]")
Trigger = Literal["schedule", "manual", "event", "backfill", "retry"]

_FROM: Final = {"read": ("extract",), "written": ("load", "store")}
"""Whose records count for the run: a row that passes five stages was read once."""
_DIRECTIONS: Final = {"read": "read", "write": "written"}


class Run(Scope):
    """A run that is under way; `with etl.run(...) as run`.

    Attributes:
        run_id: Identifies it.
        attempt: 1 is the first.
        trigger: What started it, `schedule` for one; None is not known.
        outputs: The data sets that it writes.
    """

    what = "run"
    due = float("inf")  # at the end it is known which of it a stage has told

    def __init__(self, definition: Runs) -> None:
        model = _asked(definition.model)
        nobody = model is None or (isinstance(model, str) and not model)
        super().__init__(definition.pipeline if nobody else model, definition.pipeline, None, None)
        self.run = self
        self.attempt = 1
        self.trigger: str | None = None
        self.outputs: tuple[str, ...] = ()
        self.beat = self.began
        self._stages: dict[str, Volumes] = {}

    def carrier(self) -> dict[str, str]:
        """The run as a dictionary for a message or for the next attempt; also after its end."""
        return carrier(self.span)

    def totals(self) -> Volumes:
        """What the run has counted, its stages included.

        What it was told itself holds. Else what was read is what its stages of the type `extract` read, or the first
        of them that read anything; what was written is that of `load` and `store`, or of the last that wrote; the rest
        adds up.
        """
        with lock():
            stages = {type_: Volumes(*map(dict, each)) for type_, each in self._stages.items()}
            own = Volumes(*map(dict, self.volumes))
        for each in HEARTBEAT.stages_of(self):
            stages.setdefault(each.stage_type or "other", nothing()).add(each.volumes)
        return _totals(own, stages)

    def take(self, stage: Stage) -> None:
        """Add what a stage has counted, at its end."""
        with lock():
            self._stages.setdefault(stage.stage_type or "other", nothing()).add(stage.volumes)
            if stage.quality is not None:
                self.quality = stage.quality

    def _is_ours(self, status: str) -> bool:
        """Whether no stage has told records of that status: they are not counted again for the run."""
        with lock():
            return not any(status in volumes.records for volumes in self._stages.values())

    def describe(self) -> dict[str, Any]:
        """What events say of it."""
        return {
            names.PIPELINE_NAME.name: self.pipeline,
            names.MODEL_NAME.name: self.model,
            names.RUN_ID.name: self.run_id,
        }

    def _dataset(self) -> str | None:
        return self.outputs[0] if self.outputs else super()._dataset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted, by no stage either."""
        return not self._stages and super().is_empty

    def _facts(self) -> dict[str, Any]:
        return facts(self.totals(), self.quality)

    def _record(self, seconds: float, how: Outcome) -> None:
        now = time.time()
        handles.active_runs.add(-1, self.model)
        handles.runs.add(1, self.model, self.trigger, how.result)
        with Inside(self.context):  # the exemplar of its duration is its own span
            handles.run_duration.record(seconds, self.model, how.result, how.error_type)
        handles.last_run_time.set(now, self.model)
        handles.last_run_duration.set(seconds, self.model)
        for status, count in self.totals().records.items():
            handles.last_run_records.set(count, self.model, status)
        if how.result == "success":
            handles.last_success_time.set(now, self.model)


def _totals(own: Volumes, stages: dict[str, Volumes]) -> Volumes:
    total = nothing()
    for each in stages.values():
        for status, count in each.records.items():
            if status not in _FROM:
                total.records[status] = total.records.get(status, 0) + count
        for name, count in each.errors.items():
            total.errors[name] = total.errors.get(name, 0) + count
    for status, types in _FROM.items():
        said = {type_: each.records[status] for type_, each in stages.items() if status in each.records}
        if said:
            total.records[status] = _of(types, said, first=status == "read")
    for direction, status in _DIRECTIONS.items():
        said = {type_: each.bytes[direction] for type_, each in stages.items() if direction in each.bytes}
        if said:
            total.bytes[direction] = _of(_FROM[status], said, first=status == "read")
    for name, count in own.errors.items():
        total.errors[name] = total.errors.get(name, 0) + count
    total.records.update(own.records)
    total.bytes.update(own.bytes)
    return total


def _of(types: tuple[str, ...], said: dict[str, int], *, first: bool) -> int:
    counted = [said[type_] for type_ in types if type_ in said]
    if counted:
        return sum(counted)
    return next(iter(said.values())) if first else list(said.values())[-1]


class Runs(Definition[Run]):
    """A run to come; made by `run()` and `pipeline()`."""

    swallows_skip = True

    def __init__(self, pipeline: str, options: dict[str, Any]) -> None:
        super().__init__()
        self.pipeline = pipeline
        self.model: Any = options.pop("model")
        self._options = options

    def begin(self) -> Run:
        """Begin the run, not yet as the innermost."""
        run = Run(self)
        span, outer = INVALID_SPAN, context.get_current()
        handles.active_runs.add(1, run.model)
        try:
            span = self._start(run)
            for result in ("success", "failure", "error"):
                handles.runs.add(0, run.model, run.trigger, result)  # `rate()` needs a value before the first
            if run.attempt > 1:
                handles.retries.add(1, run.model, None)
        except Exception as error:
            failed("the beginning of a run", error)
        run.begin(span, outer)
        events.emit(
            names.RUN_START.name,
            f"run of {run.pipeline} began",
            {**run.describe(), names.TRIGGER.name: run.trigger, names.ATTEMPT.name: run.attempt},
            within=run.context,
        )
        HEARTBEAT.look()
        return run

    def _start(self, run: Run) -> trace.Span:
        given = {name: _asked(value) for name, value in self._options.items()}
        # Inside of a run the task around it is that run's.
        task = adapters.task() if innermost() is None else None
        links, parent = _origins(given["links"], given["parent"])
        run.attempt = _attempt(given["attempt"], task)
        run.run_id = str(given["run_id"] or (task.run_id if task is not None else uuid.uuid4()))[:256]
        run.trigger = _trigger(given["trigger"], task, run.attempt, came=bool(links.links or parent))
        run.outputs = dataset_names(given["outputs"])
        begin, end = _interval(given["nominal"])
        attributes: dict[str, Any] = {
            **run.describe(),
            names.TRIGGER.name: run.trigger,
            names.ATTEMPT.name: run.attempt,
            names.NOMINAL_START.name: begin,
            names.NOMINAL_END.name: end,
            names.INPUTS.name: dataset_names(given["inputs"]) or None,
            names.OUTPUTS.name: run.outputs or None,
            names.UNLINKED.name: links.omitted or None,
            **(given["attributes"] if isinstance(given["attributes"], dict) else {}),
        }
        return start_span(
            f"run {run.pipeline}",
            {name: value for name, value in attributes.items() if value is not None},
            parent or Context(),
            SpanKind.CONSUMER if given["kind"] == "consumer" else SpanKind.SERVER,
            links.links,
        )


def _asked(value: Any) -> Any:
    """A value, or what a function gives that is asked at the beginning of each run."""
    if not callable(value):
        return value
    try:
        return value()
    except Exception as error:
        failed("an option of a run", error)
        return None


def _origins(sources: Any, parent: bool) -> tuple[Links, Context | None]:  # noqa: FBT001 - of this module alone
    """Links of a run, and the context that it stands under if it is not a trace of its own."""
    came = inbound()
    if not parent:
        return linked(sources if came is None else chain((came,), span_contexts(sources))), None
    if came is None:
        # A message's run may stand under the message.
        came = next(span_contexts(sources), None)
    current = context.get_current()
    if came is None:
        return Links(()), None
    return linked(sources), trace.set_span_in_context(NonRecordingSpan(came), current)


def _attempt(given: Any, task: adapters.Task | None) -> int:
    if given is None:
        return task.attempt if task is not None else 1
    return given if isinstance(given, int) and 0 < given < 2**31 else 1


def _trigger(given: Any, task: adapters.Task | None, attempt: int, *, came: bool) -> str | None:
    if given is not None:
        word = str(given)
        return word if word in names.TRIGGER.members else "other"
    if task is not None:
        return task.trigger
    return "retry" if attempt > 1 else "event" if came else None


def _interval(given: Any) -> tuple[str | None, str | None]:
    try:
        begin, end = given
    except (TypeError, ValueError):
        return iso(given) if given is not None else None, None
    return iso(begin), iso(end)


def run(  # noqa: PLR0913 - options with defaults, by name
    name: str,
    /,
    *,
    model: str | Callable[[], str | None] | None = None,
    trigger: Trigger | Callable[[], Trigger | None] | None = None,
    attempt: int | Callable[[], int | None] | None = None,
    nominal: Any = None,
    links: Any = None,
    inputs: Any = (),
    outputs: Any = (),
    run_id: Any = None,
    parent: bool = False,
    kind: Literal["server", "consumer"] = "server",
    attributes: dict[str, Any] | None = None,
) -> Runs:
    """A run of a pipeline: a span and trace of its own, its metrics, and an event when it begins.

    Args:
        name: The pipeline.
        model: The label `model_name`, at most 40 distinct ones; the pipeline unless given.
        trigger: What started it. Unless given: `retry` after the first attempt, `event` if it is linked to anything,
            else nothing is said.
        attempt: 1 is the first; Celery's own unless given.
        nominal: Begin and end of the interval that the data are about: dates, datetimes or ISO 8601 text.
        links: What it came from: carriers, values of `traceparent`, spans. The current span, or else the process's
            `TRACEPARENT`, is linked without being named.
        inputs: Data sets that it reads, as `postgres://db:5432/kpi.public.facts`; passwords are left out.
        outputs: Data sets that it writes.
        run_id: Identifies it, the scheduler's; Celery's or a new one unless given.
        parent: Whether it stands under the current span instead of being linked to it.
        kind: `consumer` for a run that a queue asked for.
        attributes: Further ones of its span.

    Each but the name may be a function, which is asked at the beginning of the run. For `with`, `async with`, and as
    a decorator, which returns None for `etl.Skip`. Without an SDK it does nothing. Never raises; what the application
    raises goes on.
    """
    options = {
        "model": model, "trigger": trigger, "attempt": attempt, "nominal": nominal, "links": links,
        "inputs": inputs, "outputs": outputs, "run_id": run_id, "parent": parent, "kind": kind,
        "attributes": attributes,
    }  # fmt: skip
    return Runs(named(name, "pipeline"), options)


@overload
def pipeline(name: F, /) -> F: ...
@overload
def pipeline(
    name: str,
    /,
    *,
    model: str | Callable[[], str | None] | None = None,
    trigger: Trigger | Callable[[], Trigger | None] | None = None,
    attempt: int | Callable[[], int | None] | None = None,
    nominal: Any = None,
    links: Any = None,
    inputs: Any = (),
    outputs: Any = (),
    run_id: Any = None,
    parent: bool = False,
    kind: Literal["server", "consumer"] = "server",
    attributes: dict[str, Any] | None = None,
) -> Runs: ...
def pipeline(name: str | Callable[..., Any], /, **options: Any) -> Any:
    """A function whose every call is a run, see `run`; `@etl.pipeline` alone takes the function's name."""
    if not isinstance(name, str) and callable(name):
        return run(getattr(name, "__name__", "pipeline"), **options)(cast("Any", name))
    return run(name, **options)
