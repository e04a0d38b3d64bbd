"""The layout of a trace, whatever spans it is made of."""

from __future__ import annotations

import time
from collections import Counter
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from otel_kpi.dev.viewer import critical, likeness, minimap, rows
from otel_kpi.dev.viewer.rendering import Colours
from otel_kpi.dev.viewer.waterfall import lay_out
from otel_kpi.dev.views import SpanView, TraceView

MS = 1_000_000


def span(  # noqa: PLR0913, PLR0917 - what a span has
    identity: str,
    parent: str = "",
    start: int = 0,
    duration: int = 10,
    service: str = "shop",
    name: str = "work",
    **more: Any,
) -> SpanView:
    """Times in milliseconds."""
    return SpanView(
        "t" * 32,
        identity,
        parent,
        service,
        name,
        more.pop("kind", "internal"),
        more.pop("status", "unset"),
        "",
        1_000 * MS + start * MS,
        duration * MS,
        more.pop("attributes", {}),
    )


def laid(*spans: SpanView, fold: bool = True) -> Any:
    return lay_out(TraceView("t" * 32, spans), fold=fold)


def shape(*spans: SpanView, fold: bool = True) -> list[tuple[int, str]]:
    return [(row.depth, row.id) for row in laid(*spans, fold=fold).rows]


spans_of_any_kind = st.lists(
    st.builds(
        span,
        st.sampled_from("abcdef"),
        st.sampled_from(["", "a", "b", "c", "d", "e", "f", "gone", "lost"]),
        st.integers(-50, 50),
        st.integers(0, 60),
        st.sampled_from(["shop", "bank"]),
        st.sampled_from(["one", "two"]),
        kind=st.sampled_from(["client", "server", "internal"]),
        status=st.sampled_from(["unset", "error"]),
    ),
    max_size=24,
)


@settings(max_examples=100, deadline=None)
@given(spans=spans_of_any_kind, fold=st.booleans())
def test_every_span_is_a_row_once_whatever_its_parent_is(spans: list[SpanView], *, fold: bool) -> None:
    waterfall = laid(*spans, fold=fold)
    different = {(each.span_id, each.service, each.name, each.start_ns, each.duration_ns) for each in spans}
    drawn = [row for row in waterfall.rows if row.kind == "span"]
    assert len(drawn) == len(different)
    assert waterfall.again == len(spans) - len(different)
    for number, row in enumerate(waterfall.rows):
        assert number < row.end <= len(waterfall.rows)
        assert row.depth == (0 if row.parent < 0 else waterfall.rows[row.parent].depth + 1)
        assert row.parent < number
        if row.parent >= 0:
            assert waterfall.rows[row.parent].end >= row.end
        assert 0 <= row.start <= waterfall.duration
        assert row.start + row.duration <= waterfall.duration


@settings(max_examples=60, deadline=None)
@given(spans_of_any_kind)
def test_a_critical_path_never_overlaps_itself_and_stays_within_its_spans(spans: list[SpanView]) -> None:
    waterfall = laid(*spans)
    critical.mark_critical_path(waterfall)
    pieces = sorted(piece for row in waterfall.rows if row.kind != "repeats" for piece in row.critical)
    for (_, end), (start, _) in pairwise(pieces):
        assert end <= start
    for row in waterfall.rows:
        for start, end in row.critical:
            assert row.start <= start < end <= row.start + row.duration
    critical.shares(waterfall)
    critical.gaps(waterfall)
    likeness.compare(waterfall, waterfall)
    minimap.minimap(waterfall, rows.Axis(waterfall.duration), Colours({}))


def test_children_stand_below_their_parent_in_the_order_of_their_start() -> None:
    spans = [span("c", "a", 5), span("a", "", 0, 50), span("b", "a", 2), span("d", "b", 3)]
    assert shape(*spans) == [(0, "a"), (1, "b"), (2, "d"), (1, "c")]


def test_a_parent_that_never_came_is_a_row_that_says_so() -> None:
    waterfall = laid(span("a", "gone", 5, 10), span("b", "gone", 9, 20))
    assert [(row.depth, row.kind, row.id) for row in waterfall.rows] == [
        (0, "missing", "mgone"), (1, "span", "a"), (1, "span", "b"),
    ]  # fmt: skip
    assert (waterfall.rows[0].start, waterfall.rows[0].duration) == (0, 24 * MS)
    assert waterfall.missing == 1


def test_a_circle_is_cut_at_its_earliest_span() -> None:
    waterfall = laid(span("a", "c", 3), span("b", "a", 1), span("c", "b", 2))
    assert [(row.depth, row.id, row.trouble) for row in waterfall.rows] == [
        (0, "b", "cycle"), (1, "c", ""), (2, "a", ""),
    ]  # fmt: skip


def test_what_was_sent_twice_is_shown_once_and_an_id_used_twice_is_said() -> None:
    waterfall = laid(span("a", start=1), span("a", start=1), span("a", start=2, name="other"))
    assert [(row.name, row.trouble) for row in waterfall.rows] == [("work", ""), ("other", "duplicate")]
    assert waterfall.again == 1


