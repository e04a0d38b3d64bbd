"""A long run is seen before it ends, by one thread for all of them, and a forked child leaves its parent's alone."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from otel_kpi import endings, etl
from otel_kpi.packs.etl import underway
from otel_kpi.packs.etl.heartbeat import HEARTBEAT, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .conftest import Telemetry


@pytest.fixture
def interval(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tenth of a second."""
    monkeypatch.setenv(VARIABLE, "100")
    HEARTBEAT.begin_anew()  # looks again at once
    yield
    monkeypatch.delenv(VARIABLE)
    wait_until(lambda: not beating())
    HEARTBEAT.begin_anew()


def beating() -> bool:
    return any(thread.name == "otel-kpi-heartbeat" for thread in threading.enumerate())


def wait_until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)  # a poll with a deadline


def in_child(work: Callable[[], None]) -> int:
    """Fork, work and leave at once; the exit status."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # the child may not go on with the tests
            sys.__stderr__.write(f"{error!r}\n")  # type: ignore[union-attr] # a test has one
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1]


@pytest.mark.usefixtures("interval")
def test_long_run_beats_with_what_it_has_counted_so_far(telemetry: Telemetry) -> None:
    with etl.run("marketing", run_id="r1"), etl.stage("extract") as stage:
        stage.read(7)
        telemetry.series.labels("kpi_etl_pipeline_run_elapsed_seconds")
        assert not beating(), "no run is long yet"

        def seen() -> bool:
            # Whoever collects metrics sees that the run is long.
            telemetry.series.labels("kpi_etl_pipeline_run_elapsed_seconds")
            return len(telemetry.events("kpi.etl.run.heartbeat")) >= 2

        wait_until(seen)
        assert sum(thread.name == "otel-kpi-heartbeat" for thread in threading.enumerate()) == 1
        assert telemetry.records("extract", "read") == 7, "what was pending is told meanwhile"
    wait_until(lambda: not beating())
    first, second = telemetry.events("kpi.etl.run.heartbeat")[:2]
    assert first["kpi.etl.run.id"] == "r1"
    assert first["kpi.etl.stage.name"] == "extract"
    assert first["kpi.etl.records.read"] == 7
    assert 0.1 <= first["kpi.etl.run.elapsed"] < second["kpi.etl.run.elapsed"]


@pytest.mark.usefixtures("interval")
def test_stage_that_begins_notices_a_long_run_without_metrics(telemetry: Telemetry) -> None:
    with etl.run("marketing") as run:
        run.began -= 1
        run.beat = run.began

        def seen() -> object:
            with etl.stage("load"):
                pass
            return telemetry.events("kpi.etl.run.heartbeat")

        wait_until(seen)


def test_age_of_the_oldest_run_is_a_series_while_it_runs(telemetry: Telemetry) -> None:
    with etl.run("marketing") as old, etl.run("marketing"):
        old.began -= 100
        assert telemetry.value("kpi_etl_pipeline_run_elapsed_seconds", model_name="marketing") > 100
    assert telemetry.series.labels("kpi_etl_pipeline_run_elapsed_seconds") == set()


@pytest.mark.parametrize(
    ("variable", "seconds"),
    [("", 60), ("5000", 5), ("0", float("inf")), ("-1", float("inf")), ("often", 60), ("1", 0.05)],
)
def test_interval_is_a_setting(monkeypatch: pytest.MonkeyPatch, variable: str, seconds: float) -> None:
    from otel_kpi.packs.etl.heartbeat import interval

    monkeypatch.setenv(VARIABLE, variable)
    assert interval() == seconds


# --- forked


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 warns of what is tested here
def test_forked_child_ends_nothing_of_its_parents_and_loses_nothing_of_its_own(telemetry: Telemetry) -> None:
    def work() -> None:
        assert underway.all_open() == []
        etl.read(5)
        assert telemetry.records("extract", "read") == 5, "at once, since nobody ends it here"
        run.end(SystemExit(1))
        with etl.stage("load"):
            etl.written(2)
        assert telemetry.names() == ["load marketing"]
        assert telemetry.records("load", "written") == 2
        assert telemetry.series.labels("kpi_etl_pipeline_run_duration_seconds") == set()
        HEARTBEAT.look()

    with etl.run("marketing") as run, etl.stage("extract"):
        etl.read(3)
        assert in_child(work) == 0
    assert telemetry.records("extract", "read") == 3
    assert telemetry.names() == ["extract marketing", "run marketing"]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # as above
def test_fork_while_another_thread_counts_never_hangs(telemetry: Telemetry) -> None:
    over = threading.Event()
    with etl.run("marketing"), etl.stage("load") as stage:

        def count() -> None:
            while not over.is_set():
                stage.written(1)

        thread = threading.Thread(target=count)
        thread.start()
        try:
            for _ in range(8):
                assert in_child(lambda: stage.written(5)) == 0
        finally:
            over.set()
            thread.join()
    assert telemetry.records("load", "written") == stage.volumes.records["written"]


# --- the end of the process


@pytest.mark.parametrize(("number", "kind"), [(15, "SIGTERM"), (None, "exit")])
def test_what_is_open_at_the_end_of_the_process_is_cancelled(
    telemetry: Telemetry, number: int | None, kind: str
) -> None:
    run = etl.run("marketing")
    stage = etl.stage("load")
    run.__enter__()
    stage.__enter__().written(12)
    endings.tell(number)
    assert telemetry.names() == ["load marketing", "run marketing"]
    for name in telemetry.names():
        assert telemetry.result(name) == "cancellation"
        assert telemetry.attributes(name)["error.type"] == kind
    assert telemetry.records("load", "written") == 12
    endings.tell(number)
    stage.__exit__(None, None, None)
    run.__exit__(None, None, None)
    assert len(telemetry.names()) == 2


def test_signal_never_waits_for_a_lock_that_the_interrupted_code_holds(telemetry: Telemetry) -> None:
    run = etl.run("marketing")
    span = run.__enter__().span
    began = time.monotonic()
    with span._lock:  # type: ignore[attr-defined] # the SDK's own; no public way to be interrupted within it
        endings.tell(15)
    assert time.monotonic() - began < 3
    run.__exit__(None, None, None)
    wait_until(lambda: telemetry.names() == ["run marketing"])
    assert telemetry.result("run marketing") == "cancellation"
