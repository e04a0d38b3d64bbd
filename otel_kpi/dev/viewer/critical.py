"""What a trace waited for: its critical path, the time of each span that no other accounts for, and its gaps. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_kpi.dev.viewer.waterfall import Interval, Row, Waterfall

_SHORTEST_GAP: Final = 0.05
"""Share of a trace from which on time in which nothing ran is worth a word."""


def _below(rows: Sequence[Row]) -> list[list[int]]:
    """Spans below each row; rows of siblings that are alike are looked through, for they are no spans."""
    below: list[list[int]] = [[] for _ in rows]
    for number, row in enumerate(rows):
        above = row.parent
        if above >= 0 and rows[above].kind == "repeats":
            above = rows[above].parent
        if row.kind != "repeats" and above >= 0:
            below[above].append(number)
    return below


def mark_critical_path(waterfall: Waterfall) -> None:
    """Say of each row what of it the trace waited for.

    From the end of the longest root backwards: its last child to end is what it waited for, before that the last one to end
    before that one began. What goes on beside one that was waited for held nobody up; what ends after its parent counts until then.
    """
    rows = waterfall.rows
    below = _below(rows)
    roots = [number for number, row in enumerate(rows) if row.parent < 0]
    if not roots:
        return
    root = max(roots, key=lambda number: rows[number].duration)
    # Each: a span, and the time of it that its parent has for it.
    waiting: list[tuple[int, int, int]] = [(root, rows[root].start, rows[root].start + rows[root].duration)]
    while waiting:
        number, since, until = waiting.pop()
        row = rows[number]
        cursor = until
        ends = sorted(
            ((min(rows[one].start + rows[one].duration, until), one) for one in below[number]), reverse=True
        )
        for end, one in ends:
            start = max(rows[one].start, since)
            if end > cursor or start >= end:
                continue
            if cursor > end:
                row.critical.append((end, cursor))
            waiting.append((one, start, end))
            cursor = start
        if cursor > since:
            row.critical.append((since, cursor))
        row.critical.reverse()
    for row in rows:
        if row.kind == "span" and row.parent >= 0 and rows[row.parent].kind == "repeats":
            rows[row.parent].critical += row.critical


def covered(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals with those that touch made one, in their order."""
    joined: list[Interval] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif end > start:
            joined.append((start, end))
    return joined


def gaps(waterfall: Waterfall) -> list[Interval]:
    """When nothing ran at all, for long enough to be worth leaving out."""
    busy = covered((row.start, row.start + row.duration) for row in waterfall.rows if row.kind == "span")
    least = waterfall.duration * _SHORTEST_GAP
    return [(before[1], after[0]) for before, after in pairwise(busy) if after[0] - before[1] > least]


@dataclass(slots=True)
class Share:
    """What spans of one name took.

    Attributes:
        total: Nanoseconds, together.
        own: Nanoseconds of it in which nothing below them ran.
        p95: Nanoseconds that 95 of 100 of them did not exceed.
    """

    service: str
    name: str
    spans: int
    errors: int
    total: int
    own: int
    p50: int
    p95: int
    longest: int
    slowest: str


def shares(waterfall: Waterfall) -> list[Share]:
    """By service and name, those with the most time of their own first."""
    rows = waterfall.rows
    below = _below(rows)
    found: dict[tuple[str, str], list[tuple[int, int, Row]]] = {}
    for number, row in enumerate(rows):
        if row.kind != "span":
            continue
        end = row.start + row.duration
        inside = covered(
            (max(rows[one].start, row.start), min(rows[one].start + rows[one].duration, end))
            for one in below[number]
        )
        own = row.duration - sum(stop - start for start, stop in inside)
        found.setdefault((row.service, row.name), []).append((row.duration, own, row))
    made: list[Share] = []
    for (service, name), each in found.items():
        each.sort(key=lambda one: one[0])
        made.append(
            Share(
                service,
                name,
                spans=len(each),
                errors=sum(one[2].failed for one in each),
                total=sum(one[0] for one in each),
                own=sum(one[1] for one in each),
                p50=each[(len(each) - 1) // 2][0],
                p95=each[min(len(each) - 1, int(len(each) * 0.95))][0],
                longest=each[-1][0],
                slowest=each[-1][2].id,
            )
        )
    return sorted(made, key=lambda share: (-share.own, share.service, share.name))
