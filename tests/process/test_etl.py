"""An ETL job in a process of its own: whatever ends it, its run arrives with its counts and says how it ended."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import INSTRUMENT, environment, run, running, stop
from support.receiver import Received, Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

JOB = """
import os, signal, sys, threading, time
from otel_kpi import etl

def load(rows):
    with etl.batches(range(rows), size=10, stage="load") as batches:
        for batch in batches:
            batches.count(written=len(batch))
"""

WAITS = (
    JOB
    + """
@etl.pipeline("marketing", run_id="r1")
def main():
    with etl.stage("extract") as stage:
        stage.read(7)
        print("ready", flush=True)
        time.sleep(60)  # until the signal comes
main()
"""
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def program(tmp_path: Path, text: str, name: str = "job.py") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


def variables(receiver: Receiver, name: str, **more: str) -> dict[str, str]:
    return environment(receiver.url, OTEL_SERVICE_NAME=name, **more)


def only(receiver: Receiver, name: str) -> Received:
    [span] = receiver.named(name)
    return span


def points(receiver: Receiver, metric: str) -> dict[tuple[Any, ...], Any]:
    """The last value of each series, by its attributes."""
    found: dict[tuple[Any, ...], Any] = {}
    for point in receiver.points:
        if point.metric == metric:
            item = point.item
            value = item.count if hasattr(item, "bucket_counts") else item.as_int or item.as_double
            found[tuple(sorted(point.attributes.items()))] = value
    return found


def test_job_that_runs_once_leaves_its_last_values(tmp_path: Path, receiver: Receiver) -> None:
    text = JOB + "@etl.pipeline('marketing')\ndef main():\n    load(95)\n    etl.quality_score(50)\nmain()\n"
    ended = run([*INSTRUMENT, sys.executable, program(tmp_path, text)], variables(receiver, "etl-once"))
    assert (ended.returncode, ended.stderr) == (0, "")
    spans = [only(receiver, "run marketing"), only(receiver, "load marketing"), *receiver.named("batch load")]
    assert len(spans) == 2 + 10
    assert len({span.item.trace_id for span in receiver.spans}) == 1
    assert spans[0].attributes["kpi.etl.records.written"] == 95
    assert points(receiver, "kpi.etl.quality_score") == {(("model_name", "marketing"),): 50}
    assert points(receiver, "kpi.etl.pipeline.last_success.time")[(("model_name", "marketing"),)] > 1.7e9
    written = (
        ("kpi.etl.record.status", "written"),
        ("kpi.etl.stage.type", "load"),
        ("model_name", "marketing"),
    )
    assert points(receiver, "kpi.etl.records.processed")[written] == 95
    assert points(receiver, "kpi.etl.pipeline.run.active") == {(("model_name", "marketing"),): 0}
    [began] = [log for log in receiver.logs if log.item.event_name == "kpi.etl.run.start"]
    assert began.item.trace_id == spans[0].item.trace_id


@pytest.mark.parametrize(
    ("handler", "status"),
    [
        ("", -signal.SIGTERM),
        ("signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))", 0),
        pytest.param("signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))", 143, marks=pytest.mark.proof),
    ],
    ids=["nobody's", "exit 0", "exit 143"],
)
def test_job_that_is_terminated_says_cancellation(
    tmp_path: Path, receiver: Receiver, handler: str, status: int
) -> None:
    text = WAITS.replace("@etl.pipeline", f"{handler}\n@etl.pipeline", 1)
    command = [*INSTRUMENT, sys.executable, program(tmp_path, text)]
    with running(command, variables(receiver, f"etl-terminated-{status}")) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert stop(process) == ""
        assert process.returncode == status
    for name in ("run marketing", "extract marketing"):
        attributes = only(receiver, name).attributes
        assert attributes["kpi.etl.result"] == "cancellation"
        assert attributes["error.type"] == "SIGTERM"
        assert attributes["kpi.etl.records.read"] == 7
    runs = points(receiver, "kpi.etl.pipeline.runs")
    assert {dict(labels)["kpi.etl.result"] for labels, value in runs.items() if value} == {"cancellation"}
    assert sum(points(receiver, "kpi.etl.records.processed").values()) == 7


def test_interrupted_job_says_cancellation(tmp_path: Path, receiver: Receiver) -> None:
    with running(
        [*INSTRUMENT, sys.executable, program(tmp_path, WAITS)], variables(receiver, "etl-interrupted")
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        stop(process, signal.SIGINT)
        assert process.returncode == -signal.SIGINT
    attributes = only(receiver, "run marketing").attributes
    assert (attributes["kpi.etl.result"], attributes["error.type"]) == ("cancellation", "KeyboardInterrupt")


def test_run_in_a_thread_that_nobody_waits_for_is_cancelled(tmp_path: Path, receiver: Receiver) -> None:
    begins = "threading.Thread(target=main, daemon=True).start()\nbegun.wait()\n"
    text = WAITS.replace('print("ready", flush=True)', "begun.set()").removesuffix("main()\n")
    text = text.replace("@etl.pipeline", "begun = threading.Event()\n@etl.pipeline", 1) + begins
    ended = run([*INSTRUMENT, sys.executable, program(tmp_path, text)], variables(receiver, "etl-daemon"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert only(receiver, "run marketing").attributes["kpi.etl.result"] == "cancellation"


def test_subprocess_of_a_stage_is_a_run_linked_to_it(tmp_path: Path, receiver: Receiver) -> None:
    child = program(tmp_path, JOB + "with etl.run('child'):\n    load(5)\n", "child.py")
    text = JOB + (
        "import subprocess\n"
        "with etl.run('parent'), etl.stage('spawn'):\n"
        f"    subprocess.run([sys.executable, {child!r}], env=etl.environment(), check=True)\n"
    )
    ended = run([*INSTRUMENT, sys.executable, program(tmp_path, text)], variables(receiver, "etl-parent"))
    assert (ended.returncode, ended.stderr) == (0, "")
    child_run, stage = only(receiver, "run child"), only(receiver, "spawn parent")
    assert [link.span_id for link in child_run.item.links] == [stage.item.span_id]
    assert child_run.item.trace_id != stage.item.trace_id
    assert child_run.attributes["kpi.etl.run.trigger"] == "event"


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.proof)])
def test_what_a_pool_of_processes_counts_arrives_once(
    tmp_path: Path, receiver: Receiver, method: str
) -> None:
    text = JOB + (
        "import multiprocessing\n"
        "def work(rows):\n"
        "    etl.read(rows)\n"
        "    with etl.stage('transform') as stage:\n"
        "        stage.skipped(1)\n"
        "if __name__ == '__main__':\n"
        "    with etl.run('marketing'), etl.stage('extract') as stage:\n"
        "        stage.read(1000)\n"
        "        stage.read(5)\n"
        f"        with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "            pool.map(etl.bound(work), range(10))\n"
        "            pool.close()\n"
        "            pool.join()\n"
    )
    ended = run(
        [*INSTRUMENT, sys.executable, program(tmp_path, text)],
        variables(receiver, f"etl-pool-{method}"),
        timeout=60,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    counted: dict[str, int] = {}
    by_process: dict[tuple[Any, ...], tuple[str, int]] = {}
    for point in receiver.points:
        if point.metric == "kpi.etl.records.processed":
            key = (point.resource["process.pid"], *sorted(point.attributes.items()))
            by_process[key] = (point.attributes["kpi.etl.record.status"], point.item.as_int)
    for status, value in by_process.values():
        counted[status] = counted.get(status, 0) + value
    assert counted == {"read": 1005 + 45, "skipped": 10}
    stages = receiver.named("transform marketing")
    assert len(stages) == 10
    assert {each.item.trace_id for each in stages} == {only(receiver, "run marketing").item.trace_id}
    assert {each.item.parent_span_id for each in stages} == {only(receiver, "extract marketing").item.span_id}


def test_long_run_is_seen_before_it_ends(tmp_path: Path, receiver: Receiver) -> None:
    with running(
        [*INSTRUMENT, sys.executable, program(tmp_path, WAITS)],
        variables(
            receiver,
            "etl-long",
            OTEL_KPI_ETL_HEARTBEAT_INTERVAL="200",
            OTEL_METRIC_EXPORT_INTERVAL="300",
            OTEL_BLRP_SCHEDULE_DELAY="100",
        ),
    ):
        receiver.wait_for(
            lambda seen: any(log.item.event_name == "kpi.etl.run.heartbeat" for log in seen.logs)
        )
        assert receiver.spans == []
        beat = next(log for log in receiver.logs if log.item.event_name == "kpi.etl.run.heartbeat")
        assert beat.attributes["kpi.etl.records.read"] == 7
        assert beat.attributes["kpi.etl.run.id"] == "r1"
        receiver.wait_for(lambda seen: points(seen, "kpi.etl.pipeline.run.elapsed"))


def test_without_an_sdk_nothing_is_said_and_nothing_is_loaded(tmp_path: Path) -> None:
    text = JOB + (
        "@etl.pipeline('marketing')\n"
        "def main():\n"
        "    load(95)\n"
        "    etl.quality_score(float('nan'))\n"
        "    etl.freshness('yesterday')\n"
        "    etl.check('unique', False)\n"
        "    return 3\n"
        "assert main() == 3\n"
        "loaded = [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'otel_kpi.sdk', 'pandas', 'celery'))]\n"
        "print(loaded, threading.active_count())\n"
    )
    ended = run([sys.executable, program(tmp_path, text)], environment())
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[] 1\n", "")
