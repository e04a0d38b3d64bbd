"""A loop that is held up is seen to be late, whoever made it; one that ends leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import logging
import os
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from support.pace import slowdown

from otel_kpi import runtime
from otel_kpi.packs.runtime import event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.captured import Captured

LAG = "kpi.runtime.event_loop.lag"
LONGEST = "kpi.runtime.event_loop.longest_lag"


def run_uvloop(coroutine: Any) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(coroutine)


# It is not for every system.
NEEDS_UVLOOP = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None, reason="uvloop is not installed"
)
RUNS = pytest.mark.parametrize(
    "run",
    [pytest.param(asyncio.run, id="asyncio"), pytest.param(run_uvloop, id="uvloop", marks=NEEDS_UVLOOP)],
)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks are so close that a test need not wait for one, and what earlier tests noted is gone."""
    monkeypatch.setattr(event_loop, "PERIOD", 0.02)
    event_loop._loops.forget()


def lags(captured: Captured) -> tuple[int, float]:
    """How many lags there were so far, and their sum."""
    points = captured.points(LAG)
    return (points[0].count, points[0].sum) if points else (0, 0.0)


@RUNS
def test_a_loop_that_is_blocked_for_200_ms_is_late_by_that(
    captured: Captured, run: Callable[..., Any]
) -> None:
    async def work() -> None:
        await asyncio.sleep(0.1)  # the loop runs for some ticks
        time.sleep(0.2)  # noqa: ASYNC251 - what is measured
        await asyncio.sleep(0.1)  # the loop runs for some ticks

    before = lags(captured)
    run(work())
    count, total = (now - then for now, then in zip(lags(captured), before, strict=True))
    assert count >= 3
    assert 0.15 < total < 3


@RUNS
def test_a_loop_that_hangs_is_seen_while_it_hangs(captured: Captured, run: Callable[..., Any]) -> None:
    release, hangs = threading.Event(), threading.Event()

    async def hang() -> None:
        await asyncio.sleep(0.05)  # the loop runs for some ticks
        hangs.set()
        release.wait(10)

    thread = threading.Thread(target=lambda: run(hang()))
    thread.start()
    try:
        assert hangs.wait(10)
        deadline = time.monotonic() + 10
        while not (points := captured.points(LONGEST)) or points[0].value < 0.3:
            assert time.monotonic() < deadline
            release.wait(0.05)
    finally:
        release.set()
        thread.join()
    assert captured.points(LONGEST) == []  # no loop, no lag


@RUNS
def test_the_timer_is_no_task_and_its_context_is_empty(captured: Captured, run: Callable[..., Any]) -> None:
    del captured

    async def look() -> tuple[int, bool]:
        loop = asyncio.get_running_loop()
        watch = event_loop._loops.watched[loop]
        return len(asyncio.all_tasks()), watch._timer.cancelled()

    assert run(look()) == (1, False)


def test_a_loop_that_is_forgotten_is_gone(captured: Captured) -> None:
    del captured
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0.05))  # the loop runs for some ticks
    forgotten = weakref.ref(loop)
    assert loop not in event_loop._loops.watched
    loop.close()
    del loop
    gc.collect()
    assert forgotten() is None


def test_a_loop_that_runs_again_is_not_late_by_the_time_between(captured: Captured) -> None:
    before = lags(captured)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(asyncio.sleep(0.05))  # the loop runs for some ticks
    time.sleep(0.3)  # nothing runs, nothing is late
    loop.run_until_complete(asyncio.sleep(0.05))  # the loop runs for some ticks
    loop.close()
    assert lags(captured)[1] - before[1] < 0.15


def test_debugging_says_nothing_of_it(captured: Captured, caplog: pytest.LogCaptureFixture) -> None:
    del captured
    caplog.set_level(logging.DEBUG, "asyncio")
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.05
    loop.run_until_complete(asyncio.sleep(0.1))  # the loop runs for some ticks
    loop.close()
    assert [record.getMessage() for record in caplog.records if "Executing" in record.getMessage()] == []


def test_an_exception_and_ctrl_c_pass_as_they_are(captured: Captured) -> None:
    del captured

    async def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("mine"), KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(error)) as raised:
            asyncio.run(fail(error))
        assert raised.value is error
    assert len(event_loop._loops.watched) == 0


def test_a_loop_that_cannot_be_watched_runs(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    del captured

    def broken(_: Any) -> Any:
        raise RuntimeError

    monkeypatch.setattr(event_loop, "begin_watch", broken)

    async def answer() -> int:
        return 42

    assert asyncio.run(answer()) == 42


def test_by_hand_the_running_loop_is_watched_and_without_one_nothing_is_raised(captured: Captured) -> None:
    del captured
    runtime.watch_loop()

    async def work() -> int:
        event_loop.end_watch(asyncio.get_running_loop())
        runtime.watch_loop()
        return len(event_loop._loops.watched)

    assert asyncio.run(work()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # from 3.12 on of every fork beside a thread
def test_a_forked_child_is_not_late_with_its_parents_loop(captured: Captured) -> None:
    del captured

    async def work() -> int:
        pid = os.fork()
        if pid == 0:
            os._exit(len(event_loop._loops.watched))
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])  # noqa: ASYNC222 - it ends at once

    assert asyncio.run(work()) == 0


def test_uninstrumented_loops_are_as_they_were(captured: Captured) -> None:
    from otel_kpi import instrumentation

    instrumentation.uninstall()
    assert "wrapt" not in type(asyncio.BaseEventLoop.run_forever).__module__
    uvloop = sys.modules.get("uvloop")
    assert uvloop is None or "wrapt" not in type(uvloop.Loop.run_forever).__module__
    before = lags(captured)
    asyncio.run(asyncio.sleep(0.1))  # the loop runs for some ticks
    assert lags(captured) == before


def test_a_run_costs_microseconds(captured: Captured) -> None:
    """A framework may make a loop for each call; three times the figure."""
    del captured
    loop = asyncio.new_event_loop()
    watches = 2_000
    begin = time.perf_counter()
    for _ in range(watches):
        event_loop.begin_watch(loop)
        event_loop.end_watch(loop)
    each = (time.perf_counter() - begin) / watches
    loop.close()
    assert each < 30e-6 * slowdown(), f"{each * 1e6:.1f} µs"
