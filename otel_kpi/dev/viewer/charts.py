"""Pictures of numbers: SVG as text, which pages put where they want it. Pure.

A picture is as wide as its place: horizontally everything is in percent, so that text keeps its size on a phone, and
vertically in pixels. Colours come from classes of `static/charts.css` alone. What is no number is a gap, never 0; what
there is nothing of says so. For who does not see it each picture has a sentence, and `table` gives its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from markupsafe import Markup, escape

from otel_kpi.dev.viewer.drawing import (
    BELOW,
    WIDE,
    Entry,
    colour_class,
    edge,
    figure,
    frame,
    number,
    percent,
    picture,
    stretched,
    times_below,
    value_at,
)
from otel_kpi.dev.viewer.formats import elapsed
from otel_kpi.dev.viewer.scales import (
    Scale,
    Tick,
    finite,
    m4,
    quantity,
    scale,
    segments,
    ticks,
    time_ticks,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_kpi.dev.viewer.drawing import Colour, Text
    from otel_kpi.dev.viewer.scales import Number

ERROR: Final = "error"
QUIET: Final = "quiet"
_COLUMNS: Final = 400
"""Columns of a line's picture: as wide as a picture on a phone, half of one on a desk."""
_ROOM: Final = 0.4
"""Share of the width that a label may need."""
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
class Bar:
    """A horizontal bar.

    Attributes:
        label: What it is of.
        value: How long it is; None is not known, and has no bar.
        text: The value as it is written.
        href: Where it leads.
        note: Small, after the label.
        parts: Values within it that have a colour of their own, in this order.
    """

    label: str
    value: Number | None
    text: str
    colour: Colour = 0
    href: str = ""
    note: str = ""
    parts: Sequence[tuple[Number, Colour]] = ()


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


# --- over time


def lines(  # noqa: PLR0913 - what a picture can have
    series: Sequence[Series],
    *,
    title: str,
    start_ns: int,
    end_ns: int,
    text: Text = quantity,
    area: bool = False,
    zero: bool = True,
    log: bool = False,
    height: int = 150,
) -> Markup:
    """Lines over time, or filled areas; where there is no value there is no line.

    Args:
        series: Each with a name and a colour.
        title: What is seen, as a sentence without an end.
        start_ns: Begin of the axis, whatever there are points of.
        end_ns: Its end.
        text: How a value is written.
        area: Fill what is below.
        zero: The axis of the values has 0.
        log: The axis of the values is logarithmic.
        height: Pixels of the drawing itself.
    """
    known = [
        (each, [(float(at), finite(value)) for at, value in each.points if start_ns <= at <= end_ns])
        for each in series
    ]
    values = [value for _, points in known for _, value in points if value is not None]
    if not values or end_ns <= start_ns:
        return empty(title)
    axis = scale(values, zero=zero and not log, log=log)
    times = Scale(start_ns, end_ns)
    drawn: list[str] = []
    dots: list[str] = []
    base = height * (1 - axis.at(0.0)) if not log else height
    for each, points in known:
        paths, fills = [], []
        for segment in segments(m4(points, _COLUMNS, start_ns, end_ns)):
            placed = [(times.at(at) * WIDE, height * (1 - axis.at(value))) for at, value in segment]
            if len(placed) == 1:  # a single value is a dot: a line of no length with round ends
                paths.append(f"M{number(placed[0][0])} {number(placed[0][1])}h0")
                continue
            way = "L".join(f"{number(x)} {number(y)}" for x, y in placed)
            paths.append(f"M{way}")
            if area:
                fills.append(
                    f"M{number(placed[0][0])} {number(base)}L{way}L{number(placed[-1][0])} {number(base)}Z"
                )
        colour = colour_class(each.colour)
        if fills:
            drawn.append(f'<path class="area {colour}" d="{"".join(fills)}"/>')
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


# --- values and their distribution


def bars(items: Sequence[Bar], *, title: str) -> Markup:
    """Horizontal bars below one another, each with its name and its value as text: a list for who hears it."""
    if not items:
        return empty(title)
    lengths = [finite(each.value) for each in items]
    most = max((max(0.0, length) for length in lengths if length is not None), default=0.0)
    rows: list[str] = []
    for each, length in zip(items, lengths, strict=True):
        label = f"<span>{escape(each.label)}</span>"
        if each.href:
            label = f'<a href="{escape(each.href)}">{escape(each.label)}</a>'
        note = f' <small class="note">{escape(each.note)}</small>' if each.note else ""
        drawn = ""
        if length is not None and most:
            at = 0.0
            for value, colour in each.parts or ((each.value or 0, each.colour),):
                part = max(0.0, finite(value) or 0.0) / most
                drawn += f'<rect class="mark {colour_class(colour)}" x="{percent(at)}" width="{percent(part)}" height="8"/>'
                at += part
        rows.append(
            f'<li><span class="bar-label">{label}{note}</span> <span class="bar-value">{escape(each.text)}</span>'
            f'<svg class="bar" width="100%" height="8" aria-hidden="true">{drawn}</svg></li>'
        )
    return picture(f'<ul class="chart-bars" aria-label="{escape(title)}">{"".join(rows)}</ul>')


def histogram(  # noqa: PLR0913 - what a picture can have
    edges: Sequence[Number],
    counts: Sequence[int],
    *,
    title: str,
    text: Text = quantity,
    height: int = 120,
    colour: Colour = 0,
) -> Markup:
    """How many values lie between two edges.

    Args:
        edges: One more than `counts`, rising; the last may be infinite, and so the first.
        counts: Of each interval.
        title: What is seen.
        text: How an edge is written.
        height: Pixels of the drawing itself.
        colour: Of the bars.

    Raises:
        ValueError: The edges and the counts do not belong together.
    """
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{len(counts)} counts have {len(counts) + 1} edges, not {len(edges)}")
    if not any(counts):
        return empty(title)
    axis = scale(float(count) for count in counts)
    width = 1 / len(counts)
    drawn: list[str] = []
    for at, count in enumerate(counts):
        if count > 0:
            low, high = edge(edges[at], text), edge(edges[at + 1], text)
            top = axis.at(finite(count) or 0.0)
            drawn.append(
                f'<rect class="mark {colour_class(colour)}" x="{percent((at + 0.04) * width)}" '
                f'width="{percent(width * 0.92)}" y="{number(height * (1 - top))}" height="{number(max(1, height * top))}">'
                f"<title>{escape(low)} – {escape(high)}: {count:,}</title></rect>"
            )
    every = max(1, -(-len(edges) // 6))
    named = [Tick(at, edge(edges[at], text)) for at in range(0, len(edges), every)]
    whole = Scale(0, len(counts))
    framed = frame("".join(drawn), axis, named, whole, height, quantity, title, moments=False)
    return figure("histogram", framed)


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


# --- for who does not see them


def table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[object]]) -> Markup:
    """The numbers of a picture, folded away below it."""
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in headings)
    body = "".join(
        "<tr>"
        + "".join(
            f'<th scope="row">{escape(cell)}</th>' if at == 0 else f"<td>{escape(cell)}</td>"
            for at, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    return picture(
        f'<details class="chart-table"><summary>Numbers</summary><div class="scroll"><table><caption>{escape(caption)}'
        f"</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details>"
    )


def empty(title: str, said: str = "No data in this time.") -> Markup:
    """What stands where a picture would be."""
    return picture(
        '<div class="chart chart-empty" role="img" aria-label="{}: {}"><span>{}</span></div>'
    ).format(title, said, said)


def nothing() -> Markup:
    """What stands where there are no numbers either."""
    return Markup()
