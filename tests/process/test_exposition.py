"""What several workers answer together, under the servers that people use."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from support.children import BIN, INSTRUMENT, environment, free_port, get, run, running
from support.receiver import Receiver

from otel_kpi.instance import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WITHIN = 6.0
"""Seconds after the last request within which any worker must know of it: three times the figure."""

APP = """
import os
import opentelemetry.metrics
from otel_kpi import exposition, record
from otel_kpi.model import Attribute, Counter

meter = opentelemetry.metrics.get_meter("shop")
orders = meter.create_counter("shop.orders", "{order}")
delay = meter.create_histogram("shop.delay", "s", explicit_bucket_boundaries_advisory=[0.1, 1])
carts = meter.create_up_down_counter("shop.carts", "{cart}")
stock = meter.create_gauge("shop.stock")
meter.create_observable_gauge("shop.pid", [lambda _: [opentelemetry.metrics.Observation(os.getpid())]])
tally = record.counter(Counter(name="shop.rows", unit="{row}", brief="Rows.", attributes=(
    Attribute(name="stage", brief="Which.", budget=5, examples=("load",)),)))
exposition.activate()
orders.add(1, {"kind": "at import"})

def app(environ, start_response):
    path = environ["PATH_INFO"]
    kind = "text/plain"
    if path == "/metrics":
        answer = exposition.metrics(environ.get("HTTP_ACCEPT"))
        start_response(f"{answer.status} OK", [("Content-Type", answer.content_type)])
        return [answer.body]
    if path == "/pid":
        start_response("200 OK", [("Content-Type", kind)])
        return [str(os.getpid()).encode()]
    orders.add(1, {"kind": path})
    delay.record(0.25)
    carts.add(1)
    stock.set(7)
    tally.add(3, "load")
    start_response("200 OK", [("Content-Type", kind)])
    return [b"done"]
"""
FASTAPI = """
import os
from typing import Annotated
from fastapi import FastAPI, Header, Response
from shop import app as wsgi, exposition, orders, tally

app = FastAPI()

@app.get("/pid")
def pid():
    return os.getpid()

@app.get("/metrics")
def metrics(accept: Annotated[str, Header()] = ""):
    answer = exposition.metrics(accept)
    return Response(answer.body, answer.status, media_type=answer.content_type)

@app.get("/orders")
async def order():
    orders.add(1, {"kind": "/orders"})
    tally.add(3, "load")
"""

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def fetch(url: str, accept: str = "") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept, "Connection": "close"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.read().decode()


def samples(body: str) -> Samples:
    drop = ("app", "version", "environment")
    return {
        (
            sample.name,
            tuple(sorted(item for item in sample.labels.items() if item[0] not in drop)),
        ): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


class Service:
    """A served application: its address, and who answers."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"

    def ask(self, times: int, path: str = "/orders") -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(fetch, [self.address + path] * times))

    def pids(self, at_least: int) -> set[int]:
        """The workers; each is seen after some requests."""
        found: set[int] = set()
        deadline = time.monotonic() + 20
        with ThreadPoolExecutor(8) as pool:
            while len(found) < at_least:
                assert time.monotonic() < deadline, found
                found |= {int(pid) for pid in pool.map(fetch, [self.address + "/pid"] * 16)}
        return found

    def answers(self, times: int = 12) -> list[Samples]:
        """What several requests are told, by whichever worker."""
        with ThreadPoolExecutor(4) as pool:
            return [samples(body) for body in pool.map(fetch, [self.address + "/metrics"] * times)]

    def kill(self, pid: int | None = None) -> None:
        """Kill a worker that has written what it knows: whoever answered knew itself without a snapshot."""
        time.sleep(1.5)  # a snapshot comes each second, and nothing outside of the process tells when
        with contextlib.suppress(ProcessLookupError):  # its requests may have been its last
            os.kill(pid or next(iter(self.pids(1))), signal.SIGKILL)

    def settled(self, name: str, wanted: float, **labels: str) -> Samples:
        """Wait until every answer says so; all of them, since any worker may answer."""
        deadline = time.monotonic() + WITHIN
        while True:
            answers = self.answers()
            seen = {value(answer, name, **labels) for answer in answers}
            if seen == {wanted}:
                return answers[0]
            assert time.monotonic() < deadline, (name, seen, wanted)
            time.sleep(0.1)  # a snapshot has no event outside of its process


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def serve(tmp_path: Path, receiver: Receiver) -> Iterator[Callable[..., Service]]:
    """Start a server in front of the application, and end it."""
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "counter.py").write_text(FASTAPI)
    with contextlib.ExitStack() as stack:

        def start(*command: str, **extra: str) -> Service:
            port = free_port()
            own = {
                "OTEL_SERVICE_NAME": f"shop-{uuid.uuid4().hex[:8]}",
                # What is answered does not come from exports.
                "OTEL_METRIC_EXPORT_INTERVAL": "60000",
            }
            env = environment(receiver.url, **(own | extra))
            line = [each.replace("PORT", str(port)) for each in command]
            stack.enter_context(running([*INSTRUMENT, *line], env, tmp_path))
            service = Service(port)
            get(service.address + "/pid")
            return service

        yield start


