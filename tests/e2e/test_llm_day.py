"""A scripted day of calls of language models in real SDKs: what Prometheus says of it is what the ledger says, exactly."""

from __future__ import annotations

import json
import re
import time
import urllib.request
import uuid
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from support.children import INSTRUMENT, environment, free_port, get, running, stop
from support.llm import ScriptedProvider
from support.llm_day import KINDS, SAID, Ledger, add_up, call_of, rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storefront.audit.stores import Addresses

TESTS = Path(__file__).parents[1]
AT_ONCE = 8
A_REQUEST = 5
"""Calls that one request to the service makes."""
WITHIN = 60.0  # seconds for Prometheus to say it
DECIMALS = 9
PROVIDER, MODEL = "gen_ai_provider_name", "gen_ai_request_model"
TENANT, FEATURE = "kpi_tenant", "kpi_feature"


@dataclass(frozen=True)
class Day:
    """A day that is over.

    Attributes:
        ledger: What was to be seen.
        found: What Prometheus has, in the form of the ledger.
        outcomes: What the application got, by kind of call.
        processes: How many calls each process made.
        log: What the service wrote.
    """

    ledger: Ledger
    found: Ledger
    outcomes: dict[str, Counter[str]]
    processes: Counter[int]
    log: str


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((300, 4), id="300-calls-4-workers"),
        pytest.param((10_000, 1), id="10000-calls-1-worker", marks=pytest.mark.proof),
        pytest.param((10_000, 4), id="10000-calls-4-workers", marks=pytest.mark.proof),
    ],
)
def day(request: pytest.FixtureRequest, stack: Addresses) -> Day:
    count, workers = request.param
    name = f"llm-day-{uuid.uuid4().hex[:8]}"
    ledger = add_up(map(call_of, range(count)))
    with ScriptedProvider(rule) as one, ScriptedProvider(rule) as two, ScriptedProvider(rule) as three:
        urls = {"openai": one.url, "anthropic": two.url, "google": three.url}
        env = environment(
            stack.otlp_http,
            OTEL_SERVICE_NAME=name,
            OTEL_METRIC_EXPORT_INTERVAL="2000",
            # Four workers that end at once on two busy cores need longer than 2 s; what comes later is lost, as written.
            OTEL_KPI_EXIT_BUDGET="20000",
            # Upstream says no port of Google's: whatever else is at this host is Google.
            OTEL_KPI_GENAI_PROVIDERS=f"{_host(one)}=openai,{_host(two)}=anthropic,127.0.0.1=gcp.gemini",
            OTEL_KPI_GENAI_STREAM_USAGE=_host(one),
            LLM_DAY_URLS=json.dumps(urls),
            PYTHONPATH=str(TESTS),
        )
        port = free_port()
        command = [*INSTRUMENT, "gunicorn", "--no-control-socket", "--preload", "--worker-class", "gthread"]
        command += ["--threads", "4", "--workers", str(workers), "--bind", f"127.0.0.1:{port}"]
        with running([*command, "support.llm_day_service:application"], env) as service:
            assert get(f"http://127.0.0.1:{port}", timeout=60) == 200
            outcomes, processes = _played(f"http://127.0.0.1:{port}", count)
            log = stop(service, timeout=60)
    return Day(ledger, _agreed(stack.prometheus, name, ledger), outcomes, processes, log)


def _host(provider: ScriptedProvider) -> str:
    return f"127.0.0.1:{provider.port}"


def _played(url: str, count: int) -> tuple[dict[str, Counter[str]], Counter[int]]:
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    processes: Counter[int] = Counter()

    def ask(first: int) -> dict[str, Any]:
        numbers = list(range(first, min(first + A_REQUEST, count)))
        request = urllib.request.Request(url, json.dumps(numbers).encode())
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for said in pool.map(ask, range(0, count, A_REQUEST)):
            processes[said["process"]] += len(said["outcomes"])
            for number, outcome in said["outcomes"].items():
                outcomes[call_of(int(number)).kind][outcome] += 1
    return outcomes, processes


