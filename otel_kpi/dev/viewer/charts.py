"""Values over time: lines, stacked bars, points, and small bars within a line of text. Pure.

See `drawing.py` for what all pictures have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from otel_kpi.dev.viewer.drawing import (
    QUIET,
    WIDE,
    Entry,
    colour_class,
    empty,
    figure,
    frame,
    number,
    percent,
    picture,
    stretched,
    value_at,
)
from otel_kpi.dev.viewer.formats import elapsed
from otel_kpi.dev.viewer.scales import Scale, finite, m4, quantity, scale, segments, time_ticks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.dev.viewer.drawing import Colour, Text
    from otel_kpi.dev.viewer.scales import Number

_COLUMNS: Final = 400
"""Columns of a line's picture: as wide as a picture on a phone, half of one on a desk."""
_HOVERED: Final = 120
"""Points of a line that say their value when pointed at; of more none could be met."""

Point = tuple[float, "Number | None"]
"""Time in nanoseconds since 1970 and value; None is a gap."""


@dataclass(frozen=True, slots=True)
class Series:
    """A line, or a part of stacked bars.

    Attributes:
        label: Its name in the legend; empty has none.
        points: By time.
        colour: See `Colour`.
        dashed: Told apart from others by more than its colour.
    """

    label: str
    points: Sequence[Point]
    colour: Colour = 0
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a scatter.

    Attributes:
        text: What it is, for who points at it and who hears it.
        size: 1 is usual, 2 is twice as wide.
    """

    x: float
    y: Number
    text: str
    href: str = ""
    colour: Colour = 0
    size: float = 1.0


def lines(  # noqa: PLR0913 - what a picture can have
    series: Sequence[Series],
    *,
    title: str,
    start_ns: int,
    end_ns: int,
    text: Text = quantity,
    height: int = 150,
) -> Markup:
    """Lines over time; where there is no value there is no line.

    Args:
        series: Each with a name and a colour.
        title: What is seen, as a sentence without an end.
        start_ns: Begin of the axis, whatever there are points of.
        end_ns: Its end.
        text: How a value is written.
        height: Pixels of the drawing itself.
    """
    known = [
        (each, [(float(at), finite(value)) for at, value in each.points if start_ns <= at <= end_ns])
        for each in series
    ]
    values = [value for _, points in known for _, value in points if value is not None]
    if not values or end_ns <= start_ns:
        return empty(title)
    axis = scale(values)
    times = Scale(start_ns, end_ns)
    drawn: list[str] = []
    dots: list[str] = []
    for each, points in known:
        paths: list[str] = []
        for segment in segments(m4(points, _COLUMNS, start_ns, end_ns)):
            placed = [(times.at(at) * WIDE, height * (1 - axis.at(value))) for at, value in segment]
            if len(placed) == 1:  # a single value is a dot: a line of no length with round ends
                paths.append(f"M{number(placed[0][0])} {number(placed[0][1])}h0")
                continue
            way = "L".join(f"{number(x)} {number(y)}" for x, y in placed)
            paths.append(f"M{way}")
        colour = colour_class(each.colour)
        if paths:
            dashed = " dashed" if each.dashed else ""
            drawn.append(f'<path class="line {colour}{dashed}" d="{"".join(paths)}"/>')
        if len(points) <= _HOVERED:
            dots += [
                f'<circle class="hover {colour}" cx="{percent(times.at(at))}" cy="{number(height * (1 - axis.at(value)))}" '
                f'r="5"><title>{value_at(each.label, at, text(value))}</title></circle>'
                for at, value in points
                if value is not None
            ]
    body = f"{stretched(drawn, height)}{''.join(dots)}"
    return figure(
        "lines", frame(body, axis, time_ticks(start_ns, end_ns), times, height, text, title), _legend(series)
    )


def stacked(  # noqa: PLR0913 - what a picture can have
    series: Sequence[Series],
    *,
    title: str,
    start_ns: int,
    end_ns: int,
    step_ns: int,
    text: Text = quantity,
    height: int = 150,
) -> Markup:
    """Bars over time, the parts of each upon one another; where all parts are missing there is no bar.

    Args:
        series: Parts from below; the time of a point is where its bar begins.
        title: What is seen, as a sentence without an end.
        start_ns: Begin of the axis.
        end_ns: Its end.
        step_ns: How long a bar lasts.
        text: How a value is written.
        height: Pixels of the drawing itself.
    """
    columns: dict[float, list[tuple[Series, float]]] = {}
    for each in series:
        for at, given in each.points:
            value = finite(given)
            if value is not None and start_ns <= at < end_ns:
                columns.setdefault(at, []).append((each, max(0.0, value)))
    if not columns or end_ns <= start_ns or step_ns <= 0:
        return empty(title)
    axis = scale(min(sum(value for _, value in parts), 1e300) for parts in columns.values())
    times = Scale(start_ns, end_ns)
    width = step_ns / (end_ns - start_ns)
    drawn: list[str] = []
    for at, parts in sorted(columns.items()):
        below = 0.0
        named = [(each, value) for each, value in parts if value]
        for each, value in named:
            top, bottom = axis.at(min(below + value, 1e300)), axis.at(below)
            below += value
            drawn.append(
                f'<rect class="mark {colour_class(each.colour)}" x="{percent(times.at(at) + width * 0.1)}" '
                f'width="{percent(min(width * 0.8, 1 - times.at(at)))}" y="{number(height * (1 - top))}" '
                f'height="{number(max(height * (top - bottom), 1))}"><title>{value_at(each.label, at, text(value))}</title></rect>'
            )
    body = "".join(drawn)
    return figure(
        "stacked",
        frame(body, axis, time_ticks(start_ns, end_ns), times, height, text, title),
        _legend(series),
    )


def _legend(series: Sequence[Series]) -> list[Entry]:
    return [Entry(each.label, each.colour, each.dashed) for each in series]


def sparkline(
    values: Sequence[Number | None], *, title: str, colour: Colour = QUIET, height: int = 24
) -> Markup:
    """Small bars without axes, within a line of a table; what is not known is a line below."""
    numbers = [finite(value) for value in values]
    known = [max(0.0, value) for value in numbers if value is not None]
    most = max(known, default=0.0)
    if not most:
        return Markup('<svg class="spark" width="100%" height="{}" role="img" aria-label="{}"></svg>').format(
            height, f"{title}: nothing"
        )
    width = 1 / len(numbers)
    drawn = "".join(
        f'<rect class="mark" x="{percent(at * width)}" width="{percent(width * 0.8)}" '
        f'y="{number(height - max(2.0, value / most * height))}" height="{number(max(2.0, value / most * height))}"/>'
        for at, value in enumerate(numbers)
        if value is not None and value > 0
    ) + "".join(
        f'<rect class="unknown" x="{percent(at * width)}" width="{percent(width)}" y="{height - 2}" height="2"/>'
        for at, value in enumerate(numbers)
        if value is None
    )
    return picture(
        f'<svg class="spark {colour_class(colour)}" width="100%" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{drawn}</svg>'
    )


def scatter(  # noqa: PLR0913 - what a picture can have
    dots: Sequence[Dot],
    *,
    title: str,
    start_ns: int,
    end_ns: int,
    text: Text = elapsed,
    log: bool = False,
    height: int = 150,
) -> Markup:
    """Points over time; each that leads somewhere is a link.

    Args:
        dots: Their `x` is a time in nanoseconds.
        title: What is seen.
        start_ns: Begin of the axis.
        end_ns: Its end.
        text: How a value is written.
        log: The axis of the values is logarithmic.
        height: Pixels of the drawing itself.
    """
    placed = [
        (dot, value) for dot in dots if (value := finite(dot.y)) is not None and start_ns <= dot.x <= end_ns
    ]
    if not placed or end_ns < start_ns:
        return empty(title)
    if start_ns == end_ns:
        start_ns, end_ns = start_ns - 500_000_000, end_ns + 500_000_000
    axis = scale((value for _, value in placed), log=log)
    times = Scale(start_ns, end_ns)
    drawn: list[str] = []
    for dot, value in placed:
        circle = (
            f'<circle class="dot {colour_class(dot.colour)}" cx="{percent(times.at(dot.x))}" '
            f'cy="{number(height * (1 - axis.at(value)))}" r="{number(4 * dot.size)}"><title>{escape(dot.text)}</title></circle>'
        )
        drawn.append(
            f'<a href="{escape(dot.href)}" aria-label="{escape(dot.text)}">{circle}</a>'
            if dot.href
            else circle
        )
    framed = frame(
        "".join(drawn),
        axis,
        time_ticks(start_ns, end_ns),
        times,
        height,
        text,
        title,
        links=any(dot.href for dot, _ in placed),
    )
    return figure("scatter", framed)
