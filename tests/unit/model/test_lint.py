"""The linter over declarations: each rule refuses what it is for, and what is installed breaks none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from otel_kpi.model import Attribute, Counter, Event, Gauge, Histogram, Instrument, Pack, Renamed, Span
from otel_kpi.model.lint import problems
from otel_kpi.packs import own_packs

KIND = Attribute(name="kpi.test.kind", brief="What it is.", budget=20)
GOOD = Counter(name="kpi.test.things", unit="{thing}", brief="Things.", attributes=(KIND,), source="B1")


def pack(*instruments: Instrument, **parts: Any) -> Pack:
    return Pack(name="test", title="Test", brief="A test.", instruments=instruments, **parts)


def test_what_is_declared_here_breaks_no_rule() -> None:
    assert problems(own_packs()) == []


def test_a_good_declaration_has_no_problem() -> None:
    assert problems([pack(GOOD)]) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "kpi.Test.things"}, "lower case"),
        ({"name": "things"}, "with a namespace"),
        ({"name": "kpi.test.things_total"}, "which the unit says"),
        ({"name": "kpi.test.wait_seconds"}, "which the unit says"),
        ({"name": "shop.things"}, "no convention"),
        ({"name": "shop.things", "exempt": "S4 fixes it"}, None),
        ({"exempt": "no reason"}, "exemption that nothing needs"),
        ({"prometheus": "kpi_test_things"}, "Prometheus makes kpi_test_things_total of it"),
        ({"prometheus": "kpi_test_things_total"}, None),
        ({"unit": "1"}, "unit '1'"),
        ({"unit": "%"}, "unit '%'"),
        ({"unit": "ms"}, "unit 'ms'"),
        ({"brief": "things"}, "brief is one sentence"),
        ({"source": ""}, "has no source"),
        ({"series": 5_000}, "OpenTelemetry overflows"),
        ({"attributes": (replace(KIND, budget=0),)}, "has no budget"),
        ({"attributes": (replace(KIND, budget=100_000),)}, "at most 200"),
        ({"attributes": (replace(KIND, name="job"),)}, "label that Prometheus gives"),
        ({"attributes": (replace(KIND, name="kind"),)}, "no namespace and no source"),
        ({"attributes": (replace(KIND, name="kind", source="S0"),)}, None),
        ({"attributes": (replace(KIND, name="kpi.Kind"),)}, "not lower case"),
        ({"attributes": (replace(KIND, type="double"),)}, "which no series has"),
        ({"attributes": (replace(KIND, brief="kind"),)}, "a brief is a sentence"),
        ({"attributes": (KIND, replace(KIND, name="kpi.test_kind"))}, "one label in Prometheus"),
        ({"initial": (("a", "b"),)}, "2 values for 1 attributes"),
        ({"attributes": (replace(KIND, budget=0, members=("a",)),), "initial": (("b",),)}, "no member"),
    ],
)
def test_each_rule_refuses_what_it_is_for(changes: dict[str, Any], said: str | None) -> None:
    found = problems([pack(replace(GOOD, **changes))])
    if said is None:
        assert found == []
    else:
        assert any(said in line for line in found), found


@pytest.mark.parametrize("buckets", [(), (1.0, 1.0), (2.0, 1.0), (1.0, float("inf"))])
def test_buckets_are_finite_and_ascending(buckets: tuple[float, ...]) -> None:
    declared = Histogram(name="kpi.test.wait", unit="s", brief="Wait.", source="B1", buckets=buckets)
    assert any("buckets" in line for line in problems([pack(declared)]))


def test_two_instruments_never_meet_in_one_series() -> None:
    histogram = Histogram(name="kpi.test.wait", unit="s", brief="Wait.", source="B1", buckets=(1,))
    gauge = Gauge(
        name="kpi.test.wait_seconds_count", unit="{wait}", brief="Waits.", source="B1", exempt="for the test"
    )
    assert any(
        "kpi_test_wait_seconds_count in Prometheus" in line for line in problems([pack(histogram, gauge)])
    )
    assert any("is declared in" in line for line in problems([pack(GOOD), replace(pack(GOOD), name="two")]))


def test_an_attribute_is_of_one_type_everywhere() -> None:
    span = Span(
        id="kpi.test",
        name="test",
        kind="internal",
        brief="A test.",
        source="B1",
        attributes=(replace(KIND, type="int"),),
    )
    assert any("several types" in line for line in problems([pack(GOOD, spans=(span,))]))


def test_spans_and_events_have_sentences_and_sources() -> None:
    span = Span(id="kpi.test", name="test", kind="internal", brief="a test")
    event = Event(name="Test", brief="A test.", source="B1")
    found = problems([pack(spans=(span,), events=(event,))])
    assert [line.partition(":")[0] for line in found] == ["kpi.test", "kpi.test", "Test"]


def test_a_name_that_was_given_up_is_not_declared() -> None:
    renamed = Renamed("kpi.test.things", "kpi.test.objects", "0.2", "Things are objects.")
    assert any("still there" in line for line in problems([pack(GOOD, renamed=(renamed,))]))
