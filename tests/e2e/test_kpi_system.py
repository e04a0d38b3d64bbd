"""The KPI system on the real stack: every instrument of its packs is in Prometheus, and every total is the script's."""

from __future__ import annotations

import asyncio
import socket
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from kpi_system import audit, feeds, services
from kpi_system.services import System
from kpi_system.traffic import driver, runs, script, signins

from otel_kpi.model import label_name
from otel_kpi.packs.analytics import PACK as ANALYTICS
from otel_kpi.packs.code import PACK as CODE
from otel_kpi.packs.etl import PACK as ETL
from otel_kpi.packs.health.instruments import PACK as HEALTH
from otel_kpi.packs.runtime import PACK as RUNTIME
from otel_kpi.packs.security import PACK as SECURITY
from otel_kpi.packs.websocket import PACK as WEBSOCKET

if TYPE_CHECKING:
    from kpi_system.traffic.driver import Outcome
    from kpi_system.traffic.plan import Plan
    from storefront.audit.stores import Addresses

    from otel_kpi.model import Instrument

ROUNDS = 3
WITHIN = 30.0  # seconds for a store
PORTS = range(13_401, 14_001, 37)


@dataclass(frozen=True, slots=True)
class Played:
    """One play.

    Attributes:
        system: What was started.
        addresses: The stores.
        plan: What was to be.
        outcome: What came back.
        differing: What Prometheus said otherwise, while the server ran.
        exposed: What `/metrics` of server and office said otherwise at the same time.
        series: What Prometheus had then, with all labels.
        job: What the job printed.
        ended: What Prometheus said otherwise after server and job had ended, the levels aside.
    """

    system: System
    addresses: Addresses
    plan: Plan
    outcome: Outcome
    differing: list[str]
    exposed: list[str]
    series: list[dict[str, str]]
    job: str
    ended: list[str]


@pytest.fixture(scope="module")
def played(stack: Addresses, tmp_path_factory: pytest.TempPathFactory) -> Played:
    system = System(
        environment=f"e2e-{uuid.uuid4().hex[:8]}",
        port=_free_port(),
        data=tmp_path_factory.mktemp("kpi"),
        # Nobody has to wait ten seconds for the figures; what they are is the same.
        extra={**stack.variables(), "OTEL_METRIC_EXPORT_INTERVAL": "2000"},
    )
    plan = script.everything(ROUNDS)
    with services.running(system):
        outcome, differing, exposed = asyncio.run(_play(system, plan, stack.prometheus))
        series = _series(stack.prometheus, f'{{environment="{system.environment}"}}')
    job = services.run_job(system)
    script.end(plan)
    runs.run(plan, feeds.JOB, "schedule", broken=False)
    ended = _agreed_after_the_end(plan, stack.prometheus, system.environment)
    return Played(system, stack, plan, outcome, differing, exposed, series, job, ended)


async def _play(system: System, plan: Plan, prometheus: str) -> tuple[Outcome, list[str], list[str]]:
    sweep = asyncio.create_task(asyncio.to_thread(services.run_sweep, system))
    async with driver.played(system.url, system.office_url, system.key, ROUNDS) as outcome:
        await sweep
        differing = await asyncio.to_thread(audit.agree, plan, prometheus, system.environment, WITHIN)
        exposed: list[str] = []
        async with httpx.AsyncClient(trust_env=False, timeout=WITHIN) as client:
            for url, own in (
                (system.url, script.plan(ROUNDS)),
                (system.office_url, signins.plan(ROUNDS)),
            ):
                text = (await client.get(f"{url}/metrics")).text
                exposed += audit.differences(own, audit.in_text(text))
    return outcome, differing, exposed


def _agreed_after_the_end(plan: Plan, prometheus: str, environment: str) -> list[str]:
    """What still differs of everything that does not go up and down: who listened has left with the server.

    The last word on a run that was under way stays for the five minutes that Prometheus looks back.
    """
    levels = (
        "kpi_websocket_active",
        "kpi_websocket_closes",
        "kpi_websocket_connection_duration",
        "kpi_etl_pipeline_run_elapsed",
    )
    deadline = time.monotonic() + WITHIN
    while True:
        lines = audit.differences(plan, audit.in_prometheus(prometheus, environment))
        lines = [line for line in lines if not line.startswith(levels)]
        if not lines or time.monotonic() > deadline:
            return lines
        time.sleep(0.5)  # Prometheus has no event for "arrived"; the deadline ends it


def _series(prometheus: str, selector: str) -> list[dict[str, str]]:
    answer: Any = httpx.get(
        f"{prometheus}/api/v1/series", params={"match[]": selector}, timeout=WITHIN, trust_env=False
    )
    return answer.json()["data"]


