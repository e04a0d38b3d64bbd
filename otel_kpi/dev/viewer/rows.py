"""The rows of a waterfall as HTML and, for traces of many thousands, as columns for a script. Strings, for speed.

A template takes five times as long for 5,000 rows. Everything that comes from a span goes through `escape`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson
from markupsafe import Markup, escape

from otel_kpi.dev.viewer.details import remark
from otel_kpi.dev.viewer.formats import duration

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from otel_kpi.dev.viewer.waterfall import Interval, Row, Waterfall
    from otel_kpi.dev.views import LogView

MOST_DRAWN: Final = 2_000
"""Spans whose rows are drawn at once; of more those in view are, by a script. 5,000 drawn at once are 2 MB and took 0.6 s
while spans came, in which the script's are there in 0.4 s; of fewer the browser's own search finds each."""
CHUNK: Final = 50
"""Rows that the browser lays out together, when they come into view."""
FIRST: Final = 120
"""Rows of a larger trace that are there before its script."""
_LONGEST_NAME: Final = 200
_GAP: Final = 2.0
"""Percent of the width that a gap keeps when gaps are left out."""
_WARNING: Final = 13
_ROOM: Final = 16
"""Percent of the width that a label needs."""
_ERROR: Final = 17
_MOST_DOTS: Final = 40
_APART: Final = 0.05
"""Percent of the width: half a pixel."""


class Axis:
    """From nanoseconds after the beginning to percent of the width.

    Args:
        duration: Of the trace.
        left_out: Gaps that are drawn narrow.
    """

    def __init__(self, duration: int, left_out: Sequence[Interval] = ()) -> None:
        busy = duration - sum(end - start for start, end in left_out)
        wide = (100.0 - _GAP * len(left_out)) / max(1, busy)
        self.pieces: list[tuple[int, int, float, float]] = []
        at, reached = 0, 0.0
        for start, end in left_out:
            self.pieces.append((at, start, reached, wide))
            reached += (start - at) * wide
            self.pieces.append((start, end, reached, _GAP / (end - start)))
            at, reached = end, reached + _GAP
        self.pieces.append((at, duration, reached, wide))

    def at(self, nanoseconds: float) -> float:
        """Percent, within 0 and 100."""
        for start, end, reached, wide in self.pieces:
            if nanoseconds <= end:
                return max(0.0, min(100.0, reached + (nanoseconds - start) * wide))
        return 100.0

    def ticks(self, number: int = 4) -> list[tuple[float, int]]:
        """Percent and nanoseconds of evenly spaced marks."""
        marks: list[tuple[float, int]] = []
        for step in range(number + 1):
            percent = 100.0 * step / number
            for start, end, reached, wide in self.pieces:
                if percent <= reached + (end - start) * wide + 1e-9:
                    marks.append((percent, int(start + (percent - reached) / wide) if wide else start))
                    break
            else:
                marks.append((percent, self.pieces[-1][1]))
        return marks


class Dot(NamedTuple):
    """Something that happened at one time: an event of a span, or a log record."""

    time_ns: int
    text: str
    level: str


def dots(waterfall: Waterfall, logs: Iterable[LogView]) -> dict[str, list[Dot]]:
    """What happened in each span, by its id; times as the clock of the span was corrected."""
    found: dict[str, list[Dot]] = defaultdict(list)
    skew = {row.id: row.skew for row in waterfall.rows if row.skew}
    for row in waterfall.rows:
        if row.kind == "span" and row.span is not None:
            for event in row.span.events:
                level = "error" if event.name == "exception" else "event"
                found[row.id].append(Dot(event.time_ns + row.skew - waterfall.begin_ns, event.name, level))
    for log in logs:
        level = "error" if log.severity >= _ERROR else "warning" if log.severity >= _WARNING else "log"
        found[log.span_id].append(
            Dot(log.time_ns + skew.get(log.span_id, 0) - waterfall.begin_ns, log.body[:120], level)
        )
    return found


_WORSE: Final = ("log", "event", "warning", "error")


def _dots(axis: Axis, happened: Sequence[Dot]) -> str:
    """Dots, those that would lie on one another as one."""
    clusters: dict[int, list[Dot]] = defaultdict(list)
    for dot in happened:
        clusters[int(axis.at(dot.time_ns))].append(dot)
    drawn: list[str] = []
    for place, each in list(clusters.items())[:_MOST_DOTS]:
        worst = max((dot.level for dot in each), key=_WORSE.index)
        text = (
            each[0].text
            if len(each) == 1
            else f"{len(each)}: " + " · ".join(dot.text[:40] for dot in each[:5])
        )
        drawn.append(f'<s class="{worst}" style="left:{place}.5%" title="{escape(text)}"></s>')
    return "".join(drawn)


def label(row: Row) -> str:
    """What stands beside a bar."""
    if row.kind == "repeats":
        return f"×{row.alike} · Σ {duration(row.total)}"
    return duration(row.duration) if row.kind == "span" else ""


def hidden(rows: Sequence[Row], folded: Container[str]) -> list[bool]:
    """Which rows are below one that is folded."""
    state: list[bool] = []
    until = 0
    for number, row in enumerate(rows):
        inside = number < until
        state.append(inside)
        if not inside and row.end > number + 1 and row.id in folded:
            until = row.end
    return state


def _place(axis: Axis, row: Row) -> tuple[float, float]:
    left = axis.at(row.start)
    return left, max(0.0, axis.at(row.start + row.duration) - left)


def _critical(axis: Axis, row: Row) -> list[tuple[float, float]]:
    """From where to where a row is on the critical path, in percent; of thousands that are alike, what no eye tells apart is one."""
    parts: list[tuple[float, float]] = []
    for start, end in sorted(row.critical):
        left, right = axis.at(start), axis.at(end)
        if parts and left - parts[-1][1] < _APART:
            parts[-1] = parts[-1][0], max(parts[-1][1], right)
        else:
            parts.append((left, right))
    return parts


def _beside(left: float, width: float) -> str:
    """Where the label is: after the bar, before it, or within where neither side has room."""
    right = left + width
    if right <= 100 - _ROOM:
        return f'class="a" style="left:{right:.2f}%"'
    if left >= _ROOM:
        return f'class="z" style="right:{100 - left:.2f}%"'
    return f'class="i" style="right:{100 - right:.2f}%"'


def draw_row(  # noqa: PLR0913 - what a row is drawn from
    row: Row, number: int, *, axis: Axis, colours: Mapping[str, int], folded: bool, unseen: bool, parent: Row | None,
    chosen: str, happened: Sequence[Dot],
) -> str:  # fmt: skip
    """A row. Its colour is its service's; what failed, what is missing and what repeats has a class."""
    left, width = _place(axis, row)
    colour = f"s{colours[row.service]}" if row.service else ""
    below = row.end > number + 1
    identity = escape(row.id)
    classes = "r " + colour
    if row.failed:
        classes += " failed"
    elif row.errors:
        classes += " fails"
    if row.kind != "span":
        classes += f" {row.kind}"
    if row.id == chosen:
        classes += " chosen"
    expanded = f' aria-expanded="{"false" if folded else "true"}"' if below else ""
    name = row.name[:_LONGEST_NAME] or "(no name)"
    of = f"<small>{escape(row.service)}</small>" if parent is None or parent.service != row.service else ""
    href = f'href="?span={identity}" ' if row.kind == "span" else ""
    said = marks(row)
    critical = "".join(
        f'<u style="left:{start:.2f}%;width:{end - start:.2f}%"></u>' for start, end in _critical(axis, row)
    )
    return (
        f'<div class="{classes}" id="{identity}" data-row role="row" aria-level="{row.depth + 1}" '
        f'aria-rowindex="{number + 1}"{expanded}{" hidden" if unseen else ""} style="--d:{min(row.depth, 60)}">'
        f'<div class="n" role="gridcell">{"<button class=t tabindex=-1 aria-label=Fold></button>" if below else "<i></i>"}'
        f"<a {href}tabindex=-1>{of}{escape(name)}</a>{said}</div>"
        f'<div class="b" role="gridcell"><i style="left:{left:.2f}%;width:{width:.2f}%"></i>{critical}'
        f"<b {_beside(left, width)}>{label(row)}</b>{_dots(axis, happened) if happened else ''}</div></div>"
    )


