"""`otel-kpi cost` on a real Prometheus that has two days of calls, processes that began again among them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.children import free_port

from otel_kpi.cli import main
from otel_kpi.stack import build, ports
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

pytestmark = pytest.mark.stack

MODEL = {"gen_ai_provider_name": "openai", "gen_ai_request_model": "gpt-4o-mini", "environment": "prod"}
ACME = {**MODEL, "kpi_tenant": "acme", "instance": "a"}
GLOBEX = {**MODEL, "kpi_tenant": "globex", "instance": "b"}
USD = {"gen_ai_usage_cost_currency": "USD", "gen_ai_usage_cost_source": "local"}
NAMELESS = {"kpi_tenant": "acme", "instance": "a", "environment": "prod"}
MYSTERY = {**MODEL, "gen_ai_request_model": "mystery", "instance": "b"}

# Name, labels, and the samples: hours ago, value. Yesterday is what is older than 24 hours.
SERIES: list[tuple[str, dict[str, str], list[tuple[float, float]]]] = [
    ("kpi_llm_cost_total", {**ACME, **USD}, [(40, 0), (30, 10), (20, 15), (1, 22)]),
    # Began again twice, once with more than before.
    ("kpi_llm_cost_total", {**GLOBEX, **USD}, [(23, 0), (22, 5), (21.9, 0), (21, 9), (3, 0), (2.9, 4)]),
    # A search, paid in euros.
    (
        "kpi_llm_cost_total",
        {**NAMELESS, "gen_ai_usage_cost_currency": "EUR", "kpi_llm_cost_kind": "search"},
        [(5, 0), (4, 1.25)],
    ),
    (
        "kpi_llm_tokens_total",
        {**ACME, "kpi_llm_token_class": "input"},
        [(40, 0), (30, 800), (20, 900), (1, 3_200)],
    ),
    ("kpi_llm_tokens_total", {**ACME, "kpi_llm_token_class": "cache_read"}, [(40, 0), (30, 100), (1, 500)]),
    ("kpi_llm_tokens_total", {**ACME, "kpi_llm_token_class": "output"}, [(40, 0), (30, 100), (1, 300)]),
    (
        "kpi_llm_tokens_total",
        {**GLOBEX, "kpi_llm_token_class": "input"},
        [(23, 0), (22, 100), (21.9, 0), (2.9, 200)],
    ),
    ("gen_ai_client_operation_duration_seconds_count", ACME, [(40, 0), (30, 10), (1, 30)]),
    ("gen_ai_client_operation_duration_seconds_count", GLOBEX, [(23, 0), (22, 2), (21.9, 0), (2.9, 3)]),
    ("gen_ai_client_operation_duration_seconds_count", MYSTERY, [(6, 0), (5, 3)]),
    ("kpi_llm_unpriced_total", {**MYSTERY, "kpi_llm_reason": "unknown_model"}, [(6, 0), (5, 3)]),
    ("kpi_llm_currency_rate", {"kpi_llm_currency_from": "EUR", "kpi_llm_currency_to": "USD"}, [(0.01, 2)]),
    ("environment:kpi_llm_spend:today", {"environment": "prod", **USD}, [(0.01, 18)]),
    ("environment:kpi_llm_spend:run_rate1h", {"environment": "prod", **USD}, [(0.01, 48)]),
    ("environment:kpi_llm_spend:month", {"environment": "prod", **USD}, [(0.01, 300)]),
    ("environment:kpi_llm_spend:month_projected", {"environment": "prod", **USD}, [(0.01, 640.5)]),
    ("tenant:kpi_llm_spend:month", {"environment": "prod", "kpi_tenant": "acme", **USD}, [(0.01, 200)]),
]


@dataclass
class Asked:
    """The command's status and what it printed."""

    status: int
    output: str
    errors: str

    def json(self) -> Any:
        assert (self.status, self.errors) == (0, "")
        return json.loads(self.output)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    executable = build.executables(
        [MODULES["prometheus"]], Cache.from_environment(), Progress(io.StringIO())
    )["prometheus"]
    folder = tmp_path_factory.mktemp("prometheus")
    now = time.time()
    lines = [
        f"{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}} "
        f"{value} {now - hours * 3600:.3f}\n"
        for name, labels, samples in SERIES
        for hours, value in samples
    ]
    (folder / "calls.om").write_text("".join([*lines, "# EOF\n"]))
    command = [
        executable.with_name("promtool"),
        "tsdb",
        "create-blocks-from",
        "openmetrics",
        "calls.om",
        "tsdb",
    ]
    made = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (folder / "prometheus.yml").write_text("{}\n")
    port = free_port()
    url = f"http://{ports.HOST}:{port}"
    with subprocess.Popen(
        [
            str(executable),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={ports.HOST}:{port}",
            "--log.level=error",
        ]
    ) as process:
        try:
            _wait_for(f"{url}/-/ready")
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except OSError:
            assert time.monotonic() < deadline, url
        time.sleep(0.05)  # until it listens there is nothing to wait for


