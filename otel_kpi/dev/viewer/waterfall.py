"""A trace as rows: its tree, what repeats, what is missing, clocks that differ. Pure, and iterative throughout.

Spans come from anywhere: parents that never came, circles, ids used twice, chains of a hundred thousand. Every span is a
row, once; what is wrong with it is said beside it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from otel_kpi.dev.statements import REPEATS, is_statement, without_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otel_kpi.dev.views import SpanView, TraceView


Interval = tuple[int, int]
"""Nanoseconds from the beginning of the trace: from, to."""


@dataclass(slots=True)
class Row:
    """A row of the waterfall.

    Attributes:
        kind: A span; a parent that never came; siblings that are alike.
        id: What its address names: the span's, `m` and the id of what is missing, `r` and that of the first alike.
        span: What it shows; of siblings the first, of a missing parent none.
        depth: 0 of a root.
        parent: Row above it in the tree, -1 of a root.
        end: Row after the last one below it.
        start: Nanoseconds after the trace's beginning, corrected.
        duration: Nanoseconds; of siblings from the first's beginning to the last's end.
        total: Of siblings, what they took together.
        skew: Nanoseconds by which its clock was corrected.
        alike: How many siblings it stands for.
        errors: How many spans below it, and it, failed.
        statement: It is (they are) of a database.
        trouble: What is wrong with it: `cycle`, `duplicate`; empty is nothing.
        critical: What of it is on the critical path.
    """

    kind: Literal["span", "missing", "repeats"]
    id: str
    span: SpanView | None
    service: str
    name: str
    start: int = 0
    duration: int = 0
    depth: int = 0
    parent: int = -1
    end: int = 0
    total: int = 0
    skew: int = 0
    alike: int = 1
    errors: int = 0
    failed: bool = False
    statement: bool = False
    trouble: Literal["", "cycle", "duplicate"] = ""
    critical: list[Interval] = field(default_factory=list[Interval])


@dataclass(slots=True)
class Waterfall:
    """A trace laid out.

    Attributes:
        rows: From top to bottom, everything unfolded.
        begin_ns: Of the trace, since 1970.
        duration: Nanoseconds, never 0.
        services: Spans and failures of each, the busiest first.
        again: Spans that came twice with the same content, and are shown once.
    """

    rows: list[Row]
    begin_ns: int
    duration: int
    services: list[tuple[str, int, int]]
    spans: int
    errors: int
    missing: int = 0
    cycles: int = 0
    again: int = 0
    skewed: int = 0
    repeated: int = 0


class _Tree:
    """Who is below whom, by the places of spans in a list; places beyond it are parents that are missing."""

    def __init__(self, spans: Sequence[SpanView]) -> None:
        self.spans = spans
        self.places: dict[str, int] = {}
        self.trouble: dict[int, Literal["cycle", "duplicate"]] = {}
        for place, span in enumerate(spans):
            if self.places.setdefault(span.span_id, place) != place:
                self.trouble[place] = "duplicate"
        self.missing: dict[int, str] = {}
        self.children: dict[int, list[int]] = defaultdict(list)
        self.roots: list[int] = []
        self._grow()
        self._break_circles()

    def _grow(self) -> None:
        absent: dict[str, int] = {}
        for place, span in enumerate(self.spans):
            above = span.parent_id
            if not above:
                self.roots.append(place)
            elif above in self.places:
                self.children[self.places[above]].append(place)
            else:
                if above not in absent:
                    absent[above] = len(self.spans) + len(absent)
                    self.missing[absent[above]] = above
                    self.roots.append(absent[above])
                self.children[absent[above]].append(place)

    def _reached(self, start: Iterable[int], seen: set[int]) -> None:
        waiting = list(start)
        while waiting:
            place = waiting.pop()
            if place not in seen:
                seen.add(place)
                waiting.extend(self.children.get(place, ()))

    def _break_circles(self) -> None:
        """What no root leads to goes round in circles: its earliest span becomes a root."""
        seen: set[int] = set()
        self._reached(self.roots, seen)
        for place, span in enumerate(self.spans):
            if place not in seen:
                self.children[self.places[span.parent_id]].remove(place)
                self.trouble[place] = "cycle"
                self.roots.append(place)
                self._reached([place], seen)


def _once(spans: Iterable[SpanView]) -> tuple[list[SpanView], int]:
    """Spans in the order of their start, each once: a sender that got no answer sends again."""
    known: set[tuple[str, str, str, int, int]] = set()
    kept: list[SpanView] = []
    again = 0
    for span in sorted(spans, key=lambda span: span.start_ns):
        what = (span.span_id, span.service, span.name, span.start_ns, span.duration_ns)
        if what in known:
            again += 1
        else:
            known.add(what)
            kept.append(span)
    return kept, again


def _alike(span: SpanView) -> tuple[str, str, str, str]:
    """By what siblings are alike: statements by their text with the values left out."""
    statement = ""
    for key in ("db.query.summary", "db.query.text", "db.statement"):
        text = span.attributes.get(key)
        if isinstance(text, str):
            statement = without_values(text)
            break
    return span.service, span.name, span.kind, statement


def _skew(span: SpanView, start: int, above: SpanView, above_start: int) -> int:
    """Nanoseconds by which a clock must be wrong, for what it says cannot be.

    No span begins before its parent, and no server before its client has asked or after it has gone. Within one service
    there is one clock, as far as anybody can tell.
    """
    if span.service == above.service:
        return 0
    too_late = span.kind == "server" and above.kind == "client" and start > above_start + above.duration_ns
    if start >= above_start and not too_late:
        return 0
    room = above.duration_ns - span.duration_ns
    return above_start + max(0, room // 2) - start


def _clocks(tree: _Tree) -> dict[int, int]:
    """Nanoseconds to add to the times of each span; what is below one in the same service goes with it."""
    moved: dict[int, int] = {}
    waiting = [(root, 0) for root in tree.roots]
    while waiting:
        place, shift = waiting.pop()
        above = tree.spans[place] if place < len(tree.spans) else None
        moved[place] = shift
        for child in tree.children.get(place, ()):
            span = tree.spans[child]
            if above is None:
                waiting.append((child, 0))
            elif span.service == above.service:
                waiting.append((child, shift))
            else:
                waiting.append((child, _skew(span, span.start_ns, above, above.start_ns + shift)))
    return moved


def lay_out(trace: TraceView, *, fold: bool = True) -> Waterfall:
    """Lay a trace out.

    Args:
        trace: Spans in any order.
        fold: Siblings that are alike get a row of their own above them.
    """
    spans, again = _once(trace.spans)
    tree = _Tree(spans)
    moved = _clocks(tree)
    begin = min((span.start_ns + moved[place] for place, span in enumerate(spans)), default=0)
    end = max(
        (span.start_ns + span.duration_ns + moved[place] for place, span in enumerate(spans)), default=0
    )
    rows = _rows(tree, moved, begin, fold=fold)
    return Waterfall(
        rows=rows,
        begin_ns=begin,
        duration=max(1, end - begin),
        services=_services(spans),
        spans=len(spans),
        errors=sum(span.status == "error" for span in spans),
        missing=len(tree.missing),
        cycles=sum(trouble == "cycle" for trouble in tree.trouble.values()),
        again=again,
        skewed=sum(shift != 0 for shift in moved.values()),
        repeated=sum(row.kind == "repeats" for row in rows),
    )


def _services(spans: Iterable[SpanView]) -> list[tuple[str, int, int]]:
    """Spans and failures of each service, the busiest first."""
    number: dict[str, int] = defaultdict(int)
    failed: dict[str, int] = defaultdict(int)
    for span in spans:
        number[span.service] += 1
        failed[span.service] += span.status == "error"
    return [
        (name, number[name], failed[name]) for name in sorted(number, key=lambda name: (-number[name], name))
    ]


def _rows(tree: _Tree, moved: dict[int, int], begin: int, *, fold: bool) -> list[Row]:
    """The tree from top to bottom; sums from below are added up on the way back."""

    def start(place: int) -> int:
        if place in tree.missing:
            return min(start(child) for child in tree.children[place])
        return tree.spans[place].start_ns + moved[place] - begin

    rows: list[Row] = []
    order = sorted(tree.roots, key=start)
    waiting: list[tuple[int | list[int], int, int]] = [(root, 0, -1) for root in reversed(order)]
    while waiting:
        place, depth, parent = waiting.pop()
        if isinstance(place, list):
            row = _repeats([tree.spans[one] for one in place], [start(one) for one in place])
            below: list[int | list[int]] = [*place]
        elif place in tree.missing:
            row = Row("missing", f"m{tree.missing[place]}", None, "", "a parent that has not come")
            below = [*sorted(tree.children[place], key=start)]
        else:
            row = _row(tree.spans[place], start(place), moved[place])
            row.trouble = tree.trouble.get(place, "")
            below = [*sorted(tree.children.get(place, ()), key=start)]
            below = _fold(tree.spans, below) if fold else below
        row.depth, row.parent = depth, parent
        here = len(rows)
        rows.append(row)
        waiting.extend((one, depth + 1, here) for one in reversed(below))
    _add_up(rows)
    return rows


def _row(span: SpanView, start: int, moved: int) -> Row:
    failed = span.status == "error"
    return Row(
        "span", span.span_id, span, span.service, span.name, start, max(0, span.duration_ns), skew=moved,
        total=max(0, span.duration_ns), errors=int(failed), failed=failed, statement=is_statement(span.name, span.attributes),
    )  # fmt: skip


def _repeats(spans: Sequence[SpanView], starts: Sequence[int]) -> Row:
    first = spans[0]
    end = max(start + span.duration_ns for start, span in zip(starts, spans, strict=True))
    return Row(
        "repeats", f"r{first.span_id}", first, first.service, first.name, starts[0], max(0, end - starts[0]),
        total=sum(span.duration_ns for span in spans), alike=len(spans), statement=is_statement(first.name, first.attributes),
    )  # fmt: skip


def _fold(spans: Sequence[SpanView], places: Sequence[int | list[int]]) -> list[int | list[int]]:
    """Siblings with those that are alike as one list, at the place of the first; what failed stays a row of its own."""
    if len(places) < REPEATS:
        return [*places]
    groups: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for place in places:
        if isinstance(place, int) and spans[place].status != "error":
            groups[_alike(spans[place])].append(place)
    folded: list[int | list[int]] = []
    for place in places:
        group: list[int] = []
        if isinstance(place, int) and spans[place].status != "error":
            group = groups[_alike(spans[place])]
        if len(group) < REPEATS:
            folded.append(place)
        elif place == group[0]:
            folded.append(group)
    return folded


def _add_up(rows: list[Row]) -> None:
    """Ends of subtrees, failures below, and how long a missing parent must have been there."""
    for number in range(len(rows) - 1, -1, -1):
        row = rows[number]
        row.end = max(row.end, number + 1)
        if row.parent < 0:
            continue
        above = rows[row.parent]
        above.end = max(above.end, row.end)
        above.errors += row.errors
    for number, row in enumerate(rows):
        if row.kind == "missing":
            below = [one for one in rows[number + 1 : row.end] if one.parent == number]
            row.start = min(one.start for one in below)
            row.duration = max(one.start + one.duration for one in below) - row.start
            row.service = below[0].service