def marks(row: Row) -> str:  # noqa: C901 - one for each mark
    """What is worth saying of a row beside its name."""
    said = ""
    if row.kind == "repeats":
        said += f'<em class="times">×{row.alike}</em>'
        if row.statement:
            said += '<em class="warn" title="The same statement again and again: ask for all of it at once">N+1</em>'
    elif row.span is not None:
        text, kind = remark(row.span)
        if text:
            said += f'<em class="{kind}">{escape(text)}</em>'
    if row.failed:
        said = f'<em class="bad" title="failed">✕</em>{said}'
    elif row.errors:
        said = f'<em class="bad" title="{row.errors} below failed">✕{row.errors}</em>{said}'
    if row.trouble == "cycle":
        said += '<em class="warn" title="Its parent is below it: shown as a root">in a circle</em>'
    elif row.trouble == "duplicate":
        said += '<em class="warn" title="Another span has this id">id used twice</em>'
    if row.skew:
        said += f'<em class="quiet" title="Moved by {duration(row.skew)}: its clock differs">⧖</em>'
    if row.span is not None and row.kind == "span" and row.span.links:
        said += f'<em class="quiet" title="{len(row.span.links)} links">⇢</em>'
    return said


def draw(  # noqa: PLR0913 - what rows are drawn from
    waterfall: Waterfall, *, axis: Axis, colours: Mapping[str, int], folded: Container[str], chosen: str,
    happened: Mapping[str, Sequence[Dot]], most: int | None = None,
) -> Markup:  # fmt: skip
    """Rows in chunks that the browser lays out when they come into view."""
    rows = waterfall.rows
    unseen = hidden(rows, folded)
    drawn: list[str] = []
    chunk: list[str] = []
    seen = shown = 0
    for number, row in enumerate(rows):
        if most is not None:
            # The script has all of them as columns: what is folded may be all but a few of a hundred thousand.
            if shown >= most:
                break
            if unseen[number]:
                continue
        parent = rows[row.parent] if row.parent >= 0 else None
        events = happened.get(row.id, ()) if row.kind == "span" else ()
        chunk.append(
            draw_row(
                row, number, axis=axis, colours=colours, folded=row.id in folded, unseen=unseen[number],
                parent=parent, chosen=chosen, happened=events,
            )
        )  # fmt: skip
        seen += not unseen[number]
        shown += not unseen[number]
        if seen == CHUNK:
            drawn.append(_chunk(chunk, seen))
            chunk, seen = [], 0
    if chunk:
        drawn.append(_chunk(chunk, seen))
    return Markup("".join(drawn))  # noqa: S704 - every part went through `escape`


