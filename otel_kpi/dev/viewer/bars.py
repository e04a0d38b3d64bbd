"""Amounts beside each other: horizontal bars by name, and how many values lie where. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import escape

from otel_kpi.dev.viewer.drawing import colour_class, edge, empty, figure, frame, number, percent, picture
from otel_kpi.dev.viewer.scales import Scale, Tick, finite, quantity, scale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from otel_kpi.dev.viewer.drawing import Colour, Text
    from otel_kpi.dev.viewer.scales import Number


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


def _whole(value: float) -> str:
    """Half of a value is never counted."""
    return quantity(value) if value == int(value) else ""


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
    every = max(1, -(-len(edges) // 4))  # as many as fit beside each other in the pane of a span
    named = [Tick(at, edge(edges[at], text)) for at in range(0, len(edges), every)]
    whole = Scale(0, len(counts))
    framed = frame("".join(drawn), axis, named, whole, height, _whole, title, moments=False)
    return figure("histogram", framed)
