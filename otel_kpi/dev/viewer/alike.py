"""How long spans of the same name take, so that one can be seen among them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.viewer import bars, drawing, formats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.dev.store import Store
    from otel_kpi.dev.views import SpanView, TraceView

_NEWEST: Final = 20_000
"""Spans that are looked through: there is no index by name, and this takes a few milliseconds."""
_FEWEST: Final = 3
_BUCKETS: Final = 24


@dataclass(frozen=True, slots=True)
class Alike:
    """Durations of spans of one name.

    Attributes:
        spans: How many were found.
        quicker: Share of them that took less time than this one.
        picture: Their distribution.
    """

    spans: int
    quicker: float
    p50: int
    picture: str


def alike(store: Store | None, trace: TraceView, span: SpanView) -> Alike | None:
    """The duration of a span among the newest of its name; without a store among those of its trace."""
    if store is None:
        found = [
            each.duration_ns
            for each in trace.spans
            if each.name == span.name and each.service == span.service
        ]
    else:
        rows = store.reader().execute(
            "SELECT dur_ns FROM span WHERE id > (SELECT coalesce(max(id), 0) FROM span) - ?"
            " AND name = (SELECT id FROM str WHERE s = ?) AND service = (SELECT id FROM service WHERE name = ?)",
            (_NEWEST, span.name, span.service),
        )
        found = [int(row[0]) for row in rows]
    if len(found) < _FEWEST:
        return None
    found.sort()
    return _drawn(found, span.duration_ns)


def _drawn(durations: Sequence[int], this: int) -> Alike:
    """Buckets as wide as each other on a logarithmic scale: durations of one name differ by factors."""
    low, high = math.log(max(1, min(durations[0], this))), math.log(max(2, durations[-1], this))
    wide = (high - low) / _BUCKETS or 1.0
    counts = [0] * _BUCKETS
    for each in durations:
        counts[min(_BUCKETS - 1, int((math.log(max(1, each)) - low) / wide))] += 1
    edges = [math.exp(low + number * wide) for number in range(_BUCKETS + 1)]
    picture = bars.histogram(
        edges,
        counts,
        title="Durations of spans of this name",
        text=formats.duration,
        height=56,
        colour=drawing.QUIET,
    )
    return Alike(
        spans=len(durations),
        quicker=sum(each < this for each in durations) / len(durations),
        p50=durations[(len(durations) - 1) // 2],
        picture=picture,
    )
