"""One run of a pipeline: its stages and batches, what was refused and why, and the runs before and after it.

A stage names no run: it belongs to the run of its trace, the nearest above it where a trace has several.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import orjson

from otel_kpi.dev import literals
from otel_kpi.dev.store.reading.pipeline_parts import BATCH, STAGE, Part, part_of
from otel_kpi.dev.store.reading.spans import LOG_COLUMNS, log_views, one_moment, spans_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from otel_kpi.dev.views import LogView

_MOST_PARTS: Final = 20_000
"""Stages of a run that are read, and as many batches; a run has few, however many rows there are."""
_MOST_CHECKS: Final = 100
_MOST_BAD: Final = 50
"""Batches that went wrong, which are listed."""
_MOST_NAMED: Final = 12
"""Spans of a reason: a line has room for a dozen."""


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
        batches: Those that have a span and went wrong or refused records, the first `_MOST_BAD`.
        refused: The most frequent reason first.
        checks: Results of checks, as log records; the first `_MOST_CHECKS`.
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


def run(reader: sqlite3.Connection, number: str) -> RunView | None:
    """A run by the row of its span, or by its id: the newest that has it."""
    with one_moment(reader):
        return _run(reader, number)


def _run(reader: sqlite3.Connection, number: str) -> RunView | None:
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
    shown = part_of(spans[0])
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
    previous = part_of(before[0]) if before else None
    return RunView(
        shown,
        stages,
        [batch for batch in batches if not batch.ended_well or batch.volume.rejected or batch.reasons][
            :_MOST_BAD
        ],
        _refused(shown, stages, batches),
        _checks(reader, shown.trace_id),
        previous,
        _within(reader, previous)[0] if previous is not None else [],
        later[0] if later else None,
    )


def _within(reader: sqlite3.Connection, shown: Part) -> tuple[list[Part], list[Part]]:
    """Stages and batches of a run, by their start."""
    trace = reader.execute("SELECT trace FROM span WHERE id = ?", (shown.span,)).fetchone()[0]
    others = {
        row[0].hex()
        for row in reader.execute(
            "SELECT s.span_id FROM pipeline_run r JOIN span s ON s.id = r.span WHERE s.trace = ? AND r.span <> ?",
            (trace, shown.span),
        )
    }
    parents: dict[str, str] = {}
    if others:
        rows = reader.execute("SELECT span_id, parent_id FROM span WHERE trace = ?", (trace,))
        parents = {span_id.hex(): (parent_id or b"").hex() for span_id, parent_id in rows}
    # By their shapes: no attribute of another span is decoded.
    batches = _shapes(reader, BATCH)
    found: list[list[Part]] = []
    for shapes in (_shapes(reader, STAGE) - batches, batches):
        rows = reader.execute(
            "SELECT id, span_id FROM span WHERE trace = ? AND id <> ? AND shape IN (SELECT value FROM json_each(?)) "
            "ORDER BY id LIMIT ?",
            (trace, shown.span, orjson.dumps([*shapes]).decode(), _MOST_PARTS),
        ).fetchall()
        wanted = [row for row, span_id in rows if _belongs(span_id.hex(), parents, others, shown.span_id)]
        parts = [part_of(span) for span in spans_of(reader, wanted)]
        found.append(sorted(parts, key=lambda part: (part.start_ns, part.span)))
    return found[0], found[1]


def _shapes(reader: sqlite3.Connection, key: str) -> set[int]:
    """Those that have a key."""
    rows = reader.execute("SELECT id FROM shape WHERE instr(keys, ?)", (orjson.dumps(key).decode(),))
    return {row[0] for row in rows}


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
            if reason in found and len(found[reason].spans) < _MOST_NAMED:
                found[reason].spans.append(batch)
    return sorted(found.values(), key=lambda each: (-each.records, each.reason))


def _checks(reader: sqlite3.Connection, trace_id: str) -> list[LogView]:
    rows = reader.execute(
        f"SELECT {LOG_COLUMNS} FROM log WHERE trace_id = ? AND event_name = 'kpi.etl.check.result'"  # noqa: S608 - columns of ours
        " ORDER BY time_ns LIMIT ?",
        (bytes.fromhex(trace_id), _MOST_CHECKS),
    ).fetchall()
    return log_views(reader, rows)
