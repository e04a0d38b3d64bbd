"""Runs and stages inside of the tasks of Airflow, Dagster and Prefect, each in an environment of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.children import environment, run
from support.environments import cached

from otel_kpi.packs.etl.adapters import schedulers

if TYPE_CHECKING:
    from pathlib import Path

EVERY = """
import atexit, json
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otel_kpi import etl

exporter = InMemorySpanExporter()
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

def written(run_id):
    spans = [{"name": span.name, **span.attributes} for span in exporter.get_finished_spans() if "kpi.etl.result" in span.attributes]
    print("SPANS", json.dumps({"run_id": run_id, "spans": spans}, default=list))

@etl.stage("transform", pipeline="sales")
def transform(rows: int) -> int:
    etl.read(rows)
    return rows * 2

class Busy(Exception):
    pass

attempts = []

@etl.pipeline("sales")
def load(rows: int) -> int:
    with etl.stage("load") as stage:
        stage.written(rows)
    attempts.append(rows)
    if len(attempts) < 2:
        raise Busy
    return rows
"""
AIRFLOW = """
import datetime
from airflow.sdk import dag, task

@task
def first(rows: int) -> int:
    return transform(rows)

@task(retries=1, retry_delay=datetime.timedelta(seconds=0))
def second(rows: int) -> int:
    return load(rows)

@dag(schedule=None)
def nightly():
    second(first(7))

made = nightly()
if __name__ == "__main__":
    ended = made.test()
    written(ended.run_id)
"""
DAGSTER = """
import dagster

@dagster.op
def first() -> int:
    return transform(7)

@dagster.op(retry_policy=dagster.RetryPolicy(max_retries=1))
def second(rows: int) -> int:
    return load(rows)

@dagster.job(tags={"dagster/schedule_name": "every night"})
def nightly():
    second(first())

written(nightly.execute_in_process().run_id)
"""
PREFECT = """
from prefect import flow, task
from prefect.runtime import flow_run

first = task(transform)
second = task(retries=1)(load)

@flow
def nightly() -> str:
    second(first(7))
    return flow_run.id

written(nightly())
"""


def _played(folder: Path, name: str, program: str, *requirements: str, **variables: str) -> dict[str, Any]:
    python = cached(name, *requirements)
    path = folder / "nightly.py"
    path.write_text(EVERY + program)
    env = environment(OTEL_SDK_DISABLED="false", **variables)
    if name == "airflow":
        made = run([str(python.parent / "airflow"), "db", "migrate"], env, folder, timeout=120)
        assert made.returncode == 0, made.stderr
    ended = run([str(python), str(path)], env, folder, timeout=180)
    said = [each for each in ended.stdout.splitlines() if each.startswith("SPANS ")]
    assert said, ended.stdout[-2000:] + ended.stderr[-2000:]
    (line,) = said
    return json.loads(line.removeprefix("SPANS "))


@pytest.mark.proof
@pytest.mark.network
@pytest.mark.parametrize(
    ("name", "program", "requirements", "triggers"),
    [
        pytest.param("airflow", AIRFLOW, ("apache-airflow>=3,<4",), ("manual", "retry"), id="airflow"),
        pytest.param("dagster", DAGSTER, ("dagster>=1.9,<2",), ("schedule", "retry"), id="dagster"),
        # Prefect 3.8 does not start beside newer ones of FastAPI.
        pytest.param("prefect", PREFECT, ("prefect>=3,<4", "fastapi<0.120"), (None, "retry"), id="prefect"),
    ],
)
def test_run_in_a_task_is_that_attempt_of_the_schedulers_run(
    tmp_path: Path, name: str, program: str, requirements: tuple[str, ...], triggers: tuple[str | None, str]
) -> None:
    variables = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path),
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "DO_NOT_TRACK": "1",
    }
    played = _played(tmp_path, name, program, *requirements, **variables)
    (stage,) = [span for span in played["spans"] if span["name"] == "transform sales"]
    assert stage["kpi.etl.records.read"] == 7
    runs = [span for span in played["spans"] if span["name"] == "run sales"]
    assert [each["kpi.etl.run.id"] for each in runs] == [played["run_id"]] * 2
    assert [each["kpi.etl.run.attempt"] for each in runs] == [1, 2]
    assert tuple(each.get("kpi.etl.run.trigger") for each in runs) == triggers
    assert [each["kpi.etl.result"] for each in runs] == ["error", "success"]
    loads = [span for span in played["spans"] if span["name"] == "load sales"]
    assert [each["kpi.etl.records.written"] for each in loads] == [14, 14]


@pytest.mark.parametrize("scheduler", [schedulers.airflow, schedulers.dagster, schedulers.prefect])
def test_whoever_has_no_scheduler_is_in_no_task(scheduler: Any) -> None:
    assert scheduler() is None
