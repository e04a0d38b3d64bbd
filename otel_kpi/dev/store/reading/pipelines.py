"""Runs of pipelines: when, how long, through which stages, what came in and out, and what was refused and why.

A stage names no run: it belongs to the run of its trace, the nearest above it where a trace has several. What a run
counted stands on its span; of one that is still under way there are only the events with which it began and goes on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from otel_kpi.dev import literals
from otel_kpi.dev.store.reading.spans import (
    LOG_COLUMNS,
    log_views,
    spans_of,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import LogView, SpanView

_NAME: Final = "kpi.etl.pipeline.name"
_RUN_ID: Final = "kpi.etl.run.id"
_STAGE: Final = "kpi.etl.stage.name"
_RESULT: Final = "kpi.etl.result"
_VOLUMES: Final = ("read", "written", "valid", "rejected", "skipped")
_MOST_SPANS: Final = 20_000
"""Spans of a run that are read; a stage has few, however many rows there are."""
ENDED_WELL: Final = frozenset({"success", "skip"})
SILENT_AFTER_NS: Final = 180_000_000_000
"""A run says once a minute that it is under way; after three it is not known any more whether it is."""


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


@dataclass(slots=True)
class Refused:
    """Records that were refused for one reason, and the spans that say so."""

    reason: str
    records: int
    spans: list[Part]


@dataclass(slots=True)
class RunView:
    """A run with what it consists of.

    Attributes:
        batches: Those that have a span and went wrong or refused records, the first of them.
        refused: The most frequent reason first.
        checks: Results of checks, as log records.
        previous: The run of the same pipeline before it.
        previous_stages: Its stages.
        next: Row of the one after it.
    """

    run: Part
    stages: list[Part]
    batches: list[Part]
    refused: list[Refused]
    checks: list[LogView]
    previous: Part | None = None
    previous_stages: list[Part] = field(default_factory=list[Part])
    next: int | None = None


@dataclass(slots=True)
class UnderWay:
    """A run that has begun and not come to its end, as far as is known.

    Attributes:
        heard_ns: When it last said something.
        volume: What it had counted then.
    """

    pipeline: str
    run_id: str
    service: str
    start_ns: int
    heard_ns: int
    stage: str
    volume: Volume


def extent(reader: sqlite3.Connection) -> tuple[int, int] | None:
    """When the oldest run began and the newest one; None where there is none."""
    oldest = reader.execute("SELECT min(start_ns) FROM pipeline_run").fetchone()[0]
    newest = reader.execute(
        "SELECT start_ns + dur_ns FROM pipeline_run ORDER BY start_ns DESC LIMIT 1"
    ).fetchone()
    return None if oldest is None else (oldest, newest[0])


def pipelines(reader: sqlite3.Connection) -> list[str]:
    """Names of those that have run, sorted."""
    rows = reader.execute(
        "SELECT s FROM str WHERE id IN (SELECT DISTINCT pipeline FROM pipeline_run) ORDER BY s"
    )
    return [row[0] for row in rows]


def runs(  # noqa: PLR0913 - what is asked
    reader: sqlite3.Connection,
    *,
    pipeline: str = "",
    failed: bool = False,
    start_ns: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> tuple[list[Part], bool]:
    """The runs that ended last, and whether there are more.

    Args:
        reader: A connection to the store.
        pipeline: Only its runs.
        failed: Only those that ended in an error.
        start_ns: Only those that began then or later.
        before: Only those that came before this row.
        limit: How many.
    """
    parts, values = ["1"], list[object]()
    if pipeline:
        parts.append("pipeline = (SELECT id FROM str WHERE s = ?)")
        values.append(pipeline)
    if failed:
        parts.append("status = 2")
    if start_ns is not None:
        parts.append("start_ns >= ?")
        values.append(start_ns)
    if before is not None:
        parts.append("span < ?")
        values.append(before)
    rows = reader.execute(
        f"SELECT span FROM pipeline_run WHERE {' AND '.join(parts)} ORDER BY span DESC LIMIT ?",  # noqa: S608 - columns of ours
        (*values, limit + 1),
    ).fetchall()
    spans = spans_of(reader, [row[0] for row in rows[:limit]])
    return [_part(span) for span in sorted(spans, key=lambda span: -span.row)], len(rows) > limit


def run(reader: sqlite3.Connection, number: str) -> RunView | None:
    """A run by the row of its span, or by its id: the newest that has it."""
    row = None
    if (span := literals.whole(number)) is not None:
        row = reader.execute("SELECT span FROM pipeline_run WHERE span = ?", (span,)).fetchone()
    if row is None:
        row = reader.execute(
            "SELECT span FROM pipeline_run WHERE run_id = ? ORDER BY span DESC LIMIT 1", (number,)
        ).fetchone()
    spans = spans_of(reader, [row[0]]) if row is not None else []
    if not spans:
        return None
    shown = _part(spans[0])
    stages, batches = _within(reader, shown)
    around = (shown.span, shown.start_ns, shown.start_ns, shown.span)
    earlier = reader.execute(
        "SELECT span FROM pipeline_run WHERE pipeline = (SELECT pipeline FROM pipeline_run WHERE span = ?)"
        " AND (start_ns < ? OR start_ns = ? AND span < ?) ORDER BY start_ns DESC, span DESC LIMIT 1",
        around,
    ).fetchone()
    later = reader.execute(
        "SELECT span FROM pipeline_run WHERE pipeline = (SELECT pipeline FROM pipeline_run WHERE span = ?)"
        " AND (start_ns > ? OR start_ns = ? AND span > ?) ORDER BY start_ns, span LIMIT 1",
        around,
    ).fetchone()
    before = spans_of(reader, [earlier[0]]) if earlier else []
    previous = _part(before[0]) if before else None
    return RunView(
        shown,
        stages,
        [batch for batch in batches if not batch.ended_well or batch.volume.rejected or batch.reasons][:50],
        _refused(shown, stages, batches),
        _checks(reader, shown.trace_id),
        previous,
        _within(reader, previous)[0] if previous is not None else [],
        later[0] if later else None,
    )


def under_way(reader: sqlite3.Connection, now_ns: int, limit: int = 20) -> list[UnderWay]:
    """Runs that have said that they began and not come to an end; a day back at most."""
    rows = reader.execute(
        f"SELECT {LOG_COLUMNS} FROM log"  # noqa: S608 - columns of ours
        " WHERE event_name IN ('kpi.etl.run.start', 'kpi.etl.run.heartbeat') AND time_ns >= ?"
        " ORDER BY time_ns DESC LIMIT 1000",
        (now_ns - 86_400_000_000_000,),
    ).fetchall()
    found: dict[str, UnderWay] = {}
    for event in log_views(reader, rows):
        said = event.attributes
        run_id = _text(said.get(_RUN_ID))
        known = found.get(run_id)
        if known is not None:  # an earlier word of it
            known.start_ns = min(known.start_ns, event.time_ns)
            continue
        elapsed = _float(said.get("kpi.etl.run.elapsed")) or 0.0
        found[run_id] = UnderWay(
            _text(said.get(_NAME)),
            run_id,
            event.service,
            # It did not begin after it said so, nor before 1970.
            event.time_ns - int(min(max(elapsed * 1e9, 0.0), event.time_ns)),
            event.time_ns,
            _text(said.get(_STAGE)),
            _volume(said),
        )
    for run_id in list(found):
        if reader.execute("SELECT 1 FROM pipeline_run WHERE run_id = ? LIMIT 1", (run_id,)).fetchone():
            del found[run_id]
    return sorted(found.values(), key=lambda each: -each.heard_ns)[:limit]


# --- a run's trace


def _within(reader: sqlite3.Connection, shown: Part) -> tuple[list[Part], list[Part]]:
    """Stages and batches of a run, by their start."""
    trace = reader.execute("SELECT trace FROM span WHERE id = ?", (shown.span,)).fetchone()[0]
    # The keys of a stage and of a batch are known by their shapes: no attribute of another span is decoded.
    shapes = {
        row[0]: orjson.loads(row[1])
        for row in reader.execute(
            "SELECT id, keys FROM shape WHERE keys LIKE '%\"kpi.etl.stage.name\"%' OR keys LIKE '%\"kpi.etl.batch.index\"%'"
        )
    }
    heads = reader.execute(
        "SELECT id, span_id, parent_id, shape FROM span WHERE trace = ? LIMIT ?", (trace, _MOST_SPANS)
    ).fetchall()
    parents = {span_id.hex(): (parent_id or b"").hex() for _, span_id, parent_id, _ in heads}
    others = {
        row[0].hex()
        for row in reader.execute(
            "SELECT s.span_id FROM pipeline_run r JOIN span s ON s.id = r.span WHERE s.trace = ? AND r.span <> ?",
            (trace, shown.span),
        )
    }
    wanted = [
        number
        for number, span_id, _, shape in heads
        if shape in shapes
        and number != shown.span
        and _belongs(span_id.hex(), parents, others, shown.span_id)
    ]
    stages: list[Part] = []
    batches: list[Part] = []
    for span in sorted(spans_of(reader, wanted), key=lambda span: (span.start_ns, span.row)):
        if "kpi.etl.batch.index" in span.attributes:
            batches.append(_part(span))
        elif _STAGE in span.attributes:
            stages.append(_part(span))
    return stages, batches


def _belongs(span_id: str, parents: Mapping[str, str], others: set[str], wanted: str) -> bool:
    """Whether the nearest run above a span is the one that is wanted; a chain that is broken ends at the only run."""
    seen: set[str] = set()
    at = span_id
    while at and at not in seen:
        if at == wanted:
            return True
        if at in others:
            return False
        seen.add(at)
        at = parents.get(at, "")
    return not others


def _refused(shown: Part, stages: Sequence[Part], batches: Sequence[Part]) -> list[Refused]:
    """By reason; what a stage says its batches have said, too, and the run has it from its stages."""
    found: dict[str, Refused] = {}
    for stage in stages or [shown]:
        for reason, records in stage.reasons.items():
            known = found.setdefault(reason, Refused(reason, 0, []))
            known.records += records
            known.spans.append(stage)
    for reason, records in shown.reasons.items():
        known = found.setdefault(reason, Refused(reason, 0, []))
        if not known.spans:
            known.records = records
            known.spans.append(shown)
    for batch in batches:
        for reason in batch.reasons:
            if reason in found and len(found[reason].spans) < 12:  # noqa: PLR2004 - a line has room for a dozen
                found[reason].spans.append(batch)
    return sorted(found.values(), key=lambda each: (-each.records, each.reason))


def _checks(reader: sqlite3.Connection, trace_id: str) -> list[LogView]:
    rows = reader.execute(
        f"SELECT {LOG_COLUMNS} FROM log WHERE trace_id = ? AND event_name = 'kpi.etl.check.result'"  # noqa: S608 - columns of ours
        " ORDER BY time_ns LIMIT 100",
        (bytes.fromhex(trace_id),),
    ).fetchall()
    return log_views(reader, rows)


# --- what a span says


def _part(span: SpanView) -> Part:
    said = span.attributes
    return Part(
        span=span.row,
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        name=_text(said.get(_STAGE)) or span.name,
        pipeline=_text(said.get(_NAME)),
        start_ns=span.start_ns,
        duration_ns=span.duration_ns,
        result=_text(said.get(_RESULT)) or ("error" if span.status == "error" else "success"),
        volume=_volume(said),
        quality=_float(said.get("kpi.etl.quality_score")),
        reasons=reasons(said.get("kpi.etl.validation.errors")),
        service=span.service,
        error=_text(said.get("error.type")) or span.status_message,
        attributes=said,
        run_id=_text(said.get(_RUN_ID)),
        trigger=_text(said.get("kpi.etl.run.trigger")),
        attempt=_whole(said.get("kpi.etl.run.attempt")),
        type=_text(said.get("kpi.etl.stage.type")),
        batches=_whole(said.get("kpi.etl.batches.count")),
        source_time=_float(said.get("kpi.etl.batches.source_time")),
        work_time=_float(said.get("kpi.etl.batches.work_time")),
    )


def _volume(said: Mapping[str, Value]) -> Volume:
    return Volume(
        *(_whole(said.get(f"kpi.etl.records.{name}")) for name in _VOLUMES),
        bytes_read=_whole(said.get("kpi.etl.bytes.read")),
        bytes_written=_whole(said.get("kpi.etl.bytes.written")),
    )


def reasons(said: Value) -> dict[str, int]:
    """`["missing_email=7"]` as numbers; what is not of this form is left out."""
    found: dict[str, int] = {}
    for each in said if isinstance(said, list) else ():
        reason, _, count = each.rpartition("=") if isinstance(each, str) else ("", "", "")
        number = literals.whole(count)
        if reason and number is not None:
            found[reason] = found.get(reason, 0) + number
    return found


def _text(said: Value) -> str:
    return said if isinstance(said, str) else "" if said is None else str(said)


def _whole(said: Value) -> int | None:
    # A bool is an integer to Python, and no count.
    return said if isinstance(said, int) and not isinstance(said, bool) and said >= 0 else None


def _float(said: Value) -> float | None:
    if isinstance(said, bool) or not isinstance(said, (int, float)):
        return None
    return float(said) if math.isfinite(said) else None