def _agreed(prometheus: str, name: str, ledger: Ledger) -> Ledger:
    """What Prometheus says once it says the whole of it, or when the time is up."""
    deadline = time.monotonic() + WITHIN
    while _differs(found := _found(prometheus, name), ledger) and time.monotonic() < deadline:
        time.sleep(0.5)  # Prometheus has no event for "arrived"; the deadline ends it
    return found


def _differs(found: Ledger, ledger: Ledger) -> bool:
    return replace(found, money={}) != replace(ledger, money={}) or found.money != _money(ledger.money)


def _found(prometheus: str, name: str) -> Ledger:
    """The totals of all processes: the last value of each series, however long ago its process has ended."""

    def totals(series: str, *labels: str, where: str = "") -> dict[tuple[str, ...], Decimal]:
        query = f'last_over_time({series}{{app="{name}"{where}}}[6h])'
        answer: Any = httpx.get(
            f"{prometheus}/api/v1/query", params={"query": query}, timeout=30, trust_env=False
        ).json()
        sums: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
        for each in answer["data"]["result"]:
            sums[tuple(each["metric"].get(label, "") for label in labels)] += Decimal(each["value"][1])
        return {key: total for key, total in sums.items() if total}

    duration = "gen_ai_client_operation_duration_seconds_count"
    return Ledger(
        calls=_counts(totals(duration, PROVIDER, MODEL, TENANT, FEATURE)),
        failed=_counts(totals(duration, MODEL, where=', error_type!=""')),
        tokens=_counts(totals("kpi_llm_tokens_total", MODEL, TENANT, "kpi_llm_token_class")),
        money=_money(totals("kpi_llm_cost_total", MODEL, TENANT, where=', gen_ai_usage_cost_currency="USD"')),
        unpriced=_counts(totals("kpi_llm_unpriced_total", MODEL, "kpi_llm_reason")),
        retries=_counts(totals("kpi_llm_retries_total", MODEL, "kpi_llm_retry_status")),
        abandoned=_counts(totals("kpi_llm_streams_abandoned_total", MODEL, "kpi_llm_reason")),
        faults=_counts(totals("kpi_llm_usage_faults_total", "kpi_llm_reason")),
    )


def _counts(totals: Mapping[tuple[str, ...], Decimal]) -> Counter[tuple[str, ...]]:
    assert all(total == total.to_integral_value() for total in totals.values())
    return Counter({key: int(total) for key, total in totals.items()})


def _money(totals: Mapping[tuple[str, ...], Decimal]) -> dict[tuple[str, ...], Decimal]:
    return {key: round(total, DECIMALS) for key, total in totals.items()}


def test_every_call_gave_the_application_what_the_sdk_alone_gives(day: Day) -> None:
    raised = {"refused": "BadRequestError", "broken_off": "RemoteProtocolError", "cancelled": "cancelled"}
    raised |= dict.fromkeys(("left", "message_left", "content_left"), "left")
    for kind, outcomes in day.outcomes.items():
        assert set(outcomes) == {raised.get(kind, SAID)}, kind


def test_every_kind_of_call_and_every_worker_had_its_share(day: Day, request: pytest.FixtureRequest) -> None:
    count, workers = request.node.callspec.params["day"]
    assert set(day.outcomes) == set(KINDS)
    assert sum(map(Counter.total, day.outcomes.values())) == day.processes.total() == count
    assert len(day.processes) == workers


def test_calls_and_failures_are_those_of_the_ledger(day: Day) -> None:
    assert (day.found.calls, day.found.failed) == (day.ledger.calls, day.ledger.failed)


def test_tokens_are_those_of_the_ledger(day: Day) -> None:
    assert day.found.tokens == day.ledger.tokens


def test_money_is_that_of_the_ledger_to_the_ninth_place(day: Day) -> None:
    assert day.found.money == _money(day.ledger.money)


def test_what_has_no_price_is_counted_with_its_reason(day: Day) -> None:
    assert day.found.unpriced == day.ledger.unpriced
    assert day.found.faults == day.ledger.faults


def test_retries_and_streams_that_were_not_read_to_their_end_are_counted(day: Day) -> None:
    assert (day.found.retries, day.found.abandoned) == (day.ledger.retries, day.ledger.abandoned)


def test_the_service_says_nothing_unusual(day: Day) -> None:
    assert not re.findall(r"Traceback|otel_kpi|opentelemetry", day.log), day.log
