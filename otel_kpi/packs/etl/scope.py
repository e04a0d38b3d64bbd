"""What a run and a stage have in common: a span, a place in the context, and one end however it comes.

The innermost run or stage is a value of OpenTelemetry's context, so whatever hands the context on, an instrumentation
of threads or a copied `contextvars.Context`, hands on where `etl.read()` counts, too.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context, trace
from opentelemetry.trace import Link, SpanKind

from otel_kpi.packs.etl import instruments as names
from otel_kpi.packs.etl import underway
from otel_kpi.packs.etl.handles import SCOPE
from otel_kpi.packs.etl.outcome import SUCCESS, Outcome, outcome
from otel_kpi.packs.etl.tally import Tally, Volumes, lock
from otel_kpi.packs.faults import failed
from otel_kpi.packs.spans import mark

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

_INNERMOST: Final = context.create_key("otel_kpi.etl")
_NOWHERE: Final = context.Context()
_RESULT: Final = names.RESULT.name
_tracer = trace.get_tracer(SCOPE)


def start_span(  # noqa: PLR0913, PLR0917 - as OpenTelemetry has them; by name they would cost more
    name: str,
    attributes: dict[str, Any],
    within: Context | None = None,
    kind: SpanKind = SpanKind.INTERNAL,
    links: tuple[Link, ...] = (),
    start_time: int | None = None,
) -> Span:
    """Start a span of the pack, see `opentelemetry.trace.Tracer.start_span`."""
    return _tracer.start_span(name, within, kind, attributes, links, start_time)


def innermost(within: Context | None = None) -> Tally | None:
    """The stage or run that is current; None outside of one."""
    found = (context.get_current() if within is None else within).get(_INNERMOST)
    return found if isinstance(found, Tally) else None


def placed(tally: Tally, within: Context) -> Context:
    """A context in which `tally` is the innermost."""
    return context.set_value(_INNERMOST, tally, within)


class Scope(Tally):
    """A run or a stage that is under way.

    Attributes:
        span: Its span, for attributes of one's own.
        context: The context in which it is the innermost.
        began: When it began, of `time.perf_counter`.
        inherited: Whether this process is a fork of the one that began it and will end it.
        ended: Whether it is over.
        outer: What was current before it became the innermost; None while it has not.
    """

    what = "scope"
    span: Span = trace.INVALID_SPAN
    context: Context = _NOWHERE
    inherited: bool = False
    ended: bool = False
    outer: Context | None = None
    _result: str | None = None

    def __init__(
        self, model: str | None, pipeline: str | None, run_id: str | None, stage_type: str | None
    ) -> None:
        super().__init__(model, pipeline, run_id, stage_type)
        self.began = time.perf_counter()

    # --- for the application

    def skip(self) -> None:
        """Say that there was nothing to do: unless something is raised later, the result is `skip`."""
        self._result = "skip"

    def failed(self, error: BaseException | str) -> None:
        """Say that it went wrong although nothing is raised: the result is `failure`.

        Args:
            error: What went wrong: an exception that was handled, or a word for it.
        """
        try:
            self._result = "failure" if isinstance(error, str) else outcome(error).result
            if self._result == "success":
                self._result = "failure"
            how = Outcome(self._result, error) if isinstance(error, str) else outcome(error)
            mark(self.span, how.error_type, how.error)
        except Exception as fault:
            failed(f"the failure of a {self.what}", fault)

    # --- its life

    def begin(self, span: Span, outer: Context) -> Self:
        """Begin, not yet as the innermost: `attach` makes it that."""
        self.span = span
        self.context = context.set_value(_INNERMOST, self, trace.set_span_in_context(span, outer))
        underway.remember(self)
        return self

    def attach(self) -> None:
        """Make it the innermost of the current context, until it ends or `detach` is called."""
        self.outer = context.get_current()
        context.attach(self.context)

    def detach(self) -> None:
        """Give the current context back what was current before, unless somebody else is the innermost by now.

        A token of `contextvars` would give back the context of before even then, and a generator that is closed late
        would leave a stage current that has ended.
        """
        outer = self.outer
        if outer is None or context.get_current().get(_INNERMOST) is not self:
            return
        around = outer.get(_INNERMOST)
        # One that ended while we were current could not give its place back then.
        while isinstance(around, Scope) and around.ended and around.outer is not None:
            outer = around.outer
            around = innermost(outer)
        context.attach(outer)

    def end(self, error: BaseException | None = None) -> Outcome:
        """End it, for the first time; the outcome. Never raises.

        Args:
            error: What was raised in it.
        """
        how = SUCCESS if error is None else outcome(error)
        try:
            if not self._finish(how):
                return how
        except Exception as fault:
            failed(f"the end of a {self.what}", fault)
        finally:
            self.detach()
        return how

    def cancel(self, outcome: Outcome) -> None:
        """End it with the process, from wherever that is noticed."""
        self._finish(outcome)

    def _finish(self, how: Outcome) -> bool:
        with lock():
            if self.ended:
                return False
            self.ended = self.at_once = True
        if self.inherited:
            return False
        underway.forget(self)
        self.report()
        if how.result == "success" and self._result is not None:
            how = Outcome(self._result)
        try:
            self._record(time.perf_counter() - self.began, how)
        finally:
            self._end_span(how)
        return True

    def _end_span(self, how: Outcome) -> None:
        span = self.span
        try:
            if span.is_recording():
                if self.is_empty:
                    span.set_attribute(_RESULT, how.result)
                else:
                    span.set_attributes({_RESULT: how.result, **self._facts()})
                if how is not SUCCESS:
                    mark(self.span, how.error_type, how.error)
        finally:
            span.end()

    def _record(self, seconds: float, how: Outcome) -> None:
        """Measure the end."""
        raise NotImplementedError

    def _facts(self) -> dict[str, Any]:
        """What its span says of its volume."""
        return facts(self.volumes, self.quality)


def facts(volumes: Volumes, quality: float | None) -> dict[str, Any]:
    """What a span says of a volume: only what was told; no data is not zero."""
    records, bytes_, errors = volumes
    said: dict[str, Any] = {
        f"kpi.etl.records.{status}": records[status]
        for status in ("read", "written", "valid", "skipped")
        if status in records
    }
    refused = [records[status] for status in ("invalid", "rejected") if status in records]
    if refused:
        said["kpi.etl.records.rejected"] = sum(refused)
    if "read" in bytes_:
        said["kpi.etl.bytes.read"] = bytes_["read"]
    if "write" in bytes_:
        said["kpi.etl.bytes.written"] = bytes_["write"]
    if quality is not None:
        said["kpi.etl.quality_score"] = quality
    if errors:
        said["kpi.etl.validation.errors"] = listed(errors)
    return said


def listed(errors: Mapping[str, int]) -> list[str]:
    """Types of errors with their counts, the most frequent first."""
    return [f"{name}={count}" for name, count in sorted(errors.items(), key=lambda each: -each[1])]
