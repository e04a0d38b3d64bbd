"""A batch that is worked on, and whether it is worth a span.

Ten million records in batches of a thousand are ten thousand spans, which nobody reads and most stores drop. The
first hundred of a stage have one, and after them up to a hundred that were slow and a hundred that failed. Counts and
sizes are those of all.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.etl import instruments as names
from otel_kpi.packs.etl.scope import facts, start_span
from otel_kpi.packs.etl.tally import Volumes
from otel_kpi.packs.spans import mark

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_kpi.packs.etl.outcome import Outcome
    from otel_kpi.packs.etl.tally import Tally

MOST: Final = 100
"""Spans of a stage's first batches, of slow ones, and of failed ones."""
_FACTOR: Final = 5.0
_LEAST: Final = 0.1
_AFTER: Final = 10
"""Unless told, a batch is slow that takes five times as long as those before it and 100 ms, after ten of them."""


class Batch:
    """A batch that was handed out.

    Attributes:
        index: Its number in the loop, from 0.
        size: Its records; None when they are not known.
        counts: What became of them, by status.
        failure: How it ended, when the loop said so itself.
        handed: When it was handed out, of `time.perf_counter`.
        handed_at: The same in nanoseconds since 1970.
    """

    __slots__ = ("counts", "failure", "handed", "handed_at", "index", "size")

    def __init__(self, index: int, size: int | None) -> None:
        self.index = index
        self.size = size
        self.counts: dict[str, int] = {}
        self.failure: Outcome | None = None
        self.handed = time.perf_counter()
        self.handed_at = time.time_ns()


class Budget:
    """How many spans the batches of a loop may still have.

    Args:
        slow: Seconds after which a batch is slow; None decides by those before it.
    """

    def __init__(self, slow: float | None) -> None:
        self._slow = slow
        self._taken = {"first": 0, "slow": 0, "failed": 0}

    def take(self, batch: Batch, seconds: float, how: Outcome, before: float) -> bool:
        """Whether a batch has a span, which is then taken.

        Args:
            batch: The batch.
            seconds: How long it was worked on.
            how: How it ended.
            before: Seconds of all batches before it.
        """
        reason = self._reason(batch, seconds, how, before)
        if reason is None or self._taken[reason] >= MOST:
            return False
        self._taken[reason] += 1
        return True

    def _reason(self, batch: Batch, seconds: float, how: Outcome, before: float) -> str | None:
        if self._taken["first"] < MOST:
            return "first"
        if how.result not in ("success", "skip"):
            return "failed"
        slow = self._slow
        if slow is None and batch.index >= _AFTER:
            slow = max(_LEAST, _FACTOR * before / batch.index)
        return "slow" if slow is not None and seconds > slow else None


def write_span(tally: Tally, within: Context | None, batch: Batch, seconds: float, how: Outcome) -> None:
    """Write the span of a batch that is over.

    Args:
        tally: The stage that it belongs to.
        within: The stage's context.
        batch: The batch.
        seconds: How long it was worked on.
        how: How it ended.
    """
    attributes: dict[str, Any] = {
        names.BATCH_INDEX.name: batch.index,
        names.RESULT.name: how.result,
        **facts(Volumes(batch.counts, {}, {}), None),
    }
    if batch.size is not None:
        attributes[names.BATCH_RECORDS.name] = batch.size
    name = getattr(tally, "name", None) or tally.pipeline
    title = f"batch {name}" if name else "batch"
    span = start_span(title, attributes, within, start_time=batch.handed_at)
    mark(span, how.error_type, how.error)
    span.end(batch.handed_at + int(seconds * 1e9))


def told(counts: dict[str, int]) -> int:
    """Records in a batch that has no length, from what became of them."""
    checked = counts.get("valid", 0) + counts.get("invalid", 0)
    return max(checked, counts.get("written", 0)) + counts.get("rejected", 0) + counts.get("skipped", 0)
