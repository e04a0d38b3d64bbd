"""What is exposed beside what the real Prometheus has of the same process: names, labels and values."""

from __future__ import annotations

import io
import json
import subprocess
import time
import urllib.parse
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from support.children import BIN, INSTRUMENT, environment, free_port, get, run, running

from otel_kpi.stack import build
from otel_kpi.stack.directories import Cache
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

CONFIGURATION = Path(__file__).parents[2] / "deploy" / "prometheus" / "prometheus.yml"

APP = r"""
import otel_kpi
otel_kpi.configure()
from opentelemetry import metrics
from otel_kpi import exposition

meter = metrics.get_meter("shop")
values = ["plain", "", "line\nbreak", 'quo"te', "back\\slash", "żółć 漢字 🙂", True, 7, 2.5, 1e-7, 1e21, ("a", "b", 1)]
units = ["", "1", "s", "ms", "By", "By/s", "%", "{order}", "{order}/s", "Cel", "m/{x}", "°C", "a b", "_x_", "d", "/h"]
names = [
    "shop.orders", "orders_total", "a.total.b", "double..dots__", "9lives", "x.seconds.y", "s.ratio", "io.bytes.per_second",
    "CamelCase", "colon", "trailing_",
]
for name in names:
    for number, unit in enumerate(units):
        own = f"{name}.u{number}" if number % 2 else f"u{number}.{name}" if name[0] != "9" else f"{name}.v{number}"
        try:
            meter.create_counter("c." + own, unit, "A counter.").add(3)
            meter.create_up_down_counter("u." + own, unit).add(-2)
            meter.create_gauge("g." + own, unit).set(1.5)
        except Exception as error:
            print(own, unit, error)
for number, value in enumerate(values):
    meter.create_counter("values").add(number + 1, {"value": value, "n": str(number)})
for number, key in enumerate(["http.route", "a-b", "_private", "9", "é", "a..b", "version", "instance", "job"]):
    meter.create_counter("keys").add(number + 1, {key: "x", "n": number})
meter.create_counter("collide").add(1, {"a.b": "2", "a-b": "1", "a_b": "3"})
histogram = meter.create_histogram("shop.delay", "s", explicit_bucket_boundaries_advisory=[-1, 0, 0.005, 0.25, 5, 100, 2500000, 1e16])
for value in (0.001, 0.2, 4, 1e9):
    histogram.record(value, {"kind": "x"})
meter.create_observable_gauge("seen.now", [lambda _: [metrics.Observation(4, {"a": "b"})]], unit="s")
with open("exposed.txt", "wb") as file:
    assert otel_kpi.flush(20)
    file.write(exposition.metrics().body)
with open("openmetrics.txt", "wb") as file:
    file.write(exposition.metrics("application/openmetrics-text").body)
"""

Series = dict[frozenset[tuple[str, str]], float]


@pytest.fixture(scope="module")
def executables() -> dict[str, Path]:
    made = build.executables([MODULES["prometheus"]], Cache.from_environment(), Progress(io.StringIO()))
    return {"prometheus": made["prometheus"], "promtool": made["prometheus"].with_name("promtool")}


def query(address: str, expression: str) -> Series:
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"
    with urllib.request.urlopen(url, timeout=20) as response:
        answer: Any = json.loads(response.read())
    return {
        frozenset((key, value) for key, value in each["metric"].items() if key != "job"): float(
            each["value"][1]
        )
        for each in answer["data"]["result"]
    }


def exposed(body: str) -> Series:
    return {
        frozenset(
            {("__name__", sample.name), *((k, v) for k, v in sample.labels.items() if k != "job")}
        ): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


@pytest.fixture
def prometheus(executables: dict[str, Path], tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus with the stack's configuration."""
    (tmp_path / "prometheus.yml").write_text(CONFIGURATION.read_text(encoding="utf-8"), encoding="utf-8")
    port = free_port()
    command = [
        str(executables["prometheus"]),
        "--config.file=prometheus.yml",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.path=data",
        "--web.enable-otlp-receiver",
    ]
    with running(command, environment(), tmp_path):
        get(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"


def sending_to(address: str, service: str, **extra: str) -> dict[str, str]:
    return environment(
        OTEL_SERVICE_NAME=service,
        # What the Collector makes of service.name, service.version and deployment.environment.name.
        OTEL_RESOURCE_ATTRIBUTES=f"service.version=1.2,app={service},version=1.2,environment=test,"
        "deployment.environment.name=test",
        OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{address}/api/v1/otlp/v1/metrics",
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        **extra,
    )


def test_names_labels_and_values_are_those_of_prometheus(
    executables: dict[str, Path], prometheus: str, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    service = f"shop-{uuid.uuid4().hex[:8]}"
    done = run([str(BIN / "python"), "app.py"], sending_to(prometheus, service), tmp_path)
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 20
    while not (there := query(prometheus, f'{{app="{service}"}}')):
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.1)  # nothing tells when what was written is seen
    here = exposed((tmp_path / "exposed.txt").read_text(encoding="utf-8"))
    # These go on until the process has ended, and some begin meanwhile.
    moving = ("process_", "cpython_", "otel_", "kpi_runtime_")
    later = {series for series in there if dict(series)["__name__"].startswith(moving)} - set(here)
    assert set(here) ^ (set(there) - later) == set()
    differing = {
        series: (value, there[series])
        for series, value in here.items()
        if value != there[series] and not dict(series)["__name__"].startswith(moving)
    }
    assert differing == {}
    assert len(here) > 500

    checked = subprocess.run(
        [executables["promtool"], "check", "metrics", "--extended", "--lint=none"],
        input=(tmp_path / "exposed.txt").read_bytes(),
        capture_output=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr.decode()
    text = (tmp_path / "openmetrics.txt").read_text(encoding="utf-8")
    families = {family.name for family in openmetrics_families(text)}
    assert {"values", "shop_delay_seconds", "target"} <= families


WORKERS = """
import os
from opentelemetry import metrics
from otel_kpi import exposition

orders = metrics.get_meter("shop").create_counter("shop.orders", "{order}")
exposition.activate()

def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/metrics":
        return [exposition.metrics().body]
    orders.add(1, {"kind": "web"})
    return [b"done"]
"""


@pytest.mark.proof
def test_four_workers_have_the_sum_of_their_series_in_prometheus(prometheus: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(WORKERS, encoding="utf-8")
    port, service = free_port(), f"shop-{uuid.uuid4().hex[:8]}"
    env = sending_to(prometheus, service, OTEL_METRIC_EXPORT_INTERVAL="1000")
    command = [*INSTRUMENT, "gunicorn", "-b", f"127.0.0.1:{port}", "-w", "4", "shop:app"]
    with running(command, env, tmp_path):
        address = f"http://127.0.0.1:{port}"
        get(address)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(get, [address] * 299))
        deadline = time.monotonic() + 20
        wanted, found = {300.0}, set[float]()
        while found != wanted:
            assert time.monotonic() < deadline, found
            with urllib.request.urlopen(f"{address}/metrics", timeout=20) as response:
                series = exposed(response.read().decode())
            here = [value for labels, value in series.items() if ("__name__", "shop_orders_total") in labels]
            there = query(prometheus, f'sum(shop_orders_total{{app="{service}"}})').values()
            found = {*here, *there} or {0.0}
        instances = query(prometheus, f'shop_orders_total{{app="{service}"}}')
        assert len(instances) > 1
