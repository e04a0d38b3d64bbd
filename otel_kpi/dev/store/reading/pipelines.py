"""Runs of pipelines: when, how long, how they ended, and those that are still under way.

What a run counted stands on its span; of one that is still under way there are only the events with which it began and
goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.store.reading.pipeline_parts import NAME, RUN_ID, STAGE, number, part_of, text, volume_of
from otel_kpi.dev.store.reading.spans import LOG_COLUMNS, log_views, spans_of

if TYPE_CHECKING:
    import sqlite3

    from otel_kpi.dev.store.reading.pipeline_parts import Part, Volume

_MOST_EVENTS: Final = 1_000
"""Each run says something once a minute, and this page is drawn once a second."""
SILENT_AFTER_NS: Final = 180_000_000_000
"""A run says once a minute that it is under way; after three it is not known any more whether it is."""


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
    return [part_of(span) for span in sorted(spans, key=lambda span: -span.row)], len(rows) > limit


def under_way(reader: sqlite3.Connection, now_ns: int, limit: int = 20) -> list[UnderWay]:
    """Runs that have said that they began and not come to an end; a day back, and `_MOST_EVENTS` of what they said, at most."""
    rows = reader.execute(
        f"SELECT {LOG_COLUMNS} FROM log"  # noqa: S608 - columns of ours
        " WHERE event_name IN ('kpi.etl.run.start', 'kpi.etl.run.heartbeat') AND time_ns >= ?"
        " ORDER BY time_ns DESC LIMIT ?",
        (now_ns - 86_400_000_000_000, _MOST_EVENTS),
    ).fetchall()
    found: dict[str, UnderWay] = {}
    for event in log_views(reader, rows):
        said = event.attributes
        run_id = text(said.get(RUN_ID))
        known = found.get(run_id)
        if known is not None:  # an earlier word of it
            known.start_ns = min(known.start_ns, event.time_ns)
            continue
        elapsed = number(said.get("kpi.etl.run.elapsed")) or 0.0
        found[run_id] = UnderWay(
            text(said.get(NAME)),
            run_id,
            event.service,
            # It did not begin after it said so, nor before 1970.
            event.time_ns - int(min(max(elapsed * 1e9, 0.0), event.time_ns)),
            event.time_ns,
            text(said.get(STAGE)),
            volume_of(said),
        )
    for run_id in list(found):
        if reader.execute("SELECT 1 FROM pipeline_run WHERE run_id = ? LIMIT 1", (run_id,)).fetchone():
            del found[run_id]
    return sorted(found.values(), key=lambda each: -each.heard_ns)[:limit]
