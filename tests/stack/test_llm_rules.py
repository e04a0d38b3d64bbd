"""The rules on what language models cost, as `promtool` judges them; and each of their parts is needed."""

from __future__ import annotations

import io
import re
import subprocess
from pathlib import Path

import pytest

from otel_kpi.stack import build
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "rules" / "llm.yml"
TESTS = Path(__file__).parent / "rules" / "llm.yml"

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def promtool() -> Path:
    made = build.executables([MODULES["prometheus"]], Cache.from_environment(), Progress(io.StringIO()))
    return made["prometheus"].with_name("promtool")


def judged(promtool: Path, folder: Path, rules: str) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yml").write_text(rules, encoding="utf-8")
    tests = TESTS.read_text(encoding="utf-8").replace("RULES", "rules.yml")
    (folder / "tests.yml").write_text(tests, encoding="utf-8")
    command = [promtool, "test", "rules", "tests.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_rules_say_what_was_spent_and_alerts_fire_when_they_should(promtool: Path, tmp_path: Path) -> None:
    ended = judged(promtool, tmp_path, RULES.read_text(encoding="utf-8"))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_rule_is_tested_and_every_alert_has_its_place_in_the_page() -> None:
    rules, tests = RULES.read_text(encoding="utf-8"), TESTS.read_text(encoding="utf-8")
    page = (RULES.parents[3] / "docs" / "budgets.md").read_text(encoding="utf-8")
    headings = {line.strip("# `").lower() for line in page.splitlines() if line.startswith("#")}
    # What other records are made of is tested by those.
    inner = {"kpi_llm_cost:ended1m", "kpi_llm_cost:increase1m", "kpi_llm_budget:limit"}
    for name in set(re.findall(r"- record: (\S+)", rules)) - inner:
        assert re.search(rf"expr: .*{name}\b", tests), name
        assert f"`{name}`" in page or f"`{name.partition(':')[2]}`" in page, name
    alerts = re.findall(r"- alert: (\S+)", rules)
    for name in alerts:
        assert f"alertname: {name}" in tests, name
    runbooks = re.findall(r"runbook: docs/budgets.md#(\S+)", rules)
    assert len(runbooks) == len(alerts)
    assert set(runbooks) <= headings


# What is taken away, and what stands there then.
MUTANTS = {
    "a zero is no beginning": ("min_over_time(kpi_llm_cost_total[100ms]) == 0", "min_over_time(kpi_llm_cost_total[100ms]) < 0"),
    "the last of a process is lost": ('label_replace(kpi_llm_cost:ended1m, "part", "ended", "", "")', "kpi_llm_cost_total < 0"),
    "all of a process is its last": ("(max_over_time(kpi_llm_cost_total[100ms]) <", "(1e9 + max_over_time(kpi_llm_cost_total[100ms]) <"),
    "a fall is no beginning": ("+ 0 and kpi_llm_cost_total offset 100ms)", "* 0 and kpi_llm_cost_total offset 100ms)"),
    "silence is forgotten": ("last_over_time(kpi_llm_cost_total[1h] offset 100ms)", "last_over_time(kpi_llm_cost_total[1m] offset 100ms)"),
    "extrapolated": ("(last_over_time(kpi_llm_cost_total[100ms]) - kpi_llm_cost_total offset 100ms >= 0)", "increase(kpi_llm_cost_total[1m]) / 600"),
    "currencies in one sum": ("sum by (environment, gen_ai_usage_cost_currency) (\n", "sum by (environment) (\n"),
    "tenants in one sum": ("sum by (environment, kpi_tenant, gen_ai_usage_cost_currency) (\n", "sum by (environment, gen_ai_usage_cost_currency) (\n"),
    "days without an end": ("and on (day) count_values", "or on (day) count_values"),
    "months without an end": ("and on (month) count_values", "or on (month) count_values"),
    "nothing is kept": ("last_over_time(kpi_llm_cost:day[1d])", "(kpi_llm_cost:day > 1e9)"),
    "a tenant's own budget and that of each": ("          or\n          sum by (environment, kpi_tenant)", "          and\n          sum by (environment, kpi_tenant)"),
    "limits add up": ("max by (environment, kpi_llm_budget_scope", "sum by (environment, kpi_llm_budget_scope"),
    "no rate": ('environment:kpi_llm_spend:today{gen_ai_usage_cost_currency!="EUR"} > 0', "environment:kpi_llm_spend:today > 1e9"),
    "a warning too late": ("> 50", "> 52"),
    "critical too late": ("> 100", "> 112"),
    "nearly": (">= 0.8 < 1", "> 0.81 < 1"),
    "tokens at once": ("sum by (app, environment) (kpi_llm_tokens:per_minute) > 1000\n        for: 5m", "sum by (app, environment) (kpi_llm_tokens:per_minute) > 1000"),
    "tokens too late": ("> 2000", "> 2500"),
    "latency of few": ("[10m])) > 3\n", "[10m])) > 1\n"),
    "latency of embeddings": ('{gen_ai_operation_name!="embeddings"}', ""),
    "the old name alone": ("gen_ai_client_inference_duration_seconds_bucket", "gen_ai_client_other_duration_seconds_bucket"),
}  # fmt: skip


@pytest.mark.proof
@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_without_one_of_its_parts_fails(promtool: Path, tmp_path: Path, name: str) -> None:
    old, new = MUTANTS[name]
    rules = RULES.read_text(encoding="utf-8")
    assert old in rules
    assert judged(promtool, tmp_path, rules.replace(old, new)).returncode == 1
