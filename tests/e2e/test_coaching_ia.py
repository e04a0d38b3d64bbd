"""The coach on the real stack: what each club cost, in Prometheus and in Jaeger, is what the provider billed."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import subprocess
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from coaching_ia import services
from coaching_ia.api.models import CHAT
from coaching_ia.audit import found_by, planned
from coaching_ia.clubs import MEMBERS
from coaching_ia.services import API, SITE, System
from coaching_ia.traffic import driver, script
from model_provider import audit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storefront.audit.stores import Addresses

WITHIN = 30.0  # seconds for a store
PORTS = range(12_101, 12_300, 11)
AMOUNT = "gen_ai.usage.cost.amount"


@dataclass(frozen=True)
class Played:
    """A round.

    Attributes:
        system: What was started.
        addresses: The stores.
        plan: What was expected.
        wrong: Answers that were not the planned ones.
        bill: The provider's.
        found: What Prometheus said while the services ran.
    """

    system: System
    addresses: Addresses
    plan: script.Plan
    wrong: list[str]
    bill: list[dict[str, Any]]
    found: Mapping[str, Mapping[audit.Key, Decimal]]

    @property
    def environment(self) -> str:
        return self.system.environment


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((1, 24), id="1-worker"),
        pytest.param((4, 240), id="4-workers", marks=pytest.mark.proof),
    ],
)
def played(
    request: pytest.FixtureRequest, stack: Addresses, tmp_path_factory: pytest.TempPathFactory
) -> Played:
    workers, sessions = request.param
    system = System(
        workers,
        f"coach-{uuid.uuid4().hex[:8]}",
        _four_free_ports(),
        tmp_path_factory.mktemp("coaching"),
        # How much a process may say at its end on a busy machine is another test's.
        extra={
            **stack.variables(),
            "OTEL_METRIC_EXPORT_INTERVAL": "2000",
            "OTEL_KPI_EXIT_BUDGET": "20000",
        },
    )
    talk = script.sessions(sessions)
    plan = script.plan(talk, workers)
    with services.running(system):
        wrong = asyncio.run(driver.play(talk, system.url(), system.password))
        bill = audit.bill(system.provider_url)
        expected = {**audit.billed(bill), **planned(plan)}
        audit.agree(
            lambda: audit.differences(expected, audit.in_prometheus(stack.prometheus, system.environment)),
            WITHIN,
        )
        found = audit.in_prometheus(stack.prometheus, system.environment)
    return Played(system, stack, plan, wrong, bill, found)


def _four_free_ports() -> int:
    for first in PORTS:
        with ExitStack() as held:
            try:
                for port in range(first, first + 4):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    pytest.fail("no free ports for the example")


def _query(played: Played, query: str) -> dict[tuple[str, ...], float]:
    answer: Any = httpx.get(
        f"{played.addresses.prometheus}/api/v1/query",
        params={"query": query},
        timeout=WITHIN,
        trust_env=False,
    ).raise_for_status()
    return {
        tuple(value for name, value in sorted(each["metric"].items()) if name != "__name__"): float(
            each["value"][1]
        )
        for each in answer.json()["data"]["result"]
    }


def test_every_answer_is_the_planned_one(played: Played) -> None:
    assert played.wrong == []


@pytest.mark.parametrize("name", [audit.COST, audit.TOKENS, audit.RETRIES, audit.ABANDONED])
def test_prometheus_has_by_model_and_tenant_what_the_provider_billed(played: Played, name: str) -> None:
    expected = audit.billed(played.bill)
    assert expected[name]
    assert played.found[name] == expected[name]


@pytest.mark.parametrize("name", [audit.CALLS, audit.RETRIES, audit.ABANDONED])
def test_calls_by_tenant_feature_and_model_are_those_of_the_script(played: Played, name: str) -> None:
    assert played.found[name] == planned(played.plan)[name]


def test_every_stream_that_was_left_is_counted_as_without_a_price_and_nothing_else_is(played: Played) -> None:
    series = f'kpi_llm_unpriced_total{{environment="{played.environment}"}}'
    found = _query(played, f"sum by (gen_ai_request_model, kpi_llm_reason) (last_over_time({series}[1h]))")
    assert found == {(CHAT, "no_usage"): played.plan.abandoned.total()}
    assert Decimal(sum(float(line["untold"]) for line in played.bill)) > 0


def test_questions_plans_and_sessions_are_those_of_the_script(played: Played) -> None:
    def total(series: str, by: str) -> dict[tuple[str, ...], float]:
        selector = f'{series}{{environment="{played.environment}"}}'
        return _query(played, f"sum by ({by}) (last_over_time({selector}[1h]))")

    calls: Counter[str] = Counter()
    for (_, feature, model), count in played.plan.calls.items():
        calls[f"{feature} {model}"] += count
    asked = played.plan.questions
    assert sum(total("kpi_rag_queries_total", "kpi_rag_outcome").values()) == asked
    assert sum(total("rag_queries_total", "status").values()) == asked
    assert total("kpi_coaching_plans_total", "kpi_coaching_result") == {
        ("success",): calls["plan claude-sonnet-4-6"]
    }
    ended = calls["summary claude-haiku-4-5"]
    assert list(total("coaching_sessions_total", "kind").values()) == [ended]


def test_series_of_the_older_system_say_the_same(played: Played) -> None:
    cost = _query(
        played,
        f'sum by (model) (last_over_time(openai_cost_total{{environment="{played.environment}"}}[1h]))',
    )
    billed: Counter[tuple[str, ...]] = Counter()
    for (_, model, _), amount in audit.billed(played.bill)[audit.COST].items():
        if not model.startswith("claude"):
            billed[model,] += amount  # type: ignore[assignment] # a Counter adds whatever adds
    assert {key: round(value, 9) for key, value in cost.items()} == {
        key: float(value) for key, value in billed.items()
    }


def _spans(played: Played, **tags: str) -> list[dict[str, Any]]:
    named = {name.replace("__", "."): value for name, value in tags.items()}
    return found_by(
        played.addresses.jaeger, API, {"deployment.environment.name": played.environment, **named}
    )


@pytest.mark.parametrize("club", MEMBERS)
def test_jaeger_finds_the_calls_of_a_tenant_with_what_each_cost(played: Played, club: str) -> None:
    spans = [each for each in _spans(played, kpi__tenant=club) if "gen_ai.request.model" in each["tags"]]
    mine = [each["tags"] for each in spans if each["tags"].get("kpi.tenant") == club]
    priced = [tags for tags in mine if AMOUNT in tags]
    calls = Counter({key: count for key, count in played.plan.calls.items() if key[0] == club})
    assert Counter((club, tags["kpi.feature"], tags["gen_ai.request.model"]) for tags in priced) == calls
    assert {tags["gen_ai.usage.cost.currency"] for tags in priced} == {"USD"}
    spent = sum(Decimal(repr(tags[AMOUNT])) for tags in priced)
    billed = sum(Decimal(line["amount"]) for line in played.bill if line["project"] == club)
    assert round(spent, audit.DECIMALS) == round(billed, audit.DECIMALS)


def test_jaeger_finds_calls_by_what_they_cost(played: Played) -> None:
    """It compares texts: an amount is found as it is written, a range is not."""
    every = _spans(played, gen_ai__usage__cost__currency="USD")
    dearest = max((each for each in every if AMOUNT in each["tags"]), key=lambda each: each["tags"][AMOUNT])
    amount = dearest["tags"][AMOUNT]
    again = _spans(played, **{AMOUNT.replace(".", "__"): str(amount)})
    assert dearest["spanID"] in {each["spanID"] for each in again if each["tags"].get(AMOUNT) == amount}
    assert _spans(played, gen_ai__usage__cost__currency="EUR") == []


def test_the_histogram_of_costs_leads_to_the_trace_of_a_dear_call(played: Played) -> None:
    answer: Any = httpx.get(
        f"{played.addresses.prometheus}/api/v1/query_exemplars",
        params={
            "query": f'gen_ai_client_operation_cost_bucket{{environment="{played.environment}"}}',
            "start": "2026-01-01T00:00:00Z",
            "end": "2100-01-01T00:00:00Z",
        },
        timeout=WITHIN,
        trust_env=False,
    ).raise_for_status()
    exemplars = [each for series in answer.json()["data"] for each in series["exemplars"]]
    dear = max(exemplars, key=lambda each: float(each["value"]))
    trace: Any = httpx.get(
        f"{played.addresses.jaeger}/api/traces/{dear['labels']['trace_id']}", timeout=WITHIN, trust_env=False
    ).raise_for_status()
    amounts = [
        tag["value"]
        for span in trace.json()["data"][0]["spans"]
        if span["spanID"] == dear["labels"]["span_id"]
        for tag in span["tags"]
        if tag["key"] == AMOUNT
    ]
    assert amounts == [float(dear["value"])]


def test_commands_of_the_page_find_the_traces(played: Played) -> None:
    page = (Path(__file__).parents[2] / "docs" / "llm.md").read_text(encoding="utf-8")
    commands = re.findall(r"^\$ (curl .*)$", page, re.MULTILINE)
    assert len(commands) == 2
    for written in commands:
        command = written.replace("http://127.0.0.1:16686", played.addresses.jaeger)
        command = command.replace("http://127.0.0.1:9090", played.addresses.prometheus)
        ended = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
        assert json.loads(ended.stdout)["data"], command


def test_one_trace_goes_from_the_site_over_the_documents_to_the_model(played: Played) -> None:
    spans = _spans(played, kpi__feature="chat")
    by_trace: dict[str, set[str]] = {}
    services_of: dict[str, set[str]] = {}
    for each in spans:
        by_trace.setdefault(each["traceID"], set()).add(each["operationName"])
        services_of.setdefault(each["traceID"], set()).add(each["service"])
    assert by_trace
    for trace, names in by_trace.items():
        assert {
            "invoke_workflow coach",
            "retrieval documents",
            "embeddings text-embedding-3-small",
            "chat gpt-4o-mini",
        } <= names
        assert services_of[trace] == {SITE, API}


def test_nothing_of_what_was_said_leaves(played: Played) -> None:
    said = ["How is endurance built", "everything about training", "long and slow runs", "sports club"]
    written = json.dumps(_spans(played)) + Path(played.addresses.logs_file).read_text(encoding="utf-8")
    assert API in written
    assert [each for each in (*said, *MEMBERS["lyon"]) if each in written] == []


def test_the_command_says_what_each_club_cost_by_model(played: Played) -> None:
    def ask(*more: str) -> str:
        command = [services.program("otel-kpi"), "cost", "--since", "1h", "--by", "model,tenant", *more]
        only = ("--environment", played.environment, "--prometheus", played.addresses.prometheus)
        return subprocess.run([*command, *only], capture_output=True, text=True, check=True).stdout

    rows = json.loads(ask("--json"))["rows"]
    priced = {(row["tenant"], row["model"], "USD"): row["now"]["cost"].get("USD") for row in rows}
    expected = audit.billed(played.bill)[audit.COST]
    assert {key: round(Decimal(cost), audit.DECIMALS) for key, cost in priced.items() if cost} == expected
    printed = ask()
    for tenant, model, _ in expected:
        assert any(tenant in line and model in line and "USD" in line for line in printed.splitlines())
