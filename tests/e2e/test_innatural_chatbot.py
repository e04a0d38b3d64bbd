"""The chat example on the real stack: the fourteen series of its older system beside the stable ones, to the last one."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from innatural_chatbot import services
from innatural_chatbot.__main__ import agree
from innatural_chatbot.audit import found
from innatural_chatbot.services import SERVICE, System
from innatural_chatbot.shops import SHOPS
from innatural_chatbot.traffic import driver, script
from innatural_chatbot.traffic.plan import PREFIX, Plan
from support.servers import redis

from otel_kpi.model import label_name
from otel_kpi.packs.chat.instruments import PACK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from storefront.audit.stores import Addresses

    from otel_kpi.model import Instrument

CONVERSATIONS = 40
PORTS = range(13_401, 14_000, 37)


@dataclass(frozen=True)
class Played:
    """A round, and what was to be seen while the service still ran.

    Attributes:
        system: What was started.
        prometheus: Where Prometheus is.
        plan: What was expected.
        wrong: Answers that were not the planned ones.
        text: What `/metrics` said at the end.
        differences: By store, what was not as planned.
    """

    system: System
    prometheus: str
    plan: Plan
    wrong: list[str]
    text: str
    differences: dict[str, list[str]]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis() as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(scope="module")
def new_chat(
    stack: Addresses, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., System]:
    """Make a system with ports, an environment and a folder of its own."""

    def make(workers: int, **extra: str) -> System:
        data: Path = tmp_path_factory.mktemp("chatbot")
        variables = {"CHATBOT_REDIS_URL": redis_url, "OTEL_METRIC_EXPORT_INTERVAL": "2000", **extra}
        environment = f"chat-{uuid.uuid4().hex[:8]}"
        return System(workers, environment, _two_free_ports(), data, {**stack.variables(), **variables})

    return make


def _two_free_ports() -> int:
    for first in PORTS:
        with ExitStack() as held:
            try:
                for port in (first, first + 1):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    pytest.fail("no free ports for the example")


def _play(system: System, prometheus: str, kill: int = 0) -> Played:
    """Send the conversations; then once more, after a worker was killed, when that is asked for."""
    services.prepare(system)
    plan, wrong = Plan(), list[str]()
    with services.running(system) as processes:
        for part in range(2 if kill else 1):
            if part:
                # What a process that is killed has not told yet is lost; all of it has been.
                assert _in_prometheus(system, prometheus, plan) == []
                _kill_a_worker(processes[SERVICE].pid, system)
            talk = script.conversations(CONVERSATIONS, uuid.uuid4().hex[:6])
            plan.add(script.plan(talk))
            wrong += asyncio.run(driver.send(talk, system.url))
            if kill:
                # An open session is where it began; the killed one takes its own with it.
                for name in [
                    each for each in plan.series if each.endswith(("active_sessions", "sessions_active"))
                ]:
                    del plan.series[name]
        summary_of = plan.summary()
        if kill:
            del summary_of["sessions"]
        differences = {
            "Prometheus": _in_prometheus(system, prometheus, plan),
            "/metrics": agree(
                lambda: found.differences(plan, found.in_text(system.url, plan.series)), within=15
            ),
            "summary": agree(lambda: _summary_differences(summary_of, system.url), within=5),
            "the bill": agree(
                lambda: found.bill_differences(system.provider_url, prometheus, system.environment), within=15
            ),
        }
        text = httpx.get(f"{system.url}/metrics", timeout=30, trust_env=False).text
    return Played(system, prometheus, plan, wrong, text, differences)


def _in_prometheus(system: System, prometheus: str, plan: Plan) -> list[str]:
    return agree(
        lambda: found.differences(plan, found.in_prometheus(prometheus, system.environment, plan.series)),
        within=30,
    )


def _summary_differences(wanted: dict[str, Any], url: str) -> list[str]:
    said = found.in_summary(url)
    return [
        f"{part}.{name}: expected {value}, got {said[part][name]}"
        for part, figures in wanted.items()
        for name, value in figures.items()
        if said[part][name] != value
    ]


def _kill_a_worker(pid: int, system: System) -> None:
    """Kill one with SIGKILL and wait until another has taken its place."""

    def workers() -> set[int]:
        found_now: set[int] = set()
        for each in psutil.Process(pid).children(recursive=True):
            try:
                if "spawn_main" in " ".join(each.cmdline()):
                    found_now.add(each.pid)
            except psutil.Error:
                pass  # it has just ended
        return found_now

    before = workers()
    assert len(before) == system.workers
    victim = min(before)
    os.kill(victim, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while victim in (now := workers()) or len(now) < system.workers:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the supervisor looks every half second
    log = system.data / "logs" / f"{SERVICE}.log"
    while log.read_text().count("Application startup complete") <= system.workers:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # the new one imports the application


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((1, 0), id="1-worker"),
        pytest.param((4, 0), id="4-workers", marks=pytest.mark.proof),
        pytest.param((4, 1), id="4-workers-one-killed", marks=pytest.mark.proof),
    ],
)
def talked(request: pytest.FixtureRequest, stack: Addresses, new_chat: Callable[..., System]) -> Played:
    workers, kill = request.param
    return _play(new_chat(workers), stack.prometheus, kill)


def test_every_answer_is_the_planned_one(talked: Played) -> None:
    assert talked.wrong == []


def test_prometheus_has_the_totals_of_the_script(talked: Played) -> None:
    assert talked.differences["Prometheus"] == []


def test_metrics_has_the_totals_of_the_script(talked: Played) -> None:
    assert talked.differences["/metrics"] == []


def test_the_summary_has_the_totals_of_the_script(talked: Played) -> None:
    assert talked.differences["summary"] == []


def test_what_each_shop_cost_by_model_is_what_the_provider_billed(talked: Played) -> None:
    assert talked.differences["the bill"] == []
    query = f'sum by (kpi_tenant, gen_ai_request_model) (kpi_llm_cost_total{{environment="{talked.system.environment}"}})'
    shops = {(each["kpi_tenant"], each["gen_ai_request_model"]) for each in _query(talked.prometheus, query)}
    assert shops == {(shop.name, shop.model) for shop in SHOPS.values()}


def _series_name(instrument: Instrument) -> str:
    name = instrument.series_name
    return name.replace("chat_", f"{PREFIX}_", 1) if instrument.name.startswith("{chat}") else name


def _shown(name: str, kind: str) -> str:
    return f"{name}_count" if kind == "histogram" else name


def test_each_instrument_is_in_prometheus_with_its_name_and_its_labels(talked: Played) -> None:
    compatible = [each for each in PACK.instruments if each.compatibility]
    assert len(compatible) == 14
    for instrument in PACK.instruments:
        name = _series_name(instrument)
        query = f'{_shown(name, instrument.kind)}{{environment="{talked.system.environment}"}}[6h]'
        series = _query(talked.prometheus, query)
        assert series, name
        required = {label_name(each.name) for each in instrument.attributes if each.required}
        allowed = {label_name(each.name) for each in instrument.attributes}
        for labels in series:
            own = set(labels) - set(found.COMMON)
            assert required <= own <= allowed, (name, labels)
            assert {"app", "version", "environment", "instance"} <= set(labels)


def test_buckets_are_those_of_the_document(talked: Played) -> None:
    bounds = {
        labels["le"]
        for name, labels, _ in found.samples(talked.text)
        if name == f"{PREFIX}_http_request_duration_seconds_bucket"
    }
    assert {float(bound) for bound in bounds} == {0.1, 0.5, 1, 2, 5, 10, float("inf")}


def test_rules_of_the_document_read_what_is_there(talked: Played) -> None:
    """Its queries, word by word; no result of a rate over a few seconds is promised, a parse error is none."""
    for query in (
        f"rate({PREFIX}_http_requests_total[5m])",
        f"histogram_quantile(0.95, rate({PREFIX}_http_request_duration_seconds_bucket[5m])) > 0",
        f"rate({PREFIX}_errors_total[5m])",
        f"{PREFIX}_active_sessions",
        f"rate({PREFIX}_ai_tokens_total[1h])",
    ):
        assert _query(talked.prometheus, query), query


def _query(prometheus: str, query: str) -> list[dict[str, str]]:
    response = httpx.get(f"{prometheus}/api/v1/query", params={"query": query}, timeout=30, trust_env=False)
    response.raise_for_status()
    return [series["metric"] for series in response.json()["data"]["result"]]


def test_switched_off_only_the_stable_names_are_there(
    stack: Addresses, new_chat: Callable[..., System]
) -> None:
    system = new_chat(1, OTEL_KPI_COMPATIBILITY_SERIES="false")
    services.prepare(system)
    talk = script.conversations(4, uuid.uuid4().hex[:6])
    plan = script.plan(talk)
    for name in [each for each in plan.series if not each.startswith("kpi_")]:
        del plan.series[name]
    with services.running(system):
        assert asyncio.run(driver.send(talk, system.url)) == []
        # While it runs: how much a process may say at its end is another test's.
        assert _in_prometheus(system, stack.prometheus, plan) == []
        text = httpx.get(f"{system.url}/metrics", timeout=30, trust_env=False).text
    assert "kpi_chat_messages_total" in text
    assert PREFIX not in text.replace(f"{PREFIX}/", "")
    assert _query(stack.prometheus, f'{{__name__=~"{PREFIX}_.*", environment="{system.environment}"}}') == []
