"""What an instrument did in a span of time: from the points of its series to what a chart draws. Pure.

A sum is shown as what it rose by a second, whatever its temporality; where a process began anew, what it counted since
counts whole. Where nothing was received there is a gap, not a zero. Buckets that cannot be put together are left out of
the percentiles and said, and what they count is still counted.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Final, Literal, cast

from otel_kpi.dev.store.reading.distributions import Distribution, IncompatibleError
from otel_kpi.dev.telemetry import CUMULATIVE, DELTA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from otel_kpi.dev.store.reading.metrics import Instrument, PointView

Shape = Literal["rate", "level", "change", "distribution", "quantiles"]
SHARES: Final = (0.5, 0.95, 0.99)
_LONG: Final = 3
"""Times the usual interval, from which on nothing was received in between."""
_SECOND: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Window:
    """A span of time in columns of equal width, in nanoseconds since 1970."""

    start_ns: int
    end_ns: int
    columns: int

    @property
    def step_ns(self) -> int:
        """Width of a column."""
        return max(1, (self.end_ns - self.start_ns) // self.columns)

    def column(self, time_ns: int) -> int:
        """The column of a time; what is outside is below 0 or not below `columns`."""
        return (time_ns - self.start_ns) // self.step_ns

    def middle(self, column: int) -> int:
        """The time in the middle of a column."""
        return self.start_ns + column * self.step_ns + self.step_ns // 2


@dataclass(frozen=True, slots=True)
class Increase:
    """What came between two times: a number, or a distribution beside its count.

    Attributes:
        fresh: A process began anew, so the amount is all that it had since.
        long: More time than usual went by: when it came is not known.
    """

    start_ns: int
    end_ns: int
    amount: float
    distribution: Distribution | None = None
    sum: float | None = None
    fresh: bool = False
    incompatible: bool = False
    long: bool = False


@dataclass(slots=True)
class Line:
    """A line of a chart; None is a gap.

    Attributes:
        total: What came in the whole window; None of levels.
        series: How many series it is made of.
    """

    label: str
    values: list[float | None]
    total: float | None = None
    series: int = 1


@dataclass(slots=True)
class History:
    """What a chart draws.

    Attributes:
        shape: `rate` is per second, `level` is the value, `change` is by column, `distribution` has percentiles,
            `quantiles` are those that the sender worked out.
        lines: Rates, levels, changes or quantiles.
        counts: Of distributions: how many values a second.
        distribution: Of the whole window; None where buckets do not go together.
        resets: How often a process began anew.
        gaps: How often nothing was received for longer than usual.
        incompatible: In how many columns buckets did not go together.
        beyond: In how many columns a percentile is above the last bound.
        unknown: In how many columns something is counted whose buckets are not known, while others are.
    """

    window: Window
    shape: Shape
    lines: list[Line]
    counts: list[Line] = field(default_factory=list[Line])
    distribution: Distribution | None = None
    resets: int = 0
    gaps: int = 0
    incompatible: int = 0
    beyond: int = 0
    unknown: int = 0


def history(instrument: Instrument, groups: dict[str, list[list[PointView]]], window: Window) -> History:
    """What to draw.

    Args:
        instrument: Whose it is.
        groups: By label of a line the points of each of its series, the oldest first.
        window: Of time.
    """
    match instrument.kind:
        case "gauge":
            return _levels(groups, window, statistics.fmean)
        case "sum" if not instrument.monotonic and instrument.temporality != DELTA:
            return _levels(groups, window, sum)
        case "sum":
            return _rates(instrument, groups, window)
        case "summary":
            return _quantiles(groups, window)
        case _:
            return _distributions(instrument, groups, window)


def increases(points: Sequence[PointView], temporality: int, usual_ns: int = 0) -> Iterator[Increase]:
    """What came between the points of one series.

    Args:
        points: The oldest first.
        temporality: 1 delta, 2 cumulative; unspecified is taken for cumulative.
        usual_ns: At least how long between two points nobody misses anything.
    """
    longest = _longest(points, usual_ns)
    earliest = points[0].time_ns if points else 0
    older: PointView | None = None
    for point in points:
        if point.value is None:
            older = None
        elif temporality == DELTA:
            start = point.start_ns or (older.time_ns if older else point.time_ns)
            yield Increase(start, point.time_ns, point.value, point.distribution, point.sum)
            older = point
        else:
            found = _since(older, point, earliest, longest)
            if found is not None:
                yield found
            older = point


def _since(older: PointView | None, point: PointView, earliest: int, longest: int) -> Increase | None:
    value = cast("float", point.value)
    whole = Increase(point.start_ns, point.time_ns, value, point.distribution, point.sum)
    if older is None:
        # All that it has is new where it began when we already looked; else nobody knows how much of it is. A point that
        # begins when it ends says that its beginning is not known.
        new = 0 < point.start_ns < point.time_ns and (point.start_ns >= earliest or _began(point, longest))
        return whole if new else None
    since = max(older.time_ns, point.start_ns)
    if point.start_ns > older.start_ns or value < (older.value or 0):
        fresh = Increase(since, point.time_ns, value, point.distribution, point.sum, fresh=True)
        return fresh if point.start_ns >= older.time_ns or not point.start_ns else _long(fresh, longest)
    left: Distribution | None = None
    incompatible = False
    if point.distribution is not None and older.distribution is not None:
        try:
            left = point.distribution.minus(older.distribution)
        except IncompatibleError:
            incompatible = True
    total = None if point.sum is None or older.sum is None else point.sum - older.sum
    return _long(
        Increase(
            older.time_ns, point.time_ns, value - (older.value or 0), left, total, incompatible=incompatible
        ),
        longest,
    )


def _began(point: PointView, longest: int) -> bool:
    """Whether the first point that there is follows the begin of its series within one interval."""
    return bool(longest) and point.time_ns - point.start_ns <= longest


def _long(found: Increase, longest: int) -> Increase:
    if not longest or found.end_ns - found.start_ns <= longest:
        return found
    return Increase(
        found.start_ns, found.end_ns, found.amount, found.distribution, found.sum, found.fresh,
        found.incompatible, long=True,
    )  # fmt: skip


def _longest(points: Sequence[PointView], usual_ns: int) -> int:
    between = [later.time_ns - earlier.time_ns for earlier, later in pairwise(points)]
    return _LONG * max(statistics.median_low(between), usual_ns) if between else 0


# --- one shape after another


def _levels(
    groups: dict[str, list[list[PointView]]], window: Window, together: Callable[[Iterable[float]], float]
) -> History:
    lines: list[Line] = []
    gaps = 0
    for label, members in groups.items():
        columns: list[list[float]] = [[] for _ in range(window.columns)]
        for points in members:
            longest = _longest(points, window.step_ns)
            for at, value in _held(points, window, longest):
                columns[at].append(value)
            gaps += sum(
                1 for one, other in pairwise(points) if longest and other.time_ns - one.time_ns > longest
            )
        lines.append(Line(label, [together(each) if each else None for each in columns], series=len(members)))
    return History(window, "level", lines, gaps=gaps)


def _held(points: Sequence[PointView], window: Window, longest: int) -> Iterator[tuple[int, float]]:
    """By column the last value, which holds until the next one, unless that is too far."""
    last = min(window.columns, window.column(window.end_ns) + 1)
    for at, point in enumerate(points):
        later = points[at + 1] if at + 1 < len(points) else None
        first, end = window.column(point.time_ns), last
        if later is not None:
            end = window.column(later.time_ns)
        if later is None or (longest and later.time_ns - point.time_ns > longest):
            end = min(end, window.column(point.time_ns + longest) if longest else first + 1)
        end = max(end, first + 1) if later is None or window.column(later.time_ns) > first else end
        if point.value is not None:
            yield from ((column, point.value) for column in range(max(first, 0), min(end, last)))


def _rates(instrument: Instrument, groups: dict[str, list[list[PointView]]], window: Window) -> History:
    # A sum of deltas that may fall has no rate that means anything: what it changed by is shown.
    shape: Shape = "rate" if instrument.monotonic else "change"
    made = History(window, shape, [])
    for label, members in groups.items():
        made.lines.append(_summed(label, members, instrument.temporality, made, per_second=shape == "rate"))
    return made


def _summed(
    label: str, members: list[list[PointView]], temporality: int, made: History, *, per_second: bool
) -> Line:
    window = made.window
    values: list[float | None] = [None] * window.columns
    total = 0.0
    for points in members:
        amounts, covered = [0.0] * window.columns, [0.0] * window.columns
        for each in increases(points, temporality, window.step_ns):
            if each.end_ns <= window.start_ns:
                continue
            made.resets += each.fresh
            made.gaps += each.long
            total += each.amount * _inside(each, window)
            if not each.long:
                _spread(each, window, amounts, covered)
        for at, time_ns in enumerate(covered):
            if time_ns:
                amount = amounts[at] / (time_ns / _SECOND) if per_second else amounts[at]
                values[at] = (values[at] or 0.0) + amount
    return Line(label, values, total=total, series=len(members))


def _inside(each: Increase, window: Window) -> float:
    """The share of an increase that lies in the window."""
    whole = each.end_ns - each.start_ns
    if whole <= 0:
        return 1.0
    return max(0, min(each.end_ns, window.end_ns) - max(each.start_ns, window.start_ns)) / whole


def _spread(each: Increase, window: Window, amounts: list[float], covered: list[float]) -> None:
    """Lay an increase over the columns that it lasted; one of a moment over the column where it was."""
    start, end = max(each.start_ns, window.start_ns), min(each.end_ns, window.end_ns)
    if each.end_ns <= each.start_ns:
        at = window.column(each.end_ns)
        if 0 <= at < window.columns:
            amounts[at] += each.amount
            covered[at] = window.step_ns
        return
    for at in range(max(0, window.column(start)), min(window.columns, window.column(end) + 1)):
        left = window.start_ns + at * window.step_ns
        overlap = min(end, left + window.step_ns) - max(start, left)
        if overlap > 0:
            amounts[at] += each.amount * overlap / (each.end_ns - each.start_ns)
            covered[at] += overlap


def _distributions(
    instrument: Instrument, groups: dict[str, list[list[PointView]]], window: Window
) -> History:
    made = History(window, "distribution", [])
    came: list[Distribution] = []
    several = len(groups) > 1
    for label, members in groups.items():
        made.counts.append(
            _summed(label, members, instrument.temporality or CUMULATIVE, made, per_second=True)
        )
        columns, broken, unknown = _by_column(members, instrument.temporality, window, came)
        made.incompatible += len(broken)
        made.unknown += len(unknown)
        for share in SHARES[1:2] if several else SHARES:
            values = [None if each is None else each.quantile(share) for each in columns]
            made.beyond += sum(value == float("inf") for value in values)
            name = f"p{share * 100:g}"
            line = Line(f"{label} {name}" if several else name, values, series=len(members))
            if any(value is not None for value in values):
                made.lines.append(line)
    if not came:  # senders that have no buckets at all
        made.unknown = 0
    try:
        made.distribution = reduce(Distribution.plus, came) if came else None
    except IncompatibleError:
        made.distribution = None
    return made


def _by_column(
    members: list[list[PointView]], temporality: int, window: Window, came: list[Distribution]
) -> tuple[list[Distribution | None], set[int], set[int]]:
    """Distributions by column, the columns in which they do not go together, and those in which some are not known.

    What came between two times is known for each column between them. `came` gets each once.
    """
    columns: list[Distribution | None] = [None] * window.columns
    broken: set[int] = set()
    unknown: set[int] = set()
    for points in members:
        for each in increases(points, temporality, window.step_ns):
            last = window.column(each.end_ns)
            if not 0 <= last < window.columns:
                continue
            if each.distribution is not None and each.amount:
                came.append(each.distribution)
            first = last if each.long else max(0, min(last, window.column(each.start_ns)))
            for at in range(first, last + 1):
                if each.incompatible:
                    broken.add(at)
                elif each.distribution is None and each.amount:
                    unknown.add(at)
                elif at not in broken and each.distribution is not None and each.amount:
                    held = columns[at]
                    try:
                        columns[at] = each.distribution if held is None else held.plus(each.distribution)
                    except IncompatibleError:
                        broken.add(at)
    return [None if at in broken else each for at, each in enumerate(columns)], broken, unknown


def _quantiles(groups: dict[str, list[list[PointView]]], window: Window) -> History:
    made = History(window, "quantiles", [])
    for label, members in groups.items():
        made.counts.append(_summed(label, members, CUMULATIVE, made, per_second=True))
        if len(members) != 1:
            continue  # percentiles of several cannot be put together
        lines: dict[float, list[float | None]] = {}
        for point in members[0]:
            at = window.column(point.time_ns)
            if 0 <= at < window.columns:
                for share, value in point.quantiles:
                    lines.setdefault(share, [None] * window.columns)[at] = value
        made.lines += [
            Line(f"{label} p{share * 100:g}" if len(groups) > 1 else f"p{share * 100:g}", values)
            for share, values in sorted(lines.items())
        ]
    return made