def _chunk(rows: Sequence[str], seen: int) -> str:
    return f'<div class="c" role="rowgroup" style="--v:{seen}">{"".join(rows)}</div>'


def columns(
    waterfall: Waterfall, *, axis: Axis, colours: Mapping[str, int], folded: Container[str],
    happened: Mapping[str, Sequence[Dot]],
) -> Markup:  # fmt: skip
    """The rows as columns of JSON, to stand within a `<script type="application/json">`."""
    names: dict[str, int] = {}
    services: dict[str, int] = {}
    made: dict[str, list[Any]] = {
        key: [] for key in ("id", "name", "service", "depth", "end", "left", "width", "ns")
    }
    more: dict[int, dict[str, Any]] = {}
    for number, row in enumerate(waterfall.rows):
        left, width = _place(axis, row)
        values = (
            row.id, names.setdefault(row.name[:_LONGEST_NAME] or "(no name)", len(names)),
            services.setdefault(row.service, len(services)), row.depth, row.end, round(left, 3), round(width, 3),
            row.duration,
        )  # fmt: skip
        for column, value in zip(made.values(), values, strict=True):
            column.append(value)
        extra = _extra(row, axis, happened.get(row.id, ()) if row.kind == "span" else ())
        if extra:
            more[number] = extra
    text = orjson.dumps(
        {
            **made,
            "names": list(names),
            "services": [[name, colours[name] if name else -1] for name in services],
            "more": more,
            "folded": [number for number, row in enumerate(waterfall.rows) if row.id in folded],
        },
        option=orjson.OPT_NON_STR_KEYS,
    ).decode("utf-8", "replace")
    inert = text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    return Markup(inert)  # noqa: S704 - as JSON the same, and nothing in it ends the element that it stands in


def _extra(row: Row, axis: Axis, happened: Sequence[Dot]) -> dict[str, Any]:
    """What few rows have."""
    extra: dict[str, Any] = {}
    if row.kind != "span":
        extra |= {"kind": row.kind, "label": label(row), "alike": row.alike, "statement": row.statement}
    elif row.span is not None:
        text, kind = remark(row.span)
        if text:
            extra |= {"remark": text, "is": kind}
    if row.failed:
        extra["failed"] = True
    if row.errors:
        extra["errors"] = row.errors
    if row.trouble:
        extra["trouble"] = row.trouble
    if row.skew:
        extra["skew"] = duration(row.skew)
    if row.critical:
        extra["critical"] = [[round(start, 3), round(end - start, 3)] for start, end in _critical(axis, row)]
    if happened:
        extra["dots"] = [
            [int(axis.at(dot.time_ns)), dot.level, dot.text[:80]] for dot in happened[:_MOST_DOTS]
        ]
    return extra
