"""What several workers answer together, under the servers that people use."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families
from support.children import BIN, INSTRUMENT, environment, free_port, get, run, running, stop
from support.receiver import Receiver

from otel_kpi.instance import private_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WITHIN = 3.0
"""Seconds after the last request within which any worker must know of it; the figure is two."""

APP = '''
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
'''
FASTAPI = '''
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
'''

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def fetch(url: str, accept: str = "") -> str:
    request = urllib.request.Request(url, headers={"Accept": accept, "Connection": "close"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return response.read().decode()


def samples(body: str) -> Samples:
    drop = ("app", "version", "environment")
    return {
        (sample.name, tuple(sorted(item for item in sample.labels.items() if item[0] not in drop))): sample.value
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
    import contextlib

    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "counter.py").write_text(FASTAPI)
    with contextlib.ExitStack() as stack:

        def start(*command: str, **extra: str) -> Service:
            port = free_port()
            env = environment(
                receiver.url,
                OTEL_SERVICE_NAME=f"shop-{uuid.uuid4().hex[:8]}",
                OTEL_METRIC_EXPORT_INTERVAL="60000",
                **extra,
            )
            line = [each.replace("PORT", str(port)) for each in command]
            stack.enter_context(running([*INSTRUMENT, *line], env, tmp_path))
            service = Service(port)
            get(service.address + "/pid")
            return service

        yield start


GUNICORN = ("gunicorn", "-b", "127.0.0.1:PORT", "--worker-class", "sync", "shop:app")


def test_one_worker_says_who_it_is(serve: Callable[..., Service]) -> None:
    service = serve(*GUNICORN)
    service.ask(5)
    found = service.answers(1)[0]
    names = {name for name, _ in found}
    assert {"shop_orders_total", "shop_delay_seconds_bucket", "shop_carts", "shop_rows_total", "shop_pid"} <= names
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


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preloaded"])
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
    os.kill(victim, signal.SIGKILL)
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
