"""What all pictures of numbers have: frame, axes, legend, numbers and colours as SVG writes them. Pure.

A picture is as wide as its place: horizontally everything is in percent, so that text keeps its size on a phone, and
vertically in pixels. Colours come from classes of `static/charts.css` alone. What is no number is a gap, never 0; what
there is nothing of says so. For who does not see it each picture has a sentence, and `table` gives its numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from markupsafe import Markup, escape

from otel_kpi.dev.viewer.scales import Scale, Tick, finite, moment, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_kpi.dev.viewer.scales import Number

    Text = Callable[[float], str]

Colour = int | str
"""One of the twenty of the services by its number, or a word of `static/charts.css`."""
ERROR: Final = "error"
QUIET: Final = "quiet"
WIDE: Final = 1000
"""Width of a stretched drawing, in units of its own."""
BELOW: Final = 22
"""Pixels for the names of the times."""
_EDGE: Final = 0.03
"""Share of the width beside an edge, where half of a name would be cut off."""
ABOVE: Final = 8
"""Pixels for the upper half of the topmost number."""


def picture(svg: str) -> Markup:
    """What the functions that draw have put together; every text in it was escaped by them."""
    return Markup(svg)  # noqa: S704 - the one place; tests put hostile texts into each picture


class Entry(NamedTuple):
    """A line of a legend."""

    label: str
    colour: Colour
    dashed: bool = False


def figure(kind: str, svg: str, entries: Sequence[Entry] = ()) -> Markup:
    """A picture with its legend, which one line alone does not need."""
    named = [each for each in entries if each.label]
    legend = ""
    if len(named) > 1:
        listed = "".join(
            f'<li class="{colour_class(each.colour)}{" dashed" if each.dashed else ""}">{escape(each.label)}</li>'
            for each in named
        )
        legend = f'<ul class="legend" aria-hidden="true">{listed}</ul>'
    return picture(f'<figure class="chart chart-{kind}">{svg}{legend}</figure>')


def frame(  # noqa: PLR0913, PLR0917 - the parts of a picture
    body: str,
    axis: Scale,
    named: Sequence[Tick],
    times: Scale,
    height: int,
    text: Text,
    title: str,
    *,
    links: bool = False,
    moments: bool = True,
) -> str:
    """A drawing between its axes.

    Args:
        body: The drawing.
        axis: Of the values.
        named: What the lower axis names.
        times: The lower axis.
        height: Pixels of the drawing.
        text: How a value is written.
        title: What is seen, for who hears it.
        links: Parts of the drawing lead somewhere.
        moments: The lower axis names times.
    """
    grid = "".join(
        f'<line class="{"base" if value == 0 else "grid"}" x1="0" x2="100%" y1="{number(y)}" y2="{number(y)}"/>'
        f'<text class="tick" x="-8" y="{number(y)}" dy=".32em" text-anchor="end">{escape(text(value))}</text>'
        for value in ticks(axis)
        for y in [height * (1 - axis.at(value))]
    )
    # A picture that is an image has no links within; a group of links is read one by one.
    role = "group" if links else "img"
    return (
        f'<svg class="plot valued" width="100%" height="{height + ABOVE + BELOW}" role="{role}" '
        f'aria-label="{escape(title)}"><g transform="translate(0 {ABOVE})">{grid}{body}'
        f"{times_below(named, times, height, moments=moments)}</g></svg>"
    )


def times_below(named: Sequence[Tick], times: Scale, height: int, *, moments: bool) -> str:
    """What the lower axis names; a module tells moments in local time, and pointing at one says it in UTC."""
    return "".join(
        f'<text class="tick time" x="{percent(at)}" y="{height + 16}" text-anchor="{_anchor(at)}"'
        + (
            f' data-ns="{tick.value:.0f}"><title>{escape(moment(int(tick.value)))}</title>'
            if moments
            else ">"
        )
        + f"{escape(tick.text)}</text>"
        for tick in named
        for at in [times.at(tick.value)]
    )


def _anchor(at: float) -> str:
    return "start" if at < _EDGE else "end" if at > 1 - _EDGE else "middle"


def stretched(paths: Sequence[str], height: int) -> str:
    """Paths know no percent: they are drawn on a canvas of their own, which is stretched."""
    return (
        f'<svg x="0" y="0" width="100%" height="{height}" viewBox="0 0 {WIDE} {height}" preserveAspectRatio="none" '
        f'overflow="visible">{"".join(paths)}</svg>'
    )


def value_at(label: str, at: float, value: str) -> str:
    """What is said of a value when it is pointed at."""
    return str(escape(f"{label}: {value}" if label else value)) + f" · {moment(int(at))}"


def edge(value: Number, text: Text) -> str:
    """A bound of an interval, which may be without one."""
    return "∞" if value == float("inf") else "-∞" if value == float("-inf") else text(finite(value) or 0.0)


def colour_class(colour: Colour) -> str:
    """The class; a word is one of ours, never a text from elsewhere."""
    return f"colour-{colour % 20}" if isinstance(colour, int) else f"colour-{colour}"


def percent(share: float) -> str:
    """A share of one, as SVG has lengths."""
    return f"{number(100 * share)}%"


def number(value: float) -> str:
    """A number with two decimals at most."""
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


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
