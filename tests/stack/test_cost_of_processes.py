"""Real processes, one after the other in one slot and four at once: rules and command say what they spent together."""

from __future__ import annotations

import concurrent.futures
import json
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, free_port, run

from otel_kpi.cli import main
from otel_kpi.stack import build, ports
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

pytestmark = [pytest.mark.stack, pytest.mark.proof]

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys
from otel_kpi import llm

with llm.context(tenant=sys.argv[1]):
    for amount in sys.argv[2:]:
        with llm.call("openai", "gpt-4o-mini") as call:
            call.usage(input_tokens=100, output_tokens=10)
            call.charged(amount, "USD")
"""


@pytest.fixture
def prometheus(tmp_path: Path, eventually: Callable[..., None]) -> Generator[str]:
    executable = build.executables([MODULES["prometheus"]], Cache.from_environment(), Progress(sys.stderr))[
        "prometheus"
    ]
    # A minute in five seconds: exports of a script are not older than that.
    rules = (ROOT / "deploy/prometheus/rules/llm.yml").read_text()
    for old, new in (
        ("interval: 1m", "interval: 5s"),
        ("[1m:100ms]", "[5s:100ms]"),
        ("query_offset: 30s", "query_offset: 10s"),
    ):
        assert old in rules
        rules = rules.replace(old, new)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "llm.yml").write_text(re.sub(r"for: \d+[mh]", "for: 0s", rules))
    (tmp_path / "prometheus.yml").write_text((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    port = free_port()
    url = f"http://{ports.HOST}:{port}"
    command = [
        str(executable),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={ports.HOST}:{port}",
        "--web.enable-otlp-receiver",
        "--enable-feature=exemplar-storage,created-timestamp-zero-ingestion",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:

            def ready() -> bool:
                try:
                    with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as response:
                        return response.status == 200
                except OSError:
                    return False

            eventually(ready)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def query(url: str, expression: str) -> dict[str, Decimal]:
    """Values by tenant, to nine decimals."""
    address = f"{url}/api/v1/query?query={urllib.parse.quote(expression)}"
    with urllib.request.urlopen(address, timeout=10) as response:
        found: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return {
        each["metric"].get("kpi_tenant", ""): round(Decimal(each["value"][1]), 9).normalize()
        for each in found
    }


def spend(url: str, program: Path, tenant: str, *amounts: str) -> None:
    env = environment(
        OTEL_SERVICE_NAME="cost-of-processes",
        OTEL_KPI_ENVIRONMENT="test",
        OTEL_KPI_LLM_BUDGETS="day=10 USD; tenant acme day=100 USD",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{url}/api/v1/otlp/v1/metrics",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    ended = run([*RUN, sys.executable, str(program), tenant, *amounts], env)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_scripts_in_a_loop_and_four_workers_are_added_up_exactly(
    prometheus: str, tmp_path: Path, eventually: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "script.py"
    program.write_text(SCRIPT)
    # The second spends as much as the first, the third more: a value that does not fall is no sign.
    for amounts in (("0.10", "0.20"), ("0.30",), ("0.700000001", "1"), ("0.05",)):
        spend(prometheus, program, "acme", *amounts)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for each in [
            pool.submit(spend, prometheus, program, "globex", "2.5", "0.000000007") for _ in range(4)
        ]:
            each.result()
    expected = {"acme": Decimal("2.350000001"), "globex": Decimal("10.000000028")}
    eventually(lambda: query(prometheus, "tenant:kpi_llm_spend:today") == expected, 60)
    assert query(prometheus, "environment:kpi_llm_spend:today") == {"": Decimal("12.350000029")}
    # No process has spent 10 of them; all together have.
    assert query(prometheus, "kpi_llm_budget_crossed_total > 0") == {}
    eventually(
        lambda: (
            query(prometheus, 'ALERTS{alertname="LLMBudgetSpent", alertstate="firing"}') == {"": Decimal(1)}
        ),
        60,
    )
    assert main(["cost", "--prometheus", prometheus, "--since", "30m", "--by", "tenant", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    rows = {row["tenant"]: row["now"] for row in found["rows"]}
    assert {tenant: Decimal(row["cost"]["USD"]).normalize() for tenant, row in rows.items()} == expected
    assert (rows["acme"]["calls"], rows["globex"]["calls"]) == (6, 8)
    assert rows["acme"]["tokens"] == {"input": 600, "output": 60}
    assert Decimal(found["outlook"]["USD"]["month"]).normalize() == Decimal("12.350000029")
