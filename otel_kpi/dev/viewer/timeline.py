"""What lasted when, a lane for each kind. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from markupsafe import escape

from otel_kpi.dev.viewer.drawing import BELOW, colour_class, empty, figure, percent, times_below
from otel_kpi.dev.viewer.formats import elapsed
from otel_kpi.dev.viewer.scales import Scale, Tick, ticks, time_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from otel_kpi.dev.viewer.drawing import Colour

_ROOM: Final = 0.4
"""Share of the width that a label may need."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Something that lasted.

    Attributes:
        start_ns: Nanoseconds since 1970.
        end_ns: The same; None is not over.
        label: Beside or on its bar.
        text: What it is, for who points at it and who hears it.
    """

    start_ns: int
    end_ns: int | None
    label: str = ""
    text: str = ""
    href: str = ""
    colour: Colour = 0


@dataclass(frozen=True, slots=True)
class Lane:
    """A row of a timeline."""

    label: str
    intervals: Sequence[Interval] = field(default_factory=tuple[Interval, ...])
    href: str = ""


def timeline(
    lanes: Sequence[Lane], *, title: str, start_ns: int, end_ns: int, since_start: bool = False
) -> Markup:
    """What lasted when, a lane for each kind.

    Args:
        lanes: From above; one without intervals keeps its place.
        title: What is seen.
        start_ns: Begin of the axis.
        end_ns: Its end; what is not over ends there.
        since_start: The axis says how long after the begin, not when.
    """
    if not any(lane.intervals for lane in lanes) or end_ns < start_ns:
        return empty(title)
    times = Scale(start_ns, max(end_ns, start_ns + 1))
    row, bar = 44, 18
    drawn: list[str] = []
    for at, lane in enumerate(lanes):
        top = at * row
        name = f'<text class="lane" x="0" y="{top + 15}">{escape(lane.label)}</text>'
        if lane.href:
            name = f'<a href="{escape(lane.href)}" aria-label="{escape(lane.label)}">{name}</a>'
        drawn += (f'<line class="rule" x1="0" x2="100%" y1="{top + row}" y2="{top + row}"/>', name)
        drawn += [_interval(each, times, top + 20, bar, end_ns) for each in lane.intervals]
    height = row * len(lanes)
    named = _since_start(start_ns, end_ns) if since_start else time_ticks(start_ns, end_ns)
    grid = "".join(
        f'<line class="grid" x1="{percent(times.at(tick.value))}" x2="{percent(times.at(tick.value))}" '
        f'y1="0" y2="{height}"/>'
        for tick in named
    )
    below = times_below(named, times, height, moments=not since_start)
    svg = (
        f'<svg class="plot" width="100%" height="{height + BELOW}" role="group" aria-label="{escape(title)}">'
        f"{grid}{''.join(drawn)}{below}</svg>"
    )
    return figure("timeline", svg)


def _interval(each: Interval, times: Scale, top: int, bar: int, now_ns: int) -> str:
    first, last = times.at(each.start_ns), times.at(now_ns if each.end_ns is None else each.end_ns)
    under_way = " open" if each.end_ns is None else ""
    said = each.text or each.label
    mark = (
        f'<rect class="mark {colour_class(each.colour)}{under_way}" x="{percent(first)}" width="{percent(last - first)}" '
        f'y="{top}" height="{bar}" rx="3"><title>{escape(said)}</title></rect>'
        # What is shorter than a pixel is seen, and can be met.
        f'<line class="least {colour_class(each.colour)}" x1="{percent(first)}" x2="{percent(first)}" y1="{top + 1}" '
        f'y2="{top + bar - 1}"/>'
    )
    if each.label:
        mark += _beside(each.label, first, last, top + bar - 5)
    return f'<a href="{escape(each.href)}" aria-label="{escape(said)}">{mark}</a>' if each.href else mark


def _beside(label: str, first: float, last: float, y: int) -> str:
    """A label after its bar; before it where there is more room; within where it fills the width."""
    if last <= 1 - _ROOM:
        return f'<text class="beside" x="{percent(last)}" dx="6" y="{y}">{escape(label)}</text>'
    if first >= _ROOM:
        return f'<text class="beside" x="{percent(first)}" dx="-6" y="{y}" text-anchor="end">{escape(label)}</text>'
    return f'<text class="within" x="{percent(first)}" dx="7" y="{y}">{escape(label)}</text>'


def _since_start(start_ns: int, end_ns: int) -> list[Tick]:
    return [
        Tick(start_ns + value, elapsed(value) if value else "0")
        for value in ticks(Scale(0, end_ns - start_ns))
    ]
