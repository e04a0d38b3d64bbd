"""A trace at a glance: every row as a line, at most 200 pixels high. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from otel_kpi.dev.viewer.critical import covered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.dev.viewer.rows import Axis
    from otel_kpi.dev.viewer.waterfall import Waterfall

_LINE: Final = 3
_MOST_LINES: Final = 40
_COLUMNS: Final = 500
_APART: Final = 1_000
"""Between the columns of two lines, so that their intervals never touch."""
FEWEST: Final = 12
"""Rows from which on a trace has one: fewer are seen at once anyway."""


def minimap(waterfall: Waterfall, axis: Axis, colours: Mapping[str, int]) -> Markup:
    """Rows in lines, those that share a line side by side or as one; what failed is drawn last, so that it is seen."""
    rows = [row for row in waterfall.rows if row.kind == "span"]
    if len(rows) < FEWEST:
        return Markup()
    lines = min(_MOST_LINES, len(rows))
    drawn: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for number, row in enumerate(rows):
        begin = number * lines // len(rows) * _APART
        first = min(int(axis.at(row.start) * _COLUMNS / 100), _COLUMNS - 1)
        last = int(axis.at(row.start + row.duration) * _COLUMNS / 100)
        colour = "bad" if row.failed else f"s{colours[row.service]}"
        drawn[colour].append((begin + first, begin + max(last, first + 1)))
    paths = "".join(
        f'<path class="{colour}" d="{_path(each)}"/>'
        for colour, each in sorted(drawn.items(), key=lambda one: one[0] == "bad")
    )
    height = lines * _LINE
    return Markup(  # noqa: S704 - numbers and our own class names
        f'<svg class="minimap" viewBox="0 0 {_COLUMNS} {height}" height="{height}" preserveAspectRatio="none" '
        f'aria-hidden="true" data-rows="{len(waterfall.rows)}">{paths}</svg>'
    )


def _path(intervals: list[tuple[int, int]]) -> str:
    """Rectangles, those that touch as one."""
    parts: list[str] = []
    for start, end in covered(intervals):
        line, column = divmod(start, _APART)
        parts.append(f"M{column} {line * _LINE}h{end - start}v{_LINE - 1}h{start - end}z")
    return "".join(parts)
