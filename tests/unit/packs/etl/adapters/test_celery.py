"""Tasks of a real Celery worker that are runs: attempts, links, and what Celery's own exceptions mean."""

from __future__ import annotations

import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from support.children import RUN, environment, run, running, stop
from support.receiver import Received, Receiver

from otel_kpi.packs.etl.adapters import task
from otel_kpi.packs.etl.adapters.celery import outcome

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

HERE = Path(__file__).parent
WORKER = ("celery", "-A", "loading_tasks", "worker", "--loglevel=INFO", "--concurrency=1", "--without-mingle")
CONSUMER = 5


@contextmanager
def _worked(folder: Path, pool: str, *tasks: str) -> Generator[Receiver]:
    """What a worker sent that executed these tasks of `loading_tasks`."""
    for name in ("queue", "done"):
        (folder / name).mkdir()
    shutil.copy(HERE / "loading_tasks.py", folder)
    with Receiver() as receiver:
        env = environment(
            receiver.url,
            LOADING_FOLDER=str(folder),
            OTEL_SERVICE_NAME=f"loading-{pool}",
            OTEL_METRIC_EXPORT_INTERVAL="300",
        )
        code = "; ".join(["import loading_tasks", *(f"loading_tasks.{task}" for task in tasks)])
        published = run([sys.executable, "-c", code], env | {"OTEL_SDK_DISABLED": "true"}, folder)
        assert published.returncode == 0, published.stderr
        with running([*RUN, *WORKER, f"--pool={pool}"], env, folder) as worker:
            deadline = time.monotonic() + 30
            while len(list((folder / "done").iterdir())) < len(tasks):
                assert worker.poll() is None, worker.communicate()[0]
                assert time.monotonic() < deadline, stop(worker)
                time.sleep(0.02)  # a poll with a deadline: the worker is another process
            if pool == "solo":
                # Celery takes five seconds to shut down: what matters has arrived before.
                receiver.wait_for(
                    lambda got: any(map(_is_last, got.points)) and len(got.named("run refresh")) > 2
                )
            else:
                stop(worker)
        yield receiver


def _is_last(point: Received) -> bool:
    last = {"model_name": "marketing", "kpi.etl.result": "success", "kpi.etl.run.trigger": "retry"}
    return last.items() <= point.attributes.items() and point.item.as_int == 1


@pytest.fixture(scope="module", params=["solo", pytest.param("prefork", marks=pytest.mark.proof)])
def worked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    tasks = ("refresh.delay(10)", "ignored.delay()", "outer.delay()")
    with _worked(tmp_path_factory.mktemp("loading"), request.param, *tasks) as receiver:
        yield receiver


def _runs(worked: Receiver, pipeline: str) -> list[Received]:
    found = [span for span in worked.spans if span.item.name == f"run {pipeline}"]
    return sorted(found, key=lambda span: span.item.start_time_unix_nano)


def test_each_attempt_is_a_run_with_its_number_and_a_trace_of_its_own(worked: Receiver) -> None:
    runs = _runs(worked, "refresh")
    assert [span.attributes["kpi.etl.run.attempt"] for span in runs] == [1, 2, 3]
    assert [span.attributes["kpi.etl.run.trigger"] for span in runs] == ["event", "retry", "retry"]
    assert len({span.attributes["kpi.etl.run.id"] for span in runs}) == 1
    assert len({span.item.trace_id for span in runs}) == 3
    assert [span.item.parent_span_id for span in runs] == [b"", b"", b""]


def test_attempt_that_is_tried_again_failed_of_what_made_it_so(worked: Receiver) -> None:
    runs = _runs(worked, "refresh")
    assert [span.attributes["kpi.etl.result"] for span in runs] == ["failure", "failure", "success"]
    assert [span.attributes.get("error.type") for span in runs] == [
        "ConnectionError",
        "ConnectionError",
        None,
    ]


def test_run_is_linked_to_the_execution_of_its_task(worked: Receiver) -> None:
    executions = {span.item.span_id: span for span in worked.spans if span.item.kind == CONSUMER}
    for span in _runs(worked, "refresh"):
        (link,) = span.item.links
        assert executions[link.span_id].item.name == "run/loading_tasks.refresh"
        assert executions[link.span_id].item.trace_id == link.trace_id != span.item.trace_id


def test_task_that_is_ignored_is_skipped_and_no_error(worked: Receiver) -> None:
    (only,) = _runs(worked, "optional")
    assert only.attributes["kpi.etl.result"] == "skip"
    assert "error.type" not in only.attributes
    assert not only.item.status.code


@pytest.mark.proof
def test_soft_time_limit_is_a_timeout(tmp_path: Path) -> None:
    with _worked(tmp_path, "prefork", "slow.delay()") as worked:
        (only,) = _runs(worked, "slow")
    assert only.attributes["kpi.etl.result"] == "timeout"
    assert str(only.attributes["error.type"]).endswith("SoftTimeLimitExceeded")


def test_run_within_a_run_is_not_the_task(worked: Receiver) -> None:
    (first,), (inner,) = _runs(worked, "first"), _runs(worked, "inner")
    assert first.attributes["kpi.etl.run.id"] != inner.attributes["kpi.etl.run.id"]


def test_workers_metrics_are_flushed_with_every_run(worked: Receiver) -> None:
    def total(metric: str, **attributes: str) -> float:
        # A worker's child is one process: its last report has everything.
        found = [
            point
            for point in worked.points
            if point.metric == metric and attributes.items() <= point.attributes.items()
        ]
        return found[-1].item.as_int or found[-1].item.as_double

    assert total("kpi.etl.records.processed", model_name="marketing") == 30
    assert total("kpi.etl.retries", model_name="marketing") == 2
    for result, runs in (("failure", 2), ("success", 1)):
        ended = {"kpi.etl.result": result, "model_name": "marketing"}
        points = [
            point
            for point in worked.points
            if point.metric == "kpi.etl.pipeline.runs" and ended.items() <= point.attributes.items()
        ]
        by_trigger = {point.attributes["kpi.etl.run.trigger"]: point.item.as_int for point in points}
        assert sum(by_trigger.values()) == runs


def test_outside_of_a_task_there_is_none() -> None:
    assert task() is None


def test_time_limit_of_celery_is_a_timeout() -> None:
    error = SoftTimeLimitExceeded()
    assert outcome(error) == ("timeout", error)


def test_exceptions_of_others_are_not_celerys() -> None:
    assert outcome(None) is None
    assert outcome(ValueError("no")) is None
    assert outcome(KeyboardInterrupt()) is None