@pytest.fixture
def ask(prometheus: str, capsys: pytest.CaptureFixture[str]) -> Callable[..., Asked]:
    def run(*arguments: str) -> Asked:
        status = main(["cost", "--prometheus", prometheus, *arguments])
        captured = capsys.readouterr()
        return Asked(status, captured.out, captured.err)

    return run


def test_costs_are_those_of_the_ledger_whatever_began_again(ask: Callable[..., Asked]) -> None:
    found = ask("--by", "tenant,model", "--json").json()
    rows = {(row["tenant"], row["model"]): row for row in found["rows"]}
    assert set(rows) == {("acme", "gpt-4o-mini"), ("globex", "gpt-4o-mini"), ("acme", "-"), ("-", "mystery")}
    assert rows["acme", "gpt-4o-mini"]["now"] == {
        "calls": 20,
        "tokens": {"cache_read": 400, "input": 2400, "output": 200},
        "cost": {"USD": "12.000000000"},
        "unpriced": {},
    }
    assert rows["acme", "gpt-4o-mini"]["before"]["cost"] == {"USD": "10.000000000"}
    assert rows["globex", "gpt-4o-mini"]["now"]["cost"] == {"USD": "18.000000000"}
    assert (
        rows["globex", "gpt-4o-mini"]["now"]["calls"],
        rows["globex", "gpt-4o-mini"]["now"]["tokens"],
    ) == (5, {"input": 300})
    assert rows["acme", "-"]["now"]["cost"] == {"EUR": "1.250000000"}
    assert rows["-", "mystery"]["now"]["unpriced"] == {"unknown_model": 3}
    assert rows["-", "mystery"]["now"]["cost"] == {}
    assert found["total"]["now"]["cost"] == {"EUR": "1.250000000", "USD": "30.000000000"}
    assert found["outlook"]["USD"] == {
        "today": "18.000000000",
        "run_rate_per_day": "48.000000000",
        "month": "300.000000000",
        "month_projected": "640.500000000",
    }


def test_a_difference_is_split_into_calls_tokens_and_price(ask: Callable[..., Asked]) -> None:
    [row] = [
        each
        for each in ask("--by", "model", "--tenant", "acme", "--json").json()["rows"]
        if each["model"] != "-"
    ]
    # 10 calls of 100 tokens for 0.01 each; now 20 calls of 150 for 0.004 each.
    assert row["change"]["USD"] == {
        "total": "2.000000000",
        "calls": "10.000000000",
        "tokens_per_call": "10.000000000",
        "price_per_token": "-18.000000000",
    }


