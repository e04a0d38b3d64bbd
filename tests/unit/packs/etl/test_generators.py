"""A decorated generator does what it did; its stage is open while it is, and current only while it runs."""

from __future__ import annotations

import asyncio
import gc
import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context

from otel_kpi import etl

from .conftest import context_id

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from .conftest import Telemetry


@etl.stage("extract", pipeline="marketing")
def rows(count: int, log: list[str] | None = None) -> Generator[int, Any, str]:
    """Give numbers."""
    log = [] if log is None else log
    try:
        for number in range(count):
            etl.read(1)
            try:
                got = yield number
                if got is not None:
                    log.append(f"got {got}")
            except ValueError as error:
                log.append(f"thrown {error}")
                yield -1
    finally:
        log.append("closed")
    return "done"


@etl.stage("extract", pipeline="marketing")
async def pages(count: int, log: list[str] | None = None) -> AsyncGenerator[int, Any]:
    log = [] if log is None else log
    try:
        for number in range(count):
            await asyncio.sleep(0)
            etl.read(1)
            try:
                got = yield number
                if got is not None:
                    log.append(f"got {got}")
            except ValueError as error:
                log.append(f"thrown {error}")
                yield -1
    finally:
        await asyncio.sleep(0)
        log.append("closed")


def test_it_is_what_it_was(telemetry: Telemetry) -> None:
    assert inspect.isgeneratorfunction(rows)
    assert inspect.isgenerator(rows(1))
    assert inspect.isasyncgenfunction(pages)
    assert inspect.isasyncgen(pages(1))
    assert (rows.__name__, rows.__doc__) == ("rows", "Give numbers.")
    assert list(inspect.signature(rows).parameters) == ["count", "log"]
    gc.collect()
    assert telemetry.names() == [], "what never ran was no stage"


def test_stage_lasts_from_the_first_value_to_the_last(telemetry: Telemetry) -> None:
    generator = rows(3)
    assert telemetry.value("kpi_etl_processors_active", model_name="marketing") is None
    assert next(generator) == 0
    assert telemetry.value("kpi_etl_processors_active", model_name="marketing") == 1
    assert list(generator) == [1, 2]
    assert telemetry.result("extract marketing") == "success"
    assert telemetry.records("extract", "read") == 3
    assert telemetry.value("kpi_etl_processors_active", model_name="marketing") == 0


@pytest.mark.usefixtures("telemetry")
def test_value_of_return_is_kept() -> None:
    def outer() -> Generator[int, Any, str]:
        result: str = yield from rows(2)
        return result

    generator = outer()
    assert [next(generator), next(generator)] == [0, 1]
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "done"


def test_send_throw_and_close_reach_the_generator(telemetry: Telemetry) -> None:
    log: list[str] = []
    generator = rows(5, log)
    next(generator)
    assert generator.send("a") == 1
    assert generator.throw(ValueError("b")) == -1
    assert next(generator) == 2
    generator.close()
    assert log == ["got a", "thrown b", "closed"]
    with pytest.raises(StopIteration):
        next(generator)
    assert telemetry.result("extract marketing") == "cancellation"
    assert telemetry.span("extract marketing").status.is_unset


def test_exception_that_is_thrown_in_and_not_handled_ends_it(telemetry: Telemetry) -> None:
    generator = rows(5)
    next(generator)
    with pytest.raises(KeyError):
        generator.throw(KeyError("x"))
    assert telemetry.result("extract marketing") == "error"


def test_generator_that_ignores_its_end_says_so(telemetry: Telemetry) -> None:
    @etl.stage("extract", pipeline="marketing")
    def stubborn() -> Generator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    generator = stubborn()
    next(generator)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        generator.close()
    assert telemetry.result("extract marketing") == "error"


def test_nothing_is_current_in_the_loop(telemetry: Telemetry) -> None:
    with etl.run("marketing") as run:
        inside = context.get_current()
        for number in rows(10):
            assert context.get_current() is inside
            assert etl.current() is run
            with telemetry.tracer.start_as_current_span(f"work {number}"):
                pass
            if number == 2:
                break
        gc.collect()
        assert context.get_current() is inside
    parent = telemetry.span("work 1").parent
    assert parent is not None
    assert parent.span_id == context_id(telemetry.span("run marketing"))[1]
    assert telemetry.attributes("extract marketing")["kpi.etl.records.read"] == 3
    assert telemetry.result("extract marketing") == "cancellation"
    assert telemetry.result("run marketing") == "success"


def test_what_the_generator_calls_stands_under_its_stage(telemetry: Telemetry) -> None:
    @etl.stage("extract", pipeline="marketing")
    def select() -> Generator[int]:
        for number in range(2):
            with telemetry.tracer.start_as_current_span(f"SELECT {number}"):
                pass
            yield number

    list(select())
    stage = context_id(telemetry.span("extract marketing"))[1]
    for number in range(2):
        parent = telemetry.span(f"SELECT {number}").parent
        assert parent is not None
        assert parent.span_id == stage


def records(telemetry: Telemetry, type_: str) -> Any:
    return telemetry.records(type_, "read")


