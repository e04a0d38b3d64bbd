"""One object serves threads, tasks and generators at once: each ends what it began, and counts are exact."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from typing import TYPE_CHECKING

from opentelemetry import context

from otel_kpi import etl

if TYPE_CHECKING:
    from collections.abc import Generator

    from .conftest import Telemetry


def counted(telemetry: Telemetry, status: str) -> int:
    points = telemetry.series.points("kpi_etl_records_processed_total")
    return sum(point.value for labels, point in points.items() if ("kpi_etl_record_status", status) in labels)


def test_tasks_that_are_cancelled_anywhere_end_what_they_began(telemetry: Telemetry) -> None:
    run, stage = etl.run("marketing"), etl.stage("load")
    ledger: Counter[str] = Counter()

    async def work(seed: int) -> None:
        dice = random.Random(seed)
        async with run:
            for _ in range(3):
                with stage:
                    count = dice.randrange(5)
                    etl.written(count)
                    ledger["written"] += count
                    await asyncio.sleep(dice.random() / 200)
                    async with stage:
                        etl.valid(count)
                        ledger["valid"] += count
                        await asyncio.sleep(0)

    async def main() -> None:
        tasks = [asyncio.create_task(work(seed)) for seed in range(100)]
        await asyncio.sleep(0.003)  # some are in the midst of it
        for task in tasks[::3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert {status: counted(telemetry, status) for status in ledger} == ledger
    results = Counter(
        (span.attributes or {})["kpi.etl.result"]
        for span in telemetry.exporter.get_finished_spans()
        if span.name == "run marketing"
    )
    assert results == {"cancellation": 34, "success": 66}


def test_thread_ends_its_own_although_a_generator_holds_a_stage_open(telemetry: Telemetry) -> None:
    stage, together = etl.stage("load", pipeline="marketing"), threading.Barrier(16)
    not_ended: list[int] = []

    def leaky() -> Generator[int]:
        with etl.stage("validate"):
            yield 1

    def work(number: int) -> None:
        with stage as mine:
            held = leaky()
            next(held)
            together.wait()
            time.sleep(number % 2 / 100)  # others leave first
        if not mine.ended:
            not_ended.append(number)
        held.close()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not not_ended
    assert telemetry.names().count("load marketing") == 16


def test_generators_that_are_interleaved_end_their_own(telemetry: Telemetry) -> None:
    stage = etl.stage("load", pipeline="marketing")
    ended: list[tuple[str, bool]] = []

    def within(name: str) -> Generator[int]:
        with stage as mine:
            yield 1
        ended.append((name, mine.ended))

    before = context.get_current()
    first, second = within("first"), within("second")
    next(first)
    next(second)
    list(first)
    list(second)
    assert ended == [("first", True), ("second", True)]
    assert context.get_current() is before
    assert telemetry.names() == ["load marketing"] * 2


def test_stacks_of_contexts_end_what_they_entered(telemetry: Telemetry) -> None:
    stage = etl.stage("load", pipeline="marketing")
    with ExitStack() as outer:
        first = outer.enter_context(stage)
        with ExitStack() as inner:
            second = inner.enter_context(stage)
            with stage as third:
                pass
            assert (third.ended, second.ended) == (True, False)
        assert (second.ended, first.ended) == (True, False)

    async def main() -> None:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(stage)
            async with stage as inside:
                pass
            assert inside.ended

    asyncio.run(main())
    assert len(telemetry.names()) == 5
