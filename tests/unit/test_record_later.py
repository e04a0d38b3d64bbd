"""What is recorded later is there before anybody reads, once, and never harms whoever comes by."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_kpi import _compat, record
from otel_kpi.model import Counter
from otel_kpi.sdk.cardinality import Budget, CardinalityGuard

if TYPE_CHECKING:
    from collections.abc import Generator

CALLS = record.counter(
    Counter(name="kpi.test.later", unit="{call}", brief="Calls.", attributes=(), source="test")
)


@pytest.fixture(autouse=True)
def lent() -> Generator[InMemoryMetricReader]:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    _compat.before_collection(provider, record.fold)
    record.use(provider=provider)
    record.use(sums=_compat.HistogramSums(provider, CardinalityGuard(Budget()).admit))
    yield reader
    record.use(sums=None)
    record.use(provider=None)


def count() -> None:
    CALLS.add(1)


def held() -> float:
    return sum(cell.value for cell in CALLS.cells())


def test_it_is_there_before_anybody_reads() -> None:
    for number in range(1, 100):
        record.later(count)
        assert held() == number


def test_a_collection_has_it(lent: InMemoryMetricReader) -> None:
    record.later(count)
    data: Any = lent.get_metrics_data()
    assert [
        point.value
        for scope in data.resource_metrics[0].scope_metrics
        for metric in scope.metrics
        if metric.name == "kpi.test.later"
        for point in metric.data.data_points
    ] == [1]


def test_few_wait_for_each_other_and_never_many() -> None:
    done: list[int] = []
    for number in range(1_000):
        record.later(lambda number=number: done.append(number))
        assert number + 1 - len(done) <= 32
    assert done == sorted(done)


def test_it_is_recorded_at_once_where_nobody_can_be_told_before_a_reading() -> None:
    record.use(sums=None)
    done: list[int] = []
    record.later(lambda: done.append(1))
    assert done == [1]


def test_what_raises_takes_nothing_else_with_it() -> None:
    record.later(lambda: 1 / 0)
    record.later(count)
    assert held() == 1


def test_nothing_is_lost_or_twice_among_threads() -> None:
    def work() -> None:
        for number in range(2_000):
            record.later(count)
            if number % 97 == 0:
                held()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held() == 16_000


def test_clear_begins_anew() -> None:
    record.later(count)
    record.clear()
    assert held() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_nothing_of_its_parents() -> None:
    record.later(count)
    child = os.fork()
    if child == 0:
        os._exit(int(held()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert held() == 1