EXPORTERS = ("OTEL_METRICS_EXPORTER", "OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER")
GUNICORN = ("gunicorn", "-b", "127.0.0.1:PORT", "--worker-class", "sync", "shop:app")


def test_one_worker_says_who_it_is(serve: Callable[..., Service]) -> None:
    service = serve(*GUNICORN)
    service.ask(5)
    found = service.answers(1)[0]
    names = {name for name, _ in found}
    assert {
        "shop_orders_total",
        "shop_delay_seconds_bucket",
        "shop_carts",
        "shop_rows_total",
        "shop_pid",
    } <= names
    instances = {dict(labels)["instance"] for _, labels in found}
    assert len(instances) == 1
    assert value(found, "shop_orders_total", kind="/orders", instance=instances.pop()) == 5
    openmetrics = fetch(service.address + "/metrics", "application/openmetrics-text")
    assert openmetrics.endswith("# EOF\n")
    exemplars = [
        sample.exemplar
        for family in openmetrics_families(openmetrics)
        for sample in family.samples
        if sample.exemplar is not None and family.name == "shop_orders"
    ]
    assert exemplars
    assert len(exemplars[0].labels["trace_id"]) == 32


@pytest.mark.parametrize(
    "preload",
    [pytest.param((), id="each"), pytest.param(("--preload",), id="preloaded", marks=pytest.mark.proof)],
)
def test_four_workers_add_up_to_what_was_asked_and_so_they_do_when_one_was_killed(
    serve: Callable[..., Service], preload: tuple[str, ...]
) -> None:
    service = serve(*GUNICORN, "-w", "4", *preload)
    pids = service.pids(4)
    service.ask(203)
    found = service.settled("shop_orders_total", 203, kind="/orders")
    assert value(found, "shop_orders_total", kind="at import") == (1 if preload else 4)
    assert value(found, "shop_rows_total", stage="load") == 3 * 203
    assert value(found, "shop_delay_seconds_count") == 203
    assert value(found, "shop_delay_seconds_bucket", le="1") == 203
    assert value(found, "shop_delay_seconds_bucket", le="0.1") == 0
    assert value(found, "shop_delay_seconds_sum") == 203 * 0.25
    assert value(found, "shop_carts") == 203

    victim = pids.pop()
    service.kill(victim)
    deadline = time.monotonic() + 20
    while not (service.pids(4) - pids - {victim}):
        assert time.monotonic() < deadline
    service.ask(77)
    found = service.settled("shop_orders_total", 280, kind="/orders")
    assert value(found, "shop_orders_total", kind="at import") == (1 if preload else 5)
    assert value(found, "shop_rows_total", stage="load") == 3 * 280
    assert value(found, "shop_delay_seconds_bucket", le="+Inf") == 280
    carts = value(found, "shop_carts")
    assert carts is not None
    assert 77 <= carts < 280  # the killed worker's are gone with it
    gauges = [dict(labels)["instance"] for name, labels in found if name == "shop_stock"]
    assert len(gauges) == len(set(gauges)) <= 4


