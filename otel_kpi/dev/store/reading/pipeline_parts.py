"""What a span of a pipeline says: a run, a stage or a batch, what became of the records, and why some were refused. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_kpi.dev import literals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import SpanView

NAME: Final = "kpi.etl.pipeline.name"
RUN_ID: Final = "kpi.etl.run.id"
STAGE: Final = "kpi.etl.stage.name"
BATCH: Final = "kpi.etl.batch.index"
RESULT: Final = "kpi.etl.result"
VOLUMES: Final = ("read", "written", "valid", "rejected", "skipped")
"""What is counted of records."""
ENDED_WELL: Final = frozenset({"success", "skip"})


@dataclass(slots=True)
class Volume:
    """What became of the records; None is not told."""

    read: int | None = None
    written: int | None = None
    valid: int | None = None
    rejected: int | None = None
    skipped: int | None = None
    bytes_read: int | None = None
    bytes_written: int | None = None


@dataclass(slots=True)
class Part:
    """A run, a stage or a batch.

    Attributes:
        span: Row in the store.
        result: As the span says, `success`, `failure`, `error`, `timeout`, `cancellation` or `skip`; by its status where
            it does not.
        quality: 0 to 100.
        reasons: Errors of validation, by type.
        attributes: All that the span says.
        run_id: Of a run.
        type: Of a stage: `extract`, `validate`, `transform`, `load`, `store` or another word.
        batches: Of a stage, whether they have a span or not; None is not told.
        source_time: Seconds that a stage's source took to give the batches.
        work_time: Seconds that they were worked on.
    """

    span: int
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    pipeline: str
    start_ns: int
    duration_ns: int
    result: str
    volume: Volume
    quality: float | None
    reasons: dict[str, int]
    service: str = ""
    error: str = ""
    attributes: Mapping[str, Value] = field(default_factory=dict[str, "Value"])
    run_id: str = ""
    trigger: str = ""
    attempt: int | None = None
    type: str = ""
    batches: int | None = None
    source_time: float | None = None
    work_time: float | None = None

    @property
    def end_ns(self) -> int:
        """When it was over."""
        return self.start_ns + self.duration_ns

    @property
    def ended_well(self) -> bool:
        """Whether nothing was wrong."""
        return self.result in ENDED_WELL

    @property
    def throughput(self) -> float | None:
        """Records a second: those that went out, else those that came in; None where neither was told."""
        records = self.volume.written if self.volume.written is not None else self.volume.read
        return records / (self.duration_ns / 1e9) if records is not None and self.duration_ns > 0 else None


def part_of(span: SpanView) -> Part:
    """The run, the stage or the batch that a span is."""
    said = span.attributes
    return Part(
        span=span.row,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        name=text(said.get(STAGE)) or span.name,
        pipeline=text(said.get(NAME)),
        start_ns=span.start_ns,
        duration_ns=span.duration_ns,
        result=text(said.get(RESULT)) or ("error" if span.status == "error" else "success"),
        volume=volume_of(said),
        quality=number(said.get("kpi.etl.quality_score")),
        reasons=reasons(said.get("kpi.etl.validation.errors")),
        service=span.service,
        error=text(said.get("error.type")) or span.status_message,
        attributes=said,
        run_id=text(said.get(RUN_ID)),
        trigger=text(said.get("kpi.etl.run.trigger")),
        attempt=whole(said.get("kpi.etl.run.attempt")),
        type=text(said.get("kpi.etl.stage.type")),
        batches=whole(said.get("kpi.etl.batches.count")),
        source_time=number(said.get("kpi.etl.batches.source_time")),
        work_time=number(said.get("kpi.etl.batches.work_time")),
    )


def volume_of(said: Mapping[str, Value]) -> Volume:
    """What attributes say of records."""
    return Volume(
        *(whole(said.get(f"kpi.etl.records.{name}")) for name in VOLUMES),
        bytes_read=whole(said.get("kpi.etl.bytes.read")),
        bytes_written=whole(said.get("kpi.etl.bytes.written")),
    )


def reasons(said: Value) -> dict[str, int]:
    """`["missing_email=7"]` as numbers; what is not of this form is left out."""
    found: dict[str, int] = {}
    for each in said if isinstance(said, list) else ():
        reason, _, count = each.rpartition("=") if isinstance(each, str) else ("", "", "")
        records = literals.whole(count)
        if reason and records is not None:
            found[reason] = found.get(reason, 0) + records
    return found


def text(said: Value) -> str:
    """A value as text; empty of none."""
    return said if isinstance(said, str) else "" if said is None else str(said)


def whole(said: Value) -> int | None:
    """A count; None of what is none."""
    # A bool is an integer to Python, and no count.
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None


def number(said: Value) -> float | None:
    """A finite number; None of what is none."""
    if isinstance(said, bool) or not isinstance(said, (int, float)):
        return None
    return float(said) if math.isfinite(said) else None
