"""Values of histograms that are added up between collections: the same series as through the API."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View

from otel_kpi import _compat, record
from otel_kpi.model import Attribute, Histogram
from otel_kpi.sdk.cardinality import Budget, CardinalityGuard

if TYPE_CHECKING:
    from collections.abc import Generator

BOUNDS = (0.1, 1, 10)
DECLARED = Histogram(
    name="kpi.test.wait",
    unit="s",
    brief="Wait.",
    attributes=(Attribute(name="kpi.test.kind", brief="Kind.", budget=30),),
    buckets=BOUNDS,
    source="test",
)
WAIT = record.histogram(DECLARED)


class Lent:
    """A provider to which values are added."""

    def __init__(self, *readers: InMemoryMetricReader, views: Any = ()) -> None:
        self.provider = MeterProvider(
            readers, shutdown_on_exit=False, views=views, exemplar_filter=AlwaysOnExemplarFilter()
        )
        guard = CardinalityGuard(Budget())
        _compat.guard_measurements(self.provider, guard.admit)
        _compat.before_collection(self.provider, record.fold)
        record.use(provider=self.provider)
        record.use(sums=_compat.HistogramSums(self.provider, guard.admit))


@pytest.fixture(autouse=True)
def nothing_lent_afterwards() -> Generator[None]:
    yield
    record.use(sums=None)
    record.use(provider=None)


def points(reader: InMemoryMetricReader) -> dict[Any, Any]:
    data = reader.get_metrics_data()
    return {
        (point.attributes or {}).get("kpi.test.kind"): point
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "kpi.test.wait"
        for point in metric.data.data_points
    }


def test_added_up_values_give_the_series_that_the_api_gives() -> None:
    ours, theirs = InMemoryMetricReader(), InMemoryMetricReader()
    Lent(ours)
    plain = MeterProvider([theirs], shutdown_on_exit=False)
    histogram = plain.get_meter("test").create_histogram(
        "kpi.test.wait", explicit_bucket_boundaries_advisory=list(BOUNDS)
    )
    chance = random.Random(5)
    for _ in range(3):
        for _ in range(2_000):
            value, kind = chance.choice([0.1, 1, 10, chance.uniform(0, 20)]), chance.choice("ab")
            WAIT.record(value, kind)
            histogram.record(value, {"kpi.test.kind": kind})
        mine, others = points(ours), points(theirs)
        for kind in "ab":
            assert mine[kind].bucket_counts == others[kind].bucket_counts
            assert mine[kind].count == others[kind].count
            assert mine[kind].sum == pytest.approx(others[kind].sum)
            assert (mine[kind].min, mine[kind].max) == (others[kind].min, others[kind].max)


def test_every_reader_gets_every_value_at_its_own_temporality() -> None:
    cumulative = InMemoryMetricReader()
    from opentelemetry.sdk.metrics import Histogram as SdkHistogram

    delta = InMemoryMetricReader(preferred_temporality={SdkHistogram: AggregationTemporality.DELTA})
    Lent(cumulative, delta)
    for number in range(10):
        WAIT.record(0.5, "a")
        if number == 4:
            assert points(delta)["a"].count == 5
    assert points(delta)["a"].count == 5
    assert points(cumulative)["a"].count == 10


def test_the_first_of_each_bucket_becomes_an_exemplar() -> None:
    reader = InMemoryMetricReader()
    Lent(reader)
    for _ in range(100):
        WAIT.record(0.05, "a")
    WAIT.record(7.5, "a")
    assert sorted(exemplar.value for exemplar in points(reader)["a"].exemplars) == [0.05, 7.5]
    WAIT.record(0.06, "a")
    assert [exemplar.value for exemplar in points(reader)["a"].exemplars] == [0.06]


def test_a_view_with_other_buckets_gets_each_value() -> None:
    reader = InMemoryMetricReader()
    Lent(
        reader,
        views=[View(instrument_name="kpi.test.wait", aggregation=ExplicitBucketHistogramAggregation((5,)))],
    )
    for value in (1, 2, 3, 9):
        WAIT.record(value, "a")
    assert points(reader)["a"].bucket_counts == (3, 1)


def test_a_view_that_takes_the_attribute_out_gets_one_series() -> None:
    reader = InMemoryMetricReader()
    Lent(reader, views=[View(instrument_name="kpi.test.wait", attribute_keys=set())])
    for kind in "abab":
        WAIT.record(0.5, kind)
    assert points(reader)[None].count == 4


def test_what_the_guard_takes_for_an_id_is_added_to_other() -> None:
    reader = InMemoryMetricReader()
    Lent(reader)
    for number in range(20):
        for _ in range(3):
            WAIT.record(0.5, f"{number:032x}")
    found = points(reader)
    assert found["other"].count == 30  # ten identifiers have series of their own
    assert sum(point.count for point in found.values()) == 60


def test_a_reader_that_comes_later_begins_with_what_comes_later() -> None:
    first, second = InMemoryMetricReader(), InMemoryMetricReader()
    lent = Lent(first)
    for _ in range(5):
        WAIT.record(0.5, "a")
    assert points(first)["a"].count == 5
    consumer: Any = lent.provider._measurement_consumer
    consumer.add_metric_reader(second)
    second._set_collect_callback(consumer.collect)
    for _ in range(4):
        WAIT.record(0.5, "a")
    assert points(second)["a"].count == 4
    assert points(first)["a"].count == 9


def test_threads_lose_no_value_while_others_collect() -> None:
    reader = InMemoryMetricReader()
    Lent(reader)

    def work() -> None:
        for _ in range(10_000):
            WAIT.record(0.5, "a")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        points(reader)
    for thread in threads:
        thread.join()
    point = points(reader)["a"]
    assert (point.count, point.sum) == (40_000, 20_000)


def test_what_was_recorded_before_there_was_a_provider_goes_on_into_it() -> None:
    record.use(provider=None)
    WAIT.record(0.5, "a")
    reader = InMemoryMetricReader()
    Lent(reader)
    WAIT.record(0.5, "a")
    WAIT.record(0.5, "a")
    assert points(reader)["a"].count == 2
