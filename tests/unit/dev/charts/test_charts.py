"""Each picture is well-formed, says what it shows, has gaps where nothing is known, and lets no text break out."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from support.dev.hostile import TEXTS

from otel_kpi.dev.viewer import bars, charts, drawing, timeline
from otel_kpi.dev.viewer.bars import Bar
from otel_kpi.dev.viewer.charts import Dot, Series
from otel_kpi.dev.viewer.timeline import Interval, Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from markupsafe import Markup

    from otel_kpi.dev.viewer.charts import Point

START, SECOND = 1_795_248_000_000_000_000, 1_000_000_000
END = START + 60 * SECOND
_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def lines(points: Sequence[Point], label: str = "a") -> Markup:
    return charts.lines([Series(label, points)], title=label, start_ns=START, end_ns=END)


def stacked(points: Sequence[Point], label: str = "a") -> Markup:
    parts = [Series(label, points), Series("b", points, 1)]
    return charts.stacked(parts, title=label, start_ns=START, end_ns=END, step_ns=10 * SECOND)


def scatter(points: Sequence[Point], label: str = "a") -> Markup:
    dots = [Dot(at, math.nan if value is None else value, label, f"/traces/{label}") for at, value in points]
    return charts.scatter(dots, title=label, start_ns=START, end_ns=END)


def sparkline(points: Sequence[Point], label: str = "a") -> Markup:
    return charts.sparkline([value for _, value in points], title=label)


def amounts(points: Sequence[Point], label: str = "a") -> Markup:
    return bars.bars([Bar(label, value, label, 0, f"/x?{label}", label) for _, value in points], title=label)


def lanes(points: Sequence[Point], label: str = "a") -> Markup:
    intervals = [Interval(int(at), int(at) + SECOND, label, label, f"/{label}") for at, _ in points]
    return timeline.timeline([Lane(label, intervals, f"/{label}")], title=label, start_ns=START, end_ns=END)


def histogram(points: Sequence[Point], label: str = "a") -> Markup:
    counts = [1 for _ in points]
    return bars.histogram(range(len(counts) + 1), counts, title=label)


def table(points: Sequence[Point], label: str = "a") -> Markup:
    return drawing.table(label, [label], [[label, value] for _, value in points])


PICTURES = [lines, stacked, scatter, sparkline, amounts, lanes, histogram, table]


def read(picture: Markup) -> ET.Element:
    """As a browser would that forgives nothing."""
    return ET.fromstring(f"<all>{_NO_XML.sub('', str(picture))}</all>")


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize(
    "values",
    [
        [], [5.0], [5.0] * 5, [0.0, 0.0], [-1.0, 3.0], [None, 2.0, None], [math.nan, math.inf, -math.inf],
        [10**400, 1], [1e308, -1e308], [1e-320, 1e-310], [Decimal("0.000000001"), Decimal("1e30")],
    ],
)  # fmt: skip
def test_a_picture_is_well_formed_and_without_numbers_that_are_none(
    draw: Callable[[Sequence[Point]], Markup], values: list[float | None]
) -> None:
    picture = draw([(START + at * 10 * SECOND, value) for at, value in enumerate(values)])
    read(picture)
    if draw is not table:
        assert not re.search(r'="[^"]*\b(nan|inf)\b', picture)


@pytest.mark.parametrize("draw", PICTURES)
@pytest.mark.parametrize("text", [*TEXTS, "]]>", "--><b>", "&lt;script&gt;", '" onclick="x'])
def test_no_text_breaks_out_of_a_picture(draw: Callable[[Sequence[Point], str], Markup], text: str) -> None:
    found = read(draw([(START, 1.0), (START + 10 * SECOND, 2.0)], text))
    assert not {each.tag for each in found.iter()} & {"script", "img", "b", "style"}
    assert not [key for each in found.iter() for key in each.attrib if key.startswith("on") or key == "style"]


def test_where_nothing_is_known_a_line_has_a_gap_and_a_bar_is_missing() -> None:
    points = [
        (START, 1.0),
        (START + 10 * SECOND, None),
        (START + 20 * SECOND, 2.0),
        (START + 30 * SECOND, 3.0),
    ]
    line = next(each for each in read(lines(points)).iter("path"))
    # A dot, a gap, a line: what is single is a line of no length.
    assert line.attrib["d"].count("M") == 2
    assert "h0" in line.attrib["d"]
    assert len(list(read(stacked(points)).iter("rect"))) == 6


def test_no_data_says_so_and_is_no_zero() -> None:
    for draw in (lines, stacked, scatter, amounts, lanes, histogram):
        said = "".join(read(draw([])).itertext())
        assert said == "No data in this time."


def test_who_does_not_see_a_picture_hears_what_it_is() -> None:
    points = [(START, 1.0), (START + 10 * SECOND, 2.0)]
    for draw in (lines, stacked, histogram, sparkline):
        svg = next(read(draw(points, "Time of a call")).iter("svg"))
        assert (svg.attrib["role"], svg.attrib["aria-label"]) == ("img", "Time of a call")
    # Links within an image would not be found: it is a group of them.
    for draw in (scatter, lanes):
        found = read(draw(points, "Runs"))
        assert next(found.iter("svg")).attrib["role"] == "group"
        assert {each.attrib["aria-label"] for each in found.iter("a")} == {"Runs"}


def test_many_points_are_reduced_to_what_is_seen() -> None:
    points: list[Point] = [(START + at * 600_000, math.sin(at)) for at in range(100_000)]
    picture = lines(points)
    assert len(picture) < 80_000
    assert picture.count("<circle") == 0


def test_colours_are_classes() -> None:
    picture = charts.stacked(
        [Series("a", [(START, 1)], 23), Series("b", [(START, 1)], drawing.ERROR)],
        title="a", start_ns=START, end_ns=END, step_ns=SECOND,
    )  # fmt: skip
    assert {"mark colour-3", "mark colour-error"} <= {
        each.attrib.get("class") for each in read(picture).iter()
    }
    assert not re.search(r"(fill|stroke)=", picture)


def test_a_histogram_has_an_edge_more_than_counts() -> None:
    with pytest.raises(ValueError, match="2 counts have 3 edges, not 2"):
        bars.histogram([0, 1], [1, 2], title="a")
    assert "∞" in bars.histogram([0, 1, math.inf], [1, 2], title="a")


def test_what_is_not_over_ends_now() -> None:
    picture = timeline.timeline(
        [Lane("a", [Interval(START, None, "under way")])], title="a", start_ns=START, end_ns=END
    )
    rect = next(read(picture).iter("rect"))
    assert rect.attrib["width"] == "100%"
    assert "open" in rect.attrib["class"]


def test_the_parts_of_a_bar_are_together_as_long_as_it() -> None:
    picture = bars.bars([Bar("a", 10, "10", parts=[(4, 1), (6, 2)]), Bar("b", None, "unknown")], title="a")
    rects = [each.attrib for each in read(picture).iter("rect")]
    assert [(each["x"], each["width"]) for each in rects] == [("0%", "40%"), ("40%", "60%")]


def test_what_a_sparkline_does_not_know_is_a_line_and_no_bar() -> None:
    rects = [each.attrib["class"] for each in read(charts.sparkline([None, 0, 3], title="a")).iter("rect")]
    assert sorted(rects) == ["mark", "unknown"]