@pytest.mark.proof
def test_nothing_is_lost_or_counted_twice_while_workers_come_and_go(serve: Callable[..., Service]) -> None:
    service = serve(*GUNICORN, "-w", "4", "--max-requests", "25", "--max-requests-jitter", "20")
    asked = 0
    for _ in range(6):
        service.ask(100)
        asked += 100
        found = service.settled("shop_orders_total", asked, kind="/orders")
        assert value(found, "shop_rows_total", stage="load") == 3 * asked
        assert value(found, "shop_delay_seconds_count") == asked
        service.kill()


@pytest.mark.proof
def test_workers_of_uvicorn_add_up(serve: Callable[..., Service]) -> None:
    service = serve("uvicorn", "counter:app", "--port", "PORT", "--workers", "3", "--no-access-log")
    service.pids(3)
    service.ask(90)
    found = service.settled("shop_orders_total", 90, kind="/orders")
    assert value(found, "shop_rows_total", stage="load") == 270
    assert value(found, "shop_orders_total", kind="at import") == 3
    status = {"http_request_method": "GET", "http_response_status_code": "200"}
    served = [
        (dict(labels), count)
        for (name, labels), count in found.items()
        if name == "http_server_request_duration_seconds_count"
    ]
    orders = [count for labels, count in served if labels.get("http_route") == "/orders"]
    assert orders == [90]
    assert all(labels.items() >= status.items() for labels, _ in served)


@pytest.mark.proof
@pytest.mark.parametrize("kind", ["gthread", "gevent"])
def test_every_kind_of_worker_adds_up(serve: Callable[..., Service], kind: str) -> None:
    service = serve("gunicorn", "-b", "127.0.0.1:PORT", "-k", kind, "-w", "3", "--threads", "4", "shop:app")
    service.pids(3)
    service.ask(120)
    found = service.settled("shop_orders_total", 120, kind="/orders")
    assert value(found, "shop_delay_seconds_count") == 120
    assert len([name for name, _ in found if name == "shop_pid"]) == 3


@pytest.mark.proof
def test_two_runs_of_one_service_are_two(serve: Callable[..., Service]) -> None:
    name = f"shop-{uuid.uuid4().hex[:8]}"
    first = serve(*GUNICORN, "-w", "2", OTEL_SERVICE_NAME=name)
    second = serve(*GUNICORN, "-w", "2", OTEL_SERVICE_NAME=name)
    first.pids(2)
    second.pids(2)
    first.ask(10)
    second.ask(20)
    first.settled("shop_orders_total", 10, kind="/orders")
    second.settled("shop_orders_total", 20, kind="/orders")


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(
            {"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta"},
            id="delta",
            marks=pytest.mark.proof,
        ),
        pytest.param({"OTEL_METRICS_EXPORTER": "none"}, id="no metrics sent", marks=pytest.mark.proof),
        pytest.param(dict.fromkeys(EXPORTERS, "none"), id="nothing sent", marks=pytest.mark.proof),
        pytest.param(
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
            id="nobody listens",
            marks=pytest.mark.proof,
        ),
    ],
)
def test_it_needs_no_cumulative_export_and_no_receiver(
    serve: Callable[..., Service], settings: dict[str, str]
) -> None:
    service = serve(*GUNICORN, "-w", "2", **settings)
    service.pids(2)
    service.ask(31)
    found = service.settled("shop_orders_total", 31, kind="/orders")
    assert value(found, "shop_rows_total", stage="load") == 93
    assert value(found, "shop_delay_seconds_count") == 31


ALONE = """
import json, os, sys
import shop, otel_kpi
from otel_kpi import exposition
first, second = exposition.metrics(), exposition.summary()
print(json.dumps([first.status, first.body.decode(), second.status, json.loads(second.body)]))
page = exposition.monitoring_page()
assert (page.status, page.content_type) == (first.status, "text/html; charset=utf-8"), page
"""


def answered(tmp_path: Path, before: str, **extra: str) -> tuple[int, str, int, dict[str, object]]:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "alone.py").write_text(before + ALONE)
    env = environment(
        OTEL_SERVICE_NAME=f"shop-{uuid.uuid4().hex[:8]}", OTEL_EXPORTER_OTLP_TIMEOUT="100", **extra
    )
    done = run([str(BIN / "python"), "alone.py"], env, tmp_path)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_who_is_not_configured_is_told_what_to_do(tmp_path: Path) -> None:
    status, body, summary_status, summary = answered(tmp_path, "")
    assert (status, summary_status) == (503, 503)
    assert "opentelemetry-instrument" in body
    assert summary["success"] is False


