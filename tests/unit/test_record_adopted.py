"""Histograms of other packages that are added up: the same series as theirs, and whatever is odd goes their way."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

from otel_kpi import _compat, record
from otel_kpi.model import Counter, Derivation, Histogram
from otel_kpi.sdk.cardinality import Budget, CardinalityGuard

if TYPE_CHECKING:
    from collections.abc import Generator

BOUNDS = (0.1, 1.0, 10.0)
DECLARED = Histogram(
    name="their.wait", unit="s", brief="Wait.", attributes=(), buckets=BOUNDS, source="test", series=5
)


class Provider:
    """A provider to which values are added, and a histogram of somebody else's."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider(
            [self.reader], shutdown_on_exit=False, exemplar_filter=AlwaysOnExemplarFilter()
        )
        guard = CardinalityGuard(Budget())
        _compat.guard_measurements(self.provider, guard.admit)
        _compat.before_collection(self.provider, record.fold)
        record.use(provider=self.provider)
        record.use(sums=_compat.HistogramSums(self.provider, guard.admit))
        self.theirs = self.provider.get_meter("their").create_histogram(
            "their.wait", "s", explicit_bucket_boundaries_advisory=list(BOUNDS)
        )
        self.given = 0
        record_one = self.theirs.record

        def counted(*args: Any, **kwargs: Any) -> None:
            self.given += 1
            record_one(*args, **kwargs)

        self.theirs.record = counted  # type: ignore[method-assign] - counts what goes through the API
        self.adopted = record.adopt(DECLARED, self.theirs)

    def points(self) -> dict[Any, Any]:
        data = self.reader.get_metrics_data()
        return {
            frozenset((point.attributes or {}).items()): point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == "their.wait"
            for point in metric.data.data_points
        }


@pytest.fixture
def lent() -> Generator[Provider]:
    yield Provider()
    record.use(sums=None, followed={}, compatibility=True)
    record.use(provider=None)


def test_the_series_are_those_that_the_package_would_have_made(lent: Provider) -> None:
    reader = InMemoryMetricReader()
    plain = MeterProvider([reader], shutdown_on_exit=False).get_meter("their")
    stock = plain.create_histogram("their.wait", "s", explicit_bucket_boundaries_advisory=list(BOUNDS))
    chance = random.Random(7)
    for _ in range(2):
        for _ in range(1_000):
            value = chance.choice([0, 0.1, 1, chance.uniform(0, 20)])
            attributes = {"model": chance.choice("ab"), "port": 443}
            lent.adopted.record(value, attributes=attributes, context=None)
            stock.record(value, attributes)
        found = lent.points()
        data: Any = reader.get_metrics_data()
        for point in data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points:
            mine = found[frozenset(point.attributes.items())]
            assert mine.bucket_counts == point.bucket_counts
            assert mine.sum == pytest.approx(point.sum)
            assert (mine.min, mine.max) == (point.min, point.max)
    assert lent.given <= 1, "all but the first, of which others may want to derive something, are added up"


def test_the_caller_may_change_its_attributes_afterwards(lent: Provider) -> None:
    attributes = {"model": "a"}
    for model in "ab":
        attributes["model"] = model
        lent.adopted.record(1, attributes)
    assert {dict(key)["model"] for key in lent.points()} == {"a", "b"}


@pytest.mark.parametrize(
    ("amount", "attributes"),
    [
        (Decimal(1), {}),
        (True, {}),
        (1.0, {"model": ["a", "b"]}),
    ],
    ids=["no float", "boolean", "no hash"],
)
def test_what_cannot_be_added_up_is_recorded_as_ever(
    lent: Provider, amount: Any, attributes: dict[str, Any]
) -> None:
    before = lent.given
    lent.adopted.record(amount, attributes=attributes)
    assert lent.given == before + 1


def test_negative_values_are_refused_as_the_package_has_it(
    lent: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    lent.adopted.record(-1.0, {"model": "a"})
    assert "non-negative" in caplog.text
    assert lent.points() == {}


def test_series_beyond_the_bound_are_recorded_one_by_one(lent: Provider) -> None:
    for number in range(20):
        for _ in range(3):
            lent.adopted.record(1.0, {"model": f"m{number}"})
    assert len(lent.adopted.cells()) == 5
    assert {dict(key)["model"]: point.count for key, point in lent.points().items()} == {
        f"m{number}": 3 for number in range(20)
    }


def test_exemplars_lead_to_the_span_that_was_given(lent: Provider) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    lent.adopted.record(0.05, {"model": "a"})
    span = tracer.start_span("call")
    lent.adopted.record(5.0, {"model": "a"}, trace.set_span_in_context(span))
    [point] = lent.points().values()
    leads_to = {each.value: each.trace_id for each in point.exemplars}
    assert leads_to[5.0] == span.get_span_context().trace_id


@pytest.mark.parametrize("recorded", [True, False])
def test_values_go_one_by_one_where_something_recorded_follows_from_each(
    lent: Provider,
    recorded: bool,  # noqa: FBT001 - a case
) -> None:
    target = Counter(
        name="older.waits", unit="{wait}", brief="Waits.", attributes=(), source="test", compatibility=True
    )
    derivation = Derivation(source="their.wait", target=target, amount="one")
    record.use(followed={"their.wait": [derivation.target]}, compatibility=recorded)
    for _ in range(10):
        lent.adopted.record(1.0, {"model": "a"})
    assert lent.given == (10 if recorded else 1)
    assert [point.count for point in lent.points().values()] == [10]


def test_without_a_way_to_hand_over_many_each_is_recorded(lent: Provider) -> None:
    record.use(sums=None)
    for _ in range(3):
        lent.adopted.record(1.0, {"model": "a"})
    assert lent.given == 3