def _free_port() -> int:
    for port in PORTS:
        with socket.socket() as listener, socket.socket() as next_one:
            try:
                listener.bind(("127.0.0.1", port))
                next_one.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    pytest.fail("no free ports for the example")


def _labels(played: Played, instrument: Instrument) -> list[set[str]]:
    """The label sets of an instrument's series, without those that every series has."""
    name = instrument.series_name + ("_count" if instrument.kind == "histogram" else "")
    everywhere = {"__name__", "job", *audit.EVERYWHERE}
    return [
        {label for label in labels if label not in everywhere and not label.startswith("otel_scope_")}
        for labels in played.series
        if labels["__name__"] == name
    ]


def test_every_answer_and_every_event_is_the_planned_one(played: Played) -> None:
    assert played.outcome.answers == played.plan.answers
    assert played.outcome.received == played.plan.received


def test_every_total_in_prometheus_is_the_scripts(played: Played) -> None:
    assert not played.differing, "\n".join(played.differing)


def test_metrics_endpoint_says_the_same(played: Played) -> None:
    assert not played.exposed, "\n".join(played.exposed)


def test_last_reports_of_ended_processes_add_nothing_twice(played: Played) -> None:
    assert not played.ended, "\n".join(played.ended)


@pytest.mark.parametrize(
    "pack", [ETL, ANALYTICS, WEBSOCKET, SECURITY, RUNTIME, HEALTH, CODE], ids=lambda pack: pack.name
)
def test_every_instrument_has_its_exact_name_and_labels(played: Played, pack: Any) -> None:
    wrong: list[str] = []
    for instrument in pack.instruments:
        declared = {label_name(each.name) for each in instrument.attributes}
        required = {label_name(each.name) for each in instrument.attributes if each.required}
        found = _labels(played, instrument)
        if not found:
            wrong.append(f"{instrument.series_name} is not there")
        wrong += [
            f"{instrument.series_name} has the labels {sorted(labels)}, declared are {sorted(declared)}"
            for labels in found
            if not required <= labels <= declared
        ]
    assert not wrong, "\n".join(wrong)


def test_alerts_of_the_document_have_the_series_that_they_ask_for(played: Played) -> None:
    def labels(name: str) -> list[dict[str, str]]:
        return [each for each in played.series if each["__name__"] == name]

    assert {each["model_name"] for each in labels("kpi_etl_quality_score")} == {"marketing", "sales"}
    high = [each for each in labels("kpi_analytics_anomalies_detected_total") if each["severity"] == "high"]
    assert {each["model_name"] for each in high} == {"marketing", "sales"}
    assert labels("kpi_websocket_active_connections")
    assert labels("kpi_security_intrusion_attempts_total")


def test_every_series_says_app_version_environment_and_instance(played: Played) -> None:
    assert not audit.lacking(played.addresses.prometheus, played.system.environment)


def test_run_of_the_job_is_one_trace_with_its_stages_and_batches(played: Played) -> None:
    assert played.job == f"{feeds.JOB}: quality 50\n"
    spans = _trace_of_job(played)
    names = Counter(span["operationName"] for span in spans)
    assert names[f"run {feeds.JOB}"] == 1
    assert {f"{stage} {feeds.JOB}" for stage in ("extract", "validate", "transform", "store")} <= names.keys()
    assert names["batch validate"] == 2
    (run,) = [span for span in spans if span["operationName"] == f"run {feeds.JOB}"]
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    assert tags["kpi.etl.records.rejected"] == feeds.faults(feeds.JOB).total()
    assert tags["kpi.etl.quality_score"] == 50
    assert tags["kpi.etl.run.trigger"] == "schedule"


def _trace_of_job(played: Played) -> list[dict[str, Any]]:
    """The spans of the trace of the job's run."""
    tags = f'{{"deployment.environment.name":"{played.system.environment}"}}'
    deadline = time.monotonic() + WITHIN
    while True:
        answer: Any = httpx.get(
            f"{played.addresses.jaeger}/api/traces",
            params={"service": services.JOB, "tags": tags, "limit": 20},
            timeout=WITHIN,
            trust_env=False,
        ).json()
        # The process has a trace of its own, in which it makes its table.
        found = [
            trace
            for trace in answer["data"]
            if any(span["operationName"] == f"run {feeds.JOB}" for span in trace["spans"])
        ]
        if found or time.monotonic() > deadline:
            (only,) = found
            return only["spans"]
        time.sleep(0.5)  # Jaeger has no event for "arrived"; the deadline ends it