def test_telemetry_that_is_off_says_so(tmp_path: Path) -> None:
    status, body, _, _ = answered(
        tmp_path, "import otel_kpi\notel_kpi.configure()\n", OTEL_SDK_DISABLED="true"
    )
    assert status == 503
    assert "OTEL_SDK_DISABLED" in body


def test_a_provider_that_the_application_made_is_read_from_then_on(tmp_path: Path) -> None:
    before = """
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
metrics.set_meter_provider(MeterProvider(resource=Resource({"service.name": "theirs"})))
"""
    status, body, _, _ = answered(tmp_path, before)
    assert status == 200
    assert 'shop_orders_total{kind="at import",app="theirs"' in body


def test_endpoints_before_telemetry_are_as_good(tmp_path: Path) -> None:
    after = 'import shop, otel_kpi\notel_kpi.configure()\nshop.orders.add(4, {"kind": "later"})\n'
    status, body, _, summary = answered(tmp_path, after)
    assert status == 200
    assert 'kind="later"' in body
    assert summary["success"] is True


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "exposition.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    script = f"import otel_kpi\notel_kpi.configure()\n{block}\nprint(answer.status, answer.content_type)\n"
    (tmp_path / "page.py").write_text(script, encoding="utf-8")
    env = environment(OTEL_SERVICE_NAME=f"page-{uuid.uuid4().hex[:8]}", OTEL_SDK_DISABLED="false")
    done = run([str(BIN / "python"), "page.py"], env, tmp_path)
    assert done.stdout.startswith("200 application/openmetrics-text"), done.stderr


CHILDREN = """
import json, multiprocessing, os
import otel_kpi
otel_kpi.configure()
import shop
from otel_kpi import exposition
shop.orders.add(5, {"kind": "parent"})

def work(number):
    shop.orders.add(number, {"kind": "child"})
    shop.tally.add(number, "load")

if __name__ == "__main__":
    for number in (1, 2, 3):
        child = multiprocessing.get_context(os.environ["HOW"]).Process(target=work, args=(number,))
        child.start()
        child.join()
        assert child.exitcode == 0
    print(exposition.metrics().body.decode())
"""


@pytest.mark.parametrize("how", ["fork", pytest.param("spawn", marks=pytest.mark.proof)])
def test_children_that_have_ended_are_counted_and_leave_one_file(tmp_path: Path, how: str) -> None:
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "parent.py").write_text(CHILDREN)
    env = environment("http://127.0.0.1:9", OTEL_SERVICE_NAME=f"shop-{uuid.uuid4().hex[:8]}", HOW=how)
    with running([str(BIN / "python"), "parent.py"], env, tmp_path) as process:
        output, _ = process.communicate(timeout=60)
    found = samples("".join(line + "\n" for line in output.splitlines() if line.startswith(("#", "shop_"))))
    assert value(found, "shop_orders_total", kind="child") == 6
    assert value(found, "shop_rows_total", stage="load") == 6
    # A spawned child imports the module, and counts what it counts there, once more.
    assert value(found, "shop_orders_total", kind="parent") == (5 if how == "fork" else 20)


def test_folders_do_not_stay_when_services_have_ended(serve: Callable[..., Service]) -> None:
    service = serve(*GUNICORN)
    service.ask(1)
    service.settled("shop_orders_total", 1, kind="/orders", instance=_instance(service))
    folders = list(private_folder().glob("exposition-*"))
    assert folders
    living = [
        folder
        for folder in folders
        if any(_lives(path.name) for path in folder.glob("*-*.json"))
        or _lives(folder.name.partition("-")[2][9:])
    ]
    assert sorted(folders) == sorted(living)


def _instance(service: Service) -> str:
    return next(dict(labels)["instance"] for name, labels in service.answers(1)[0] if name == "shop_stock")


def _lives(name: str) -> bool:
    from otel_kpi.exposition import processes

    pid, _, start = name.partition("-")
    return processes.lives(f"{pid}-{start.partition('.')[0].partition('-')[0]}")
