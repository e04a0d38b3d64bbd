"""What counting costs, with three times the figure as the limit: the machine has other work, too."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from support.pace import best, slowdown

from otel_kpi import etl

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Telemetry


def load(rows: int) -> None:
    with etl.run("marketing"), etl.batches(range(rows), size=1000, stage="load") as batches:
        for batch in batches:
            batches.count(valid=len(batch) - 1, invalid=1)


def without(rows: int) -> None:
    source = iter(range(rows))
    while list(islice(source, 1000)):
        pass


def seconds(work: Callable[[int], None], rows: int) -> float:
    """CPU time of the process."""
    began = time.process_time()
    work(rows)
    return time.process_time() - began


@pytest.mark.parametrize(
    "millions",
    [1, pytest.param(10, marks=pytest.mark.proof)],  # ten takes seconds
)
def test_ten_million_rows_are_accounted_for_in_a_second_of_cpu(telemetry: Telemetry, millions: int) -> None:
    rows = millions * 1_000_000
    added = seconds(load, rows) - seconds(without, rows)
    assert telemetry.records("load", "read") == rows
    assert telemetry.records("load", "valid") == rows - rows // 1000
    assert telemetry.records("load", "invalid") == rows // 1000
    assert telemetry.names().count("batch load") >= 100
    assert added < 3 * 0.1 * millions


def test_stage_costs_little_more_than_the_same_by_hand(telemetry: Telemetry) -> None:
    histogram = telemetry.series.provider.get_meter("by hand").create_histogram("by.hand.duration", "s")
    attributes = {"kpi.etl.stage.name": "load", "kpi.etl.stage.type": "load", "kpi.etl.pipeline.name": "a"}

    def by_hand() -> None:
        began = time.perf_counter()
        with telemetry.tracer.start_as_current_span("load a", attributes=attributes) as span:
            span.set_attribute("kpi.etl.result", "success")
            labels = {"model_name": "a", "kpi.etl.stage.type": "load", "kpi.etl.result": "success"}
            histogram.record(time.perf_counter() - began, labels)

    def ours() -> None:
        with etl.stage("load"):
            pass

    with etl.run("a"):
        added = best(ours, number=5, rounds=400) - best(by_hand, number=5, rounds=400)
    assert added < 3 * 5e-6 * slowdown()


def test_counting_a_record_takes_less_than_a_microsecond(telemetry: Telemetry) -> None:
    with etl.stage("load", pipeline="marketing") as stage:
        each = best(lambda: stage.written(1), number=1000, rounds=30)
    assert telemetry.records("load", "written") == 30_000
    assert each < 3 * 1e-6 * slowdown()