def test_a_person_reads_a_table_with_totals_reasons_and_what_is_coming(ask: Callable[..., Asked]) -> None:
    asked = ask("--by", "tenant,model")
    heading, _, *lines = asked.output.splitlines()
    assert (asked.status, asked.errors) == (0, "")
    assert heading.startswith("What language models cost, 20")
    now, before = (
        heading.removeprefix("What language models cost, ").split(" to ")[0],
        asked.output.split("another sum than ")[1],
    )
    assert before.split(":\n")[0].endswith(f" to {now} UTC")
    assert "\n".join(lines).replace(before.split(":\n")[0], "THE DAY BEFORE") == (
        """\
tenant  model        calls  input  cached  output     cost        share   before         Δ
──────────────────────────────────────────────────────────────────────────────────────────
globex  gpt-4o-mini      5    300       0       0  18.0000  USD   60.0%        –  +18.0000
acme    gpt-4o-mini     20  2,400     400     200  12.0000  USD   40.0%  10.0000   +2.0000
acme    -                0      0       0       0   1.2500  EUR  100.0%        –   +1.2500
-       mystery          3      0       0       0        –                     –
──────────────────────────────────────────────────────────────────────────────────────────
total                   28  2,700     400     200   1.2500  EUR                –   +1.2500
                                                   30.0000  USD          10.0000  +20.0000

Not in any sum of money, since nobody knows what they cost:
  - mystery: 3 calls, unknown_model
  `otel-kpi prices check` says what to do about each.

Why it is another sum than THE DAY BEFORE:
                                  Δ     calls  tokens a call  price a token
  globex gpt-4o-mini  USD  +18.0000  +18.0000              0              0
  acme gpt-4o-mini    USD   +2.0000  +10.0000       +10.0000       -18.0000
  acme -              EUR   +1.2500   +1.2500              0              0
  total               EUR   +1.2500   +1.2500              0              0
  total               USD  +20.0000  +28.0000       +10.0000       -18.0000

Today 18.0000 USD; at the pace of the last hour a day costs 48.0000 USD; this month 300.0000 USD; when it ends 640.5000 USD."""
    )


def test_a_row_for_spreadsheets_has_one_currency_and_counts_calls_once(ask: Callable[..., Asked]) -> None:
    rows = list(csv.DictReader(io.StringIO(ask("--by", "tenant", "--csv").output)))
    assert sum(int(row["calls"]) for row in rows) == 28
    assert [(row["tenant"], row["currency"], row["cost"], row["cost_before"]) for row in rows] == [
        ("globex", "USD", "18.000000000", ""),
        ("acme", "EUR", "1.250000000", ""),
        ("acme", "USD", "12.000000000", "10.000000000"),
        ("-", "", "", ""),
    ]
    assert sum(int(row["unpriced_calls"]) for row in rows) == 3


def test_amounts_are_converted_by_the_rate_that_the_processes_report_and_no_other(
    ask: Callable[..., Asked],
) -> None:
    found = ask("--by", "none", "--currency", "usd", "--json").json()
    assert found["total"]["now"]["cost"] == {"USD": "32.500000000"}
    assert (found["rates"], found["not_converted"]) == ([{"from": "EUR", "to": "USD", "rate": "2"}], [])
    found = ask("--by", "none", "--currency", "CHF", "--json").json()
    assert found["total"]["now"]["cost"] == {"EUR": "1.250000000", "USD": "30.000000000"}
    assert found["not_converted"] == ["EUR", "USD"]


def test_another_time_is_another_sum(ask: Callable[..., Asked]) -> None:
    assert ask("--since", "2h", "--json").json()["total"]["now"]["cost"] == {"USD": "7.000000000"}
    two_days = ask("--since", "2d", "--json").json()["total"]
    assert two_days["now"]["cost"] == {"EUR": "1.250000000", "USD": "40.000000000"}
    assert two_days["before"] == {"calls": 0, "tokens": {}, "cost": {}, "unpriced": {}}


def test_a_tenant_that_nobody_knows_has_spent_nothing_and_is_told_so(ask: Callable[..., Asked]) -> None:
    asked = ask("--tenant", 'no"body\\')
    assert asked.status == 0
    assert "Nothing: no call, no token and no cost is known of this time." in asked.output


def test_of_a_feature_the_rules_know_no_outlook_and_it_is_said(ask: Callable[..., Asked]) -> None:
    assert ask("--environment", "prod", "--app", "shop", "--json").json()["outlook"] == {}
    assert list(ask("--tenant", "acme", "--json").json()["outlook"]) == ["USD"]