def test_a_clock_that_is_behind_is_corrected_with_everything_below_it() -> None:
    waterfall = laid(
        span("a", "", 0, 100, kind="client"),
        span("b", "a", -5_000, 60, service="bank", kind="server"),
        span("c", "b", -4_990, 10, service="bank"),
    )
    assert [(row.id, row.start // MS, row.skew // MS) for row in waterfall.rows] == [
        ("a", 0, 0), ("b", 20, 5_020), ("c", 30, 5_020),
    ]  # fmt: skip
    assert waterfall.duration == 100 * MS


def test_work_that_goes_on_after_its_parent_is_not_taken_for_a_wrong_clock() -> None:
    waterfall = laid(
        span("a", "", 0, 10, kind="producer"), span("b", "a", 500, 10, service="bank", kind="consumer")
    )
    assert [row.skew for row in waterfall.rows] == [0, 0]
    critical.mark_critical_path(waterfall)
    assert critical.gaps(waterfall) == [(10 * MS, 500 * MS)]


def test_statements_that_repeat_are_one_row_and_failures_among_them_are_not_hidden() -> None:
    def statement(number: int, **more: Any) -> SpanView:
        text = f"SELECT * FROM product WHERE id = {number}"
        return span(f"s{number}", "a", number * 3, 2, name="SELECT product", attributes={"db.system.name": "x", "db.query.text": text}, **more)  # fmt: skip

    waterfall = laid(
        span("a", "", 0, 100), *(statement(number) for number in range(7)), statement(9, status="error")
    )
    folded = [row for row in waterfall.rows if row.kind == "repeats"]
    assert [(row.alike, row.total // MS, row.statement, row.depth) for row in folded] == [(7, 14, True, 1)]
    assert [(row.id, row.depth) for row in waterfall.rows if row.failed] == [("s9", 1)]
    assert [row.kind for row in laid(span("a", "", 0, 100), *(statement(number) for number in range(7)), fold=False).rows] == ["span"] * 8  # fmt: skip
    assert [row.kind for row in laid(span("a", "", 0, 100), *(statement(number) for number in range(4))).rows] == ["span"] * 5  # fmt: skip


def test_the_critical_path_goes_through_what_was_waited_for() -> None:
    waterfall = laid(
        span("root", "", 0, 100), span("first", "root", 10, 30), span("beside", "root", 15, 10),
        span("last", "root", 50, 40), span("after", "root", 95, 60),
    )  # fmt: skip
    critical.mark_critical_path(waterfall)
    found = {row.id: [(start // MS, end // MS) for start, end in row.critical] for row in waterfall.rows}
    # What goes on after its parent counts until the parent ends.
    assert found == {
        "root": [(0, 10), (40, 50), (90, 95)], "first": [(10, 40)], "beside": [], "last": [(50, 90)], "after": [(95, 100)],
    }  # fmt: skip


def test_own_time_is_what_no_child_accounts_for() -> None:
    waterfall = laid(span("a", "", 0, 100, name="page"), span("b", "a", 10, 30), span("c", "a", 20, 40))
    assert {share.name: (share.spans, share.own // MS, share.total // MS) for share in critical.shares(waterfall)} == {
        "page": (1, 50, 100), "work": (2, 70, 70),
    }  # fmt: skip


def test_two_traces_are_laid_over_each_other_by_service_and_name() -> None:
    first = laid(span("a", "", 0, 100, name="page"), span("b", "a", 1, 10, name="read"), fold=False)
    second = laid(
        span("x", "", 0, 130, name="page"), span("y", "x", 1, 10, name="read"), span("z", "x", 20, 15, name="read"),
        span("w", "x", 90, 15, name="write"), fold=False,
    )  # fmt: skip
    assert [(place.name, place.depth, place.only, place.difference // MS, place.sides[1].spans) for place in likeness.compare(first, second)] == [
        ("page", 0, "", 30, 1), ("read", 1, "", 15, 2), ("write", 1, "b", 15, 1),
    ]  # fmt: skip


def test_a_parent_that_came_in_neither_trace_is_in_both() -> None:
    sides = [laid(span(one, "gone", 0, 10, name="read"), fold=False) for one in "ab"]
    assert [(place.name, place.only) for place in likeness.compare(*sides)] == [
        ("a parent that has not come", ""), ("read", ""),
    ]  # fmt: skip


def test_gaps_that_are_left_out_keep_the_order_and_the_ends() -> None:
    axis = rows.Axis(1_000, [(100, 900)])
    assert axis.at(0) == 0
    assert axis.at(1_000) == 100
    assert 48 < axis.at(100) < axis.at(500) < axis.at(900) < 52
    assert axis.ticks()[0] == (0.0, 0)
    assert axis.ticks()[-1][1] == 1_000


def test_a_chain_of_10_000_spans_and_as_many_siblings_are_laid_out_without_recursion() -> None:
    chain = [
        span(f"{number}", f"{number - 1}" if number else "", number // 1_000, 500) for number in range(10_000)
    ]
    siblings = [span(f"s{number}", "0", 1, 1, name=f"n{number % 9}") for number in range(10_000)]
    begun = time.process_time()
    waterfall = laid(*chain, *siblings)
    critical.mark_critical_path(waterfall)
    took = time.process_time() - begun
    assert Counter(row.kind for row in waterfall.rows) == {"span": 20_000, "repeats": 9}
    assert max(row.depth for row in waterfall.rows) == 9_999
    assert took < 3, "about half a second on a machine of its own"


def test_a_large_trace_of_which_nearly_all_is_folded_is_drawn_as_what_is_seen() -> None:
    alike = [span(f"s{n}", "root", n, 1, name=f"work {n % 20}") for n in range(20_000)]
    waterfall = laid(span("root", duration=20_000), *alike)
    critical.mark_critical_path(waterfall)
    folded = {row.id for row in waterfall.rows if row.kind == "repeats"}
    axis = rows.Axis(waterfall.duration)
    drawn = rows.draw(
        waterfall, axis=axis, colours=Colours({}), folded=folded, chosen="", happened={}, most=rows.FIRST
    )
    assert drawn.count("data-row") == 1 + len(folded)
    columns = rows.columns(waterfall, axis=axis, colours=Colours({}), folded=folded, happened={})
    assert len(columns) < 150 * len(alike)
