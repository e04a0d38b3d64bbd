"""What a job said last is still seen after it has ended: the rules, and the real Prometheus with a real job."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, free_port, run

from otel_kpi.stack import build, ports
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules" / "etl.yml"

JOB = """
from otel_kpi import etl

@etl.pipeline("marketing")
def main():
    with etl.stage("validate") as stage:
        stage.read(100)
        stage.rejected(50, "missing_email")
    etl.quality_score({quality})

main()
"""


@pytest.fixture(scope="module")
def prometheus_executable() -> Path:
    return build.executables([MODULES["prometheus"]], Cache.from_environment(), Progress(io.StringIO()))[
        "prometheus"
    ]


def test_the_rules_keep_a_last_value_until_the_next_run(prometheus_executable: Path, tmp_path: Path) -> None:
    tests = tmp_path / "etl.yml"
    tests.write_text((Path(__file__).parent / "rules" / "etl.yml").read_text().replace("RULES", str(RULES)))
    promtool = prometheus_executable.with_name("promtool")
    ended = subprocess.run(
        [promtool, "test", "rules", str(tests)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


class Prometheus:
    """A Prometheus of its own, in which five minutes are thirty seconds."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{ports.HOST}:{port}"

    def query(self, expression: str) -> dict[str, str]:
        """Value of each series by its name and model."""
        address = f"{self.url}/api/v1/query?query={urllib.parse.quote(expression)}"
        with urllib.request.urlopen(address, timeout=10) as response:
            found: list[dict[str, Any]] = json.load(response)["data"]["result"]
        return {each["metric"].get("model_name", ""): each["value"][1] for each in found}

    def alerts(self) -> dict[str, str]:
        with urllib.request.urlopen(f"{self.url}/api/v1/alerts", timeout=10) as response:
            found: list[dict[str, Any]] = json.load(response)["data"]["alerts"]
        return {each["labels"]["alertname"]: each["state"] for each in found}


@pytest.fixture
def prometheus(
    prometheus_executable: Path, tmp_path: Path, eventually: Callable[..., None]
) -> Generator[Prometheus]:
    port = free_port()
    rules = tmp_path / "rules"
    rules.mkdir()
    text = RULES.read_text().replace("for: 5m", "for: 30s")
    (rules / "etl.yml").write_text(re.sub(r"interval: 10s", "interval: 1s", text))
    configuration = (ROOT / "deploy/prometheus/prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(
        configuration.replace("evaluation_interval: 10s", "evaluation_interval: 1s")
    )
    command = [
        str(prometheus_executable),
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address={ports.HOST}:{port}",
        "--web.enable-otlp-receiver",
        "--enable-feature=exemplar-storage,created-timestamp-zero-ingestion",
        "--query.lookback-delta=30s",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        try:
            made = Prometheus(port)

            def ready() -> bool:
                try:
                    with urllib.request.urlopen(f"{made.url}/-/ready", timeout=5) as response:
                        return response.status == 200
                except OSError:
                    return False

            eventually(ready)
            yield made
        finally:
            process.terminate()
            process.wait(20)


def run_job(prometheus: Prometheus, folder: Path, quality: float) -> None:
    program = folder / "job.py"
    program.write_text(JOB.replace("{quality}", str(quality)))
    env = environment(
        OTEL_SERVICE_NAME="last-values",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{prometheus.url}/api/v1/otlp/v1/metrics",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    ended = run([*RUN, sys.executable, str(program)], env)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_job_that_ended_is_still_low_until_its_next_run(
    prometheus: Prometheus, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    run_job(prometheus, tmp_path, 50)
    ended = time.monotonic()
    eventually(lambda: prometheus.query("kpi_etl_quality_score") == {"marketing": "50"})
    eventually(lambda: prometheus.alerts() == {"ETLQualityLow": "firing"}, 60)
    # The series itself is over; what it said last is not.
    eventually(lambda: prometheus.query("kpi_etl_quality_score") == {}, 40)
    assert time.monotonic() - ended >= 30
    assert prometheus.query("kpi_etl_quality_score:last") == {"marketing": "50"}
    assert prometheus.alerts() == {"ETLQualityLow": "firing"}
    run_job(prometheus, tmp_path, 97)
    eventually(lambda: prometheus.query("kpi_etl_quality_score:last") == {"marketing": "97"})
    eventually(lambda: prometheus.alerts() == {})
