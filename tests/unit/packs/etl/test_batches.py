"""Batches: every record is accounted for however a loop ends, and nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import polars as pl
import pytest
from opentelemetry import context, trace
from opentelemetry.trace import StatusCode
from support.written import written

from otel_kpi import etl

from .conftest import context_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator
    from typing import Self

    from .conftest import Telemetry


def batch_results(telemetry: Telemetry, type_: str = "load") -> dict[str, int]:
    found: dict[str, int] = {}
    for labels, point in telemetry.series.points("kpi_etl_batches_processed_total").items():
        named = dict(labels)
        if named["kpi_etl_stage_type"] == type_:
            found[named["kpi_etl_result"]] = found.get(named["kpi_etl_result"], 0) + point.value
    return found


def test_sized_and_unsized_sources_give_the_same_batches(telemetry: Telemetry) -> None:
    def generator() -> Generator[int]:
        yield from range(25)

    for source in (range(25), list(range(25)), generator(), iter(range(25)), dict.fromkeys(range(25))):
        with etl.batches(source, size=10, stage="load", pipeline="marketing") as batches:
            assert list(batches) == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert telemetry.records("load", "read") == 5 * 25
    assert batch_results(telemetry) == {"success": 5 * 3}
    assert telemetry.value("kpi_etl_batch_size", model_name="marketing", kpi_etl_stage_type="load") == (
        15,
        5 * 25,
    )


@pytest.mark.parametrize(
    ("frame", "kind"),
    [
        (pd.DataFrame({"a": range(25)}), pd.DataFrame),
        (pl.DataFrame({"a": range(25)}), pl.DataFrame),
        (np.arange(25), np.ndarray),
    ],
    ids=["pandas", "polars", "numpy"],
)
def test_frames_and_arrays_come_in_slices_of_their_own_kind(
    telemetry: Telemetry, frame: Any, kind: type
) -> None:
    with etl.batches(frame, size=10, stage="load", pipeline="marketing") as batches:
        sizes = []
        for batch in batches:
            assert isinstance(batch, kind)
            sizes.append(len(batch))
    assert sizes == [10, 10, 5]
    assert telemetry.records("load", "read") == 25


def test_what_the_source_gives_may_be_batches_already(telemetry: Telemetry) -> None:
    chunks = [pd.DataFrame({"a": range(10)}), pd.DataFrame({"a": range(3)})]
    with etl.batches(chunks, stage="load", pipeline="marketing") as batches:
        assert sum(len(chunk) for chunk in batches) == 13
    assert telemetry.records("load", "read") == 13


def test_batches_without_a_length_are_as_large_as_what_became_of_them(telemetry: Telemetry) -> None:
    with etl.batches(iter([object(), object()]), stage="load", pipeline="marketing") as batches:
        for number, _ in enumerate(batches):
            if number == 0:
                batches.count(valid=7, invalid=1, written=7)
    assert telemetry.records("load", "read") == 8
    [first, second, _] = telemetry.exporter.get_finished_spans()
    assert (first.attributes or {})["kpi.etl.batch.size"] == 8
    assert "kpi.etl.batch.size" not in (second.attributes or {})


def test_counts_and_errors_of_batches_add_up(telemetry: Telemetry) -> None:
    with etl.run("marketing"), etl.batches(range(95), size=10, stage="validate") as batches:
        for batch in batches:
            batches.count(valid=len(batch) - 2, invalid=2)
            batches.errors({"missing_email": 1, "negative_price": 1})
    assert telemetry.records("validate", "valid") == 95 - 20
    assert telemetry.records("validate", "invalid") == 20
    for kind in ("missing_email", "negative_price"):
        assert (
            telemetry.value("kpi_etl_validation_errors_total", model_name="marketing", error_type=kind) == 10
        )
    found = telemetry.attributes("validate marketing")
    assert found["kpi.etl.batches.count"] == 10
    assert found["kpi.etl.records.rejected"] == 20
    assert found["kpi.etl.batches.source_time"] >= 0


def test_time_of_the_source_and_of_the_loop_are_told_apart(telemetry: Telemetry) -> None:
    clock = threading.Event()

    def slow_source() -> Generator[int]:
        for number in range(3):
            clock.wait(0.02)
            yield number

    with etl.batches(slow_source(), size=1, stage="load", pipeline="marketing") as batches:
        for _ in batches:
            clock.wait(0.002)
    found = telemetry.attributes("load marketing")
    assert found["kpi.etl.batches.source_time"] > 0.05
    assert 0.005 < found["kpi.etl.batches.work_time"] < found["kpi.etl.batches.source_time"]


# --- how a loop may end


def test_break_within_with_ends_the_stage_well_and_leaves_nothing(telemetry: Telemetry) -> None:
    before = context.get_current()
    closed: list[bool] = []

    def source() -> Generator[int]:
        try:
            yield from range(100)
        finally:
            closed.append(True)

    with etl.batches(source(), size=10, stage="load", pipeline="marketing") as batches:
        for _ in batches:
            break
    assert context.get_current() is before
    assert closed == [True]
    assert telemetry.result("load marketing") == "success"
    assert batch_results(telemetry) == {"success": 1}
    assert telemetry.records("load", "read") == 10


def test_break_without_with_leaves_no_context_and_no_open_stage(telemetry: Telemetry) -> None:
    before = context.get_current()
    for batch in etl.batches(range(100), size=10, stage="load", pipeline="marketing"):
        assert context.get_current() is before, "the loop is not within the stage"
        if batch[0] == 20:
            break
    gc.collect()
    assert context.get_current() is before
    assert telemetry.result("load marketing") == "cancellation"
    assert batch_results(telemetry) == {"success": 2, "cancellation": 1}
    assert telemetry.records("load", "read") == 30


def test_loop_that_runs_dry_without_with_ends_the_stage(telemetry: Telemetry) -> None:
    batches = etl.batches(range(5), size=2, stage="load", pipeline="marketing")
    assert list(batches) == [[0, 1], [2, 3], [4]]
    assert telemetry.result("load marketing") == "success"
    assert list(batches) == []
    batches.close()
    assert telemetry.names().count("load marketing") == 1


def test_closed_by_hand_is_closed_once(telemetry: Telemetry) -> None:
    batches = etl.batches(range(5), size=2, stage="load", pipeline="marketing")
    next(batches)
    batches.close()
    batches.close()
    with pytest.raises(StopIteration):
        next(batches)
    assert telemetry.result("load marketing") == "success"
    assert telemetry.records("load", "read") == 2


def test_never_begun_is_nothing(telemetry: Telemetry) -> None:
    batches = etl.batches(range(5), size=2, stage="load", pipeline="marketing")
    del batches
    gc.collect()
    assert telemetry.names() == []


def test_exception_in_the_loop_is_of_that_batch_and_of_the_stage(telemetry: Telemetry) -> None:
    def load() -> None:
        with etl.batches(range(100), size=10, stage="load", pipeline="marketing") as batches:
            for batch in batches:
                batches.count(written=len(batch))
                if 13 in batch:
                    raise ValueError("row 13")

    with pytest.raises(ValueError, match="row 13"):
        load()
    assert batch_results(telemetry) == {"success": 1, "error": 1}
    assert telemetry.records("load", "written") == 20
    batch_span = next(
        span
        for span in telemetry.exporter.get_finished_spans()
        if (span.attributes or {}).get("kpi.etl.batch.index") == 1
    )
    assert batch_span.status.status_code is StatusCode.ERROR
    assert len(batch_span.events) == 1
    assert telemetry.span("load marketing").events == ()
    assert telemetry.result("load marketing") == "error"


@pytest.mark.parametrize("how", ["within with", "bare"])
def test_exception_of_the_source_keeps_what_it_gave(telemetry: Telemetry, how: str) -> None:
    def source() -> Generator[int]:
        yield from range(25)
        raise ConnectionError("gone")

    batches = etl.batches(source(), size=10, stage="load", pipeline="marketing")
    with pytest.raises(ConnectionError), batches if how == "within with" else nullcontext():
        list(batches)
    assert telemetry.records("load", "read") == 25
    assert batch_results(telemetry) == {"success": 2}
    assert telemetry.result("load marketing") == "error"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), asyncio.CancelledError()], ids=written)
def test_what_ends_a_process_ends_the_batch(telemetry: Telemetry, error: BaseException) -> None:
    def load() -> None:
        with etl.batches(range(100), size=10, stage="load", pipeline="marketing") as batches:
            for _ in batches:
                raise error

    with pytest.raises(type(error)):
        load()
    assert batch_results(telemetry) == {"cancellation": 1}
    assert telemetry.result("load marketing") == "cancellation"


def test_batch_that_failed_may_be_told_while_the_loop_goes_on(telemetry: Telemetry) -> None:
    with etl.batches(range(30), size=10, stage="load", pipeline="marketing") as batches:
        for batch in batches:
            if batch[0] == 10:
                batches.failed(ConnectionError("gone"))
    assert batch_results(telemetry) == {"success": 2, "error": 1}
    assert telemetry.result("load marketing") == "success"


# --- spans


def test_spans_are_those_of_the_first_the_slow_and_the_failed(telemetry: Telemetry) -> None:
    with etl.batches(range(1000), size=1, stage="load", pipeline="marketing", slow=0.01) as batches:
        for [number] in batches:
            if number in (500, 600):
                time.sleep(0.02)  # it is slow batches that this is about
            if number == 700:
                batches.failed("no_disk")
    indexes = [
        (span.attributes or {})["kpi.etl.batch.index"]
        for span in telemetry.exporter.get_finished_spans()
        if span.name == "batch load"
    ]
    assert indexes[:100] == list(range(100))
    assert {500, 600, 700} <= set(indexes)
    assert len(indexes) < 150
    assert batch_results(telemetry) == {"success": 999, "failure": 1}


def test_failing_batches_have_a_hundred_spans_and_no_more(telemetry: Telemetry) -> None:
    with etl.batches(range(1000), size=1, stage="load", pipeline="marketing") as batches:
        for _ in batches:
            batches.failed("no_disk")
    assert telemetry.names().count("batch load") == 200
    assert batch_results(telemetry) == {"failure": 1000}


def test_batches_without_a_stage_belong_to_the_current_one(telemetry: Telemetry) -> None:
    with etl.run("marketing"), etl.stage("transform") as stage:
        for _ in range(2):
            with etl.batches(range(20), size=10) as batches:
                assert batches.stage is stage
                for batch in batches:
                    batches.count(valid=len(batch))
    found = telemetry.attributes("transform marketing")
    assert found["kpi.etl.batches.count"] == 4
    assert found["kpi.etl.records.read"] == found["kpi.etl.records.valid"] == 40
    assert batch_results(telemetry, "transform") == {"success": 4}


def test_batches_without_anything_around_them_are_counted(telemetry: Telemetry) -> None:
    with etl.batches(range(20), size=10) as batches:
        list(batches)
    assert telemetry.records("other", "read", "unknown") == 20
    assert "batches" in telemetry.names()


def test_source_and_loop_stand_under_the_stage_within_with(telemetry: Telemetry) -> None:
    def source() -> Generator[int]:
        with telemetry.tracer.start_as_current_span("SELECT"):
            pass
        yield 1

    with etl.batches(source(), size=10, stage="load", pipeline="marketing") as batches:
        for _ in batches:
            with telemetry.tracer.start_as_current_span("INSERT"):
                pass
    stage = context_id(telemetry.span("load marketing"))[1]
    for name in ("SELECT", "INSERT"):
        parent = telemetry.span(name).parent
        assert parent is not None
        assert parent.span_id == stage


# --- asynchronous


async def pages(closed: list[bool], fail_at: int | None = None) -> AsyncGenerator[int]:
    try:
        for number in range(25):
            await asyncio.sleep(0)
            if number == fail_at:
                raise ConnectionError("gone")
            yield number
    finally:
        closed.append(True)


def test_asynchronous_source_is_batched_and_closed(telemetry: Telemetry) -> None:
    closed: list[bool] = []

    async def main() -> list[int]:
        before = context.get_current()
        async with etl.batches(pages(closed), size=10, stage="extract", pipeline="marketing") as batches:
            sizes = []
            async for batch in batches:
                sizes.append(len(batch))
                batches.count(valid=len(batch))
        assert context.get_current() is before
        return sizes

    assert asyncio.run(main()) == [10, 10, 5]
    assert closed == [True]
    assert telemetry.records("extract", "read") == telemetry.records("extract", "valid") == 25
    assert batch_results(telemetry, "extract") == {"success": 3}


def test_break_closes_an_asynchronous_source_at_once(telemetry: Telemetry) -> None:
    closed: list[bool] = []

    async def main() -> None:
        async with etl.batches(pages(closed), size=10, stage="extract", pipeline="marketing") as batches:
            async for _ in batches:
                break
        assert closed == [True]

    asyncio.run(main())
    assert telemetry.records("extract", "read") == 10
    assert telemetry.result("extract marketing") == "success"


def test_exception_of_an_asynchronous_source_keeps_what_it_gave(telemetry: Telemetry) -> None:
    async def main() -> None:
        async with etl.batches(
            pages([], fail_at=17), size=10, stage="extract", pipeline="marketing"
        ) as batches:
            async for _ in batches:
                pass

    with pytest.raises(ConnectionError):
        asyncio.run(main())
    assert telemetry.records("extract", "read") == 17
    assert telemetry.result("extract marketing") == "error"


def test_cancelled_task_cancels_batch_and_stage(telemetry: Telemetry) -> None:
    async def work() -> None:
        async with etl.batches(pages([]), size=10, stage="extract", pipeline="marketing") as batches:
            async for _ in batches:
                await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(work())
        for _ in range(20):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert batch_results(telemetry, "extract") == {"cancellation": 1}
    assert telemetry.result("extract marketing") == "cancellation"


def test_plain_source_may_be_taken_asynchronously(telemetry: Telemetry) -> None:
    async def main() -> list[int]:
        async with etl.batches(range(25), size=10, stage="load", pipeline="marketing") as batches:
            return [len(batch) async for batch in batches]

    assert asyncio.run(main()) == [10, 10, 5]
    assert telemetry.records("load", "read") == 25


def test_several_workers_may_share_one(telemetry: Telemetry) -> None:
    async def worker(batches: Any) -> None:
        async for batch in batches:
            await asyncio.sleep(0)
            batches.count(written=len(batch))

    async def main() -> None:
        async with etl.batches(range(1000), size=10, stage="load", pipeline="marketing") as batches:
            await asyncio.gather(*(worker(batches) for _ in range(4)))

    asyncio.run(main())
    assert telemetry.records("load", "written") == telemetry.records("load", "read") == 1000
    assert batch_results(telemetry) == {"success": 100}


def test_stage_that_a_source_holds_open_counts_between_its_batches(telemetry: Telemetry) -> None:
    def source() -> Generator[list[int]]:
        with etl.stage("extract"):
            for _ in range(3):
                etl.read(5)
                yield [1]
                etl.read(5)

    before = context.get_current()
    with etl.batches(source(), stage="load", pipeline="marketing") as batches:
        inside = context.get_current()
        for _ in batches:
            assert context.get_current() is inside
    assert context.get_current() is before
    assert telemetry.records("extract", "read") == 30
    assert telemetry.records("load", "read") == 3


def test_threads_that_come_first_at_once_share_one_iterator(telemetry: Telemetry) -> None:
    class Query:
        asked = 0

        def __iter__(self) -> Iterator[int]:
            self.asked += 1
            together.wait(0.2)  # the others come while the first asks
            return iter(range(100))

    together = threading.Event()
    found: list[int] = []

    def work(batches: etl.Batches[list[int]]) -> None:
        for batch in batches:
            found.extend(batch)

    query = Query()
    with etl.batches(query, size=10, stage="load", pipeline="marketing") as batches:
        threads = [threading.Thread(target=work, args=(batches,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert query.asked == 1
    assert sorted(found) == list(range(100))
    assert telemetry.records("load", "read") == 100


def test_wait_that_is_cancelled_loses_no_record(telemetry: Telemetry) -> None:
    async def main() -> list[list[int]]:
        queue: asyncio.Queue[int] = asyncio.Queue()

        class Consumer:
            def __aiter__(self) -> Self:
                return self

            async def __anext__(self) -> int:
                number = await queue.get()
                if number < 0:
                    raise StopAsyncIteration
                return number

        async with etl.batches(Consumer(), size=4, stage="load", pipeline="marketing") as batches:
            for number in range(3):
                queue.put_nowait(number)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(batches), 0.05)
            for number in (3, 4, -1, -1):
                queue.put_nowait(number)
            return [batch async for batch in batches]

    assert asyncio.run(main()) == [[0, 1, 2, 3], [4]]
    assert telemetry.records("load", "read") == 5


def test_batch_that_would_have_to_be_computed_is_not_asked_for_its_length(telemetry: Telemetry) -> None:
    asked: list[int] = []

    def computed(_query: object) -> int:
        asked.append(1)
        return 7

    query = type("QuerySet", (), {"__module__": "django.db.models.query", "__len__": computed})
    with etl.batches([query(), query()], stage="load", pipeline="marketing") as batches:
        for _ in batches:
            batches.count(written=7)
    assert telemetry.records("load", "read") == 14


def test_source_that_has_every_attribute_is_iterated_over(telemetry: Telemetry) -> None:
    source = MagicMock()
    source.__iter__.side_effect = lambda: iter(range(25))
    with etl.batches(source, size=10, stage="load", pipeline="marketing") as batches:
        assert [len(batch) for batch in batches] == [10, 10, 5]
    assert telemetry.records("load", "read") == 25


def test_threads_may_share_one(telemetry: Telemetry) -> None:
    class Numbers:
        """An iterator that threads may share, unlike a generator."""

        def __init__(self) -> None:
            self.left: Iterator[int] = iter(range(100_000))

        def __iter__(self) -> Iterator[int]:
            return self.left

    with etl.batches(Numbers(), size=10, stage="load", pipeline="marketing") as batches:

        def work() -> None:
            for batch in batches:
                batches.count(written=len(batch))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert telemetry.records("load", "written") == telemetry.records("load", "read") == 100_000
    assert sum(batch_results(telemetry).values()) >= 10_000


# --- hostile values


@pytest.mark.parametrize("size", [0, -1, 2.5, float("nan"), "ten", object()], ids=written)
@pytest.mark.usefixtures("telemetry")
def test_senseless_size_costs_no_record(size: Any, caplog: pytest.LogCaptureFixture) -> None:
    from otel_kpi.packs import faults

    with etl.batches(range(1500), size=size, stage="load", pipeline="marketing") as batches:
        assert [len(batch) for batch in batches] == [1000, 500]
    assert "batches have 1000 records" in caplog.text
    faults.counted.clear()


@pytest.mark.usefixtures("telemetry")
def test_what_cannot_be_iterated_raises_what_python_says() -> None:
    source: Any = 17
    with pytest.raises(TypeError, match="'int' object is not iterable"):
        list(etl.batches(source, size=10))


def test_senseless_counts_are_dropped_and_counted(telemetry: Telemetry) -> None:
    wrong: list[Any] = [float("nan"), float("inf"), -5, 2**80, "many", object()]
    with etl.batches(range(10), size=10, stage="load", pipeline="marketing") as batches:
        for batch in batches:
            for each in wrong:
                batches.count(written=each)
            batches.count(written=len(batch))
    assert telemetry.records("load", "written") == 10
    dropped = telemetry.series.points("otel_kpi_dropped_values_total")
    reasons = {dict(labels)["reason"]: point.value for labels, point in dropped.items()}
    assert reasons == {"not_finite": 2, "negative": 1, "too_large": 1, "not_a_number": 2}
    assert trace.get_current_span() is trace.INVALID_SPAN