def test_innermost_stage_of_a_generator_counts_after_a_value_too(telemetry: Telemetry) -> None:
    @etl.stage("extract", pipeline="marketing")
    def source() -> Generator[int]:
        with telemetry.tracer.start_as_current_span("outer"), etl.stage("validate"):
            yield 1
            etl.read(5)
            with telemetry.tracer.start_as_current_span("child"):
                yield 2
            etl.read(6)
        etl.read(7)

    before = context.get_current()
    for _ in source():
        assert context.get_current() is before
    assert (records(telemetry, "validate"), records(telemetry, "extract")) == (11, 7)
    child, outer = telemetry.span("child"), telemetry.span("validate marketing")
    assert child.parent is not None
    assert child.parent.span_id == context_id(outer)[1]


def test_innermost_stage_of_an_asynchronous_generator_counts_after_a_value_too(telemetry: Telemetry) -> None:
    @etl.stage("extract", pipeline="marketing")
    async def source() -> AsyncGenerator[int]:
        async with etl.stage("validate"):
            yield 1
            await asyncio.sleep(0)
            etl.read(5)
            yield 2
        etl.read(7)

    async def main() -> None:
        before = context.get_current()
        async for _ in source():
            assert context.get_current() is before

    asyncio.run(main())
    assert (records(telemetry, "validate"), records(telemetry, "extract")) == (5, 7)


def test_generators_may_be_interleaved_and_nested(telemetry: Telemetry) -> None:
    @etl.stage("transform", pipeline="marketing")
    def doubled(source: Generator[int, Any, Any]) -> Generator[int]:
        for each in source:
            etl.skipped(1)
            yield 2 * each

    assert [a + b for a, b in zip(rows(3), rows(3), strict=True)] == [0, 2, 4]
    assert list(doubled(rows(3))) == [0, 2, 4]
    assert telemetry.records("transform", "skipped") == 3
    assert telemetry.records("extract", "read") == 9


def test_generator_that_is_the_run(telemetry: Telemetry) -> None:
    @etl.pipeline("marketing")
    def main() -> Generator[int]:
        with etl.stage("load"):
            etl.written(1)
        yield 1

    assert list(main()) == [1]
    parent = telemetry.span("load marketing").parent
    assert parent is not None
    assert parent.span_id == context_id(telemetry.span("run marketing"))[1]


@pytest.mark.usefixtures("telemetry")
def test_stage_held_open_by_an_undecorated_generator_is_not_current_after_it() -> None:
    def leaky() -> Generator[int]:
        with etl.stage("extract", pipeline="marketing"):
            yield 1
            yield 2

    generator = leaky()
    with etl.run("marketing"):
        inside = context.get_current()
        next(generator)
        with etl.stage("load"):
            generator.close()  # not the innermost any more
        assert etl.current() is not None
        assert context.get_current() is inside


# --- asynchronous


def test_asynchronous_generator_does_what_it_did(telemetry: Telemetry) -> None:
    log: list[str] = []

    async def main() -> None:
        before = context.get_current()
        assert [number async for number in pages(3)] == [0, 1, 2]
        generator = pages(5, log)
        await anext(generator)
        assert await generator.asend("a") == 1
        assert await generator.athrow(ValueError("b")) == -1
        await generator.aclose()
        async with aclosing(pages(5)) as closing:
            async for _ in closing:
                assert context.get_current() is before
                break
        assert context.get_current() is before

    asyncio.run(main())
    assert log == ["got a", "thrown b", "closed"]
    results = [(span.attributes or {})["kpi.etl.result"] for span in telemetry.exporter.get_finished_spans()]
    assert results == ["success", "cancellation", "cancellation"]
    assert telemetry.records("extract", "read") == 3 + 2 + 1


def test_abandoned_asynchronous_generator_is_closed_by_the_loop(telemetry: Telemetry) -> None:
    log: list[str] = []

    async def main() -> None:
        async for _ in pages(5, log):
            break
        gc.collect()
        for _ in range(10):  # the loop closes it when it comes to it
            await asyncio.sleep(0)

    asyncio.run(main())
    assert log == ["closed"]
    assert telemetry.result("extract marketing") == "cancellation"


def test_cancelled_task_cancels_the_stage_of_its_generator(telemetry: Telemetry) -> None:
    @etl.stage("extract", pipeline="marketing")
    async def stuck() -> AsyncGenerator[int]:
        yield 1
        await asyncio.Event().wait()

    async def work() -> None:
        async for _ in stuck():
            pass

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    assert telemetry.result("extract marketing") == "cancellation"


def test_nothing_holds_an_exception_that_went_through(telemetry: Telemetry) -> None:
    class Marked(Exception):  # noqa: N818 - it marks
        pass

    def alive() -> int:
        # Not by isinstance: objects of other tests that are lazy would be made by it.
        return sum(type(each) is Marked for each in gc.get_objects())

    @etl.pipeline("marketing")
    def main() -> None:
        with etl.stage("load"), etl.batches(range(5), size=2) as batches:
            for _ in batches:
                raise Marked

    gc.disable()
    try:
        generator = rows(5)
        next(generator)
        with pytest.raises(Marked) as thrown:
            generator.throw(Marked())
        del thrown
        with pytest.raises(Marked) as raised:
            main()
        del raised
        assert alive() == 0
    finally:
        gc.enable()
    assert telemetry.result("run marketing") == "error"
