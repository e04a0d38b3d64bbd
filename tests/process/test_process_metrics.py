"""A process says of itself what it needs, a child its own figures; one that has nothing to tell says nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, free_port, get, run, running
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = {
    "process.cpu.time",
    "process.memory.usage",
    "process.memory.virtual",
    "process.thread.count",
    "process.unix.file_descriptor.count",
    "process.context_switches",
    "process.disk.io",
    "process.uptime",
    "process.resident_memory",
    "process.cpu",
    "cpython.gc.collections",
    "cpython.gc.collected_objects",
    "cpython.gc.uncollectable_objects",
    "kpi.runtime.gc.time",
}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


def start(tmp_path: Path, receiver: Receiver, text: str, **variables: str) -> str:
    """Run a program to its end; returns what it printed."""
    path = tmp_path / "program.py"
    path.write_text(text)
    ended = run([*RUN, sys.executable, str(path)], environment(receiver.url, **variables))
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def said(receiver: Receiver) -> set[str]:
    """What it says of itself; pauses of 1 ms are there or not."""
    prefixes = ("process.", "cpython.", "system.", "kpi.runtime.")
    return {point.metric for point in receiver.points if point.metric.startswith(prefixes)} - {
        "kpi.runtime.gc.pause"
    }


def values(receiver: Receiver, metric: str, pid: int) -> dict[tuple[Any, ...], Any]:
    """The last value of each series of one process."""
    return {
        tuple(point.attributes.values()): point.item.as_int or point.item.as_double
        for point in receiver.points
        if point.metric == metric and point.resource["process.pid"] == pid
    }


SPAN = """
import os
from opentelemetry import trace
with trace.get_tracer("program").start_as_current_span("work"):
    held = bytearray(64_000_000)
    sum(number * number for number in range(2_000_000))
print(os.getpid())
"""


def test_process_that_has_a_span_says_what_it_needs(tmp_path: Path, receiver: Receiver) -> None:
    pid = int(start(tmp_path, receiver, SPAN))
    assert said(receiver) == NAMES
    assert values(receiver, "process.memory.usage", pid)[()] > 64_000_000
    cpu = values(receiver, "process.cpu.time", pid)
    assert {*cpu} == {("user",), ("system",)}
    assert 0.05 < cpu["user",] < 20
    assert values(receiver, "process.thread.count", pid)[()] >= 2
    assert values(receiver, "process.unix.file_descriptor.count", pid)[()] >= 3
    assert {*values(receiver, "cpython.gc.collections", pid)} == {(0,), (1,), (2,)}


SILENT = """
import time
from opentelemetry import metrics, trace
trace.get_tracer("program")
metrics.get_meter("program").create_counter("never")
time.sleep(0.5)  # ten intervals of collection
"""


def test_process_that_records_nothing_asks_no_collector_to_be_there(
    tmp_path: Path, receiver: Receiver
) -> None:
    start(tmp_path, receiver, SILENT, OTEL_METRIC_EXPORT_INTERVAL="50")
    assert receiver.requests == []


def test_process_that_only_counts_says_what_it_needs(tmp_path: Path, receiver: Receiver) -> None:
    text = """
from opentelemetry import metrics
metrics.get_meter("program").create_counter("done").add(1, {"kind": "a"})
"""
    start(tmp_path, receiver, text)
    assert said(receiver) == NAMES


FORK = """
import gc, os, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # from 3.12 on of every fork beside a thread
from opentelemetry import trace
tracer = trace.get_tracer("program")
held = bytearray(1)
for _ in range(50): gc.collect()
with tracer.start_as_current_span("parent"):
    sum(number * number for number in range(4_000_000))
trace.get_tracer_provider().force_flush()
from opentelemetry import metrics
metrics.get_meter_provider().force_flush()
pid = os.fork()
if pid == 0:
    with tracer.start_as_current_span("child"):
        pass
    raise SystemExit
idle = os.fork()
if idle == 0:
    raise SystemExit
for each in (pid, idle):
    os.waitpid(each, 0)
print(os.getpid(), pid, idle)
"""


def test_forked_child_says_its_own_figures_and_an_idle_one_none(tmp_path: Path, receiver: Receiver) -> None:
    parent, child, idle = map(int, start(tmp_path, receiver, FORK).split())
    cpu = [sum(values(receiver, "process.cpu.time", pid).values()) for pid in (parent, child)]
    assert cpu[0] > cpu[1]  # the child has hardly begun
    oldest = [values(receiver, "cpython.gc.collections", pid)[2,] for pid in (parent, child)]
    assert oldest[0] >= 50 > oldest[1]
    assert not [point for point in receiver.points if point.resource["process.pid"] == idle]


def test_figures_of_the_host_are_said_by_setting(tmp_path: Path, receiver: Receiver) -> None:
    start(tmp_path, receiver, SPAN, OTEL_KPI_HOST_METRICS="true")
    assert {"system.cpu.time", "system.memory.usage", "system.network.io"} <= said(receiver)
    assert said(receiver) >= NAMES


def test_figures_are_left_out_by_upstreams_setting_or_altogether(tmp_path: Path, receiver: Receiver) -> None:
    excluded = "cpython.*, process.disk.io, kpi.runtime.*"
    start(tmp_path, receiver, SPAN, OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS=excluded)
    assert said(receiver) == {name for name in NAMES if name.startswith("process.")} - {"process.disk.io"}
    receiver.points.clear()
    start(tmp_path, receiver, SPAN, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="system_metrics")
    assert said(receiver) == set()


def test_former_names_are_the_same_figures_and_can_be_switched_off(
    tmp_path: Path, receiver: Receiver
) -> None:
    pid = int(start(tmp_path, receiver, SPAN))
    memory = values(receiver, "process.resident_memory", pid)[()]
    assert memory == pytest.approx(values(receiver, "process.memory.usage", pid)[()], rel=0.05)
    assert values(receiver, "process.cpu", pid)[()] == pytest.approx(
        sum(values(receiver, "process.cpu.time", pid).values()), abs=0.1
    )
    receiver.points.clear()
    start(tmp_path, receiver, SPAN, OTEL_KPI_COMPATIBILITY_SERIES="false")
    assert said(receiver) == NAMES - {"process.resident_memory", "process.cpu"}


SERVER = """
import time

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    time.sleep(0.8)  # longer than a tick: whatever its phase, one is late
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"late"})
"""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_server_whose_handler_blocks_says_that_its_loop_is_late(
    tmp_path: Path, receiver: Receiver, loop: str
) -> None:
    (tmp_path / "blocking.py").write_text(SERVER)
    port = free_port()
    command = [*RUN, "uvicorn", "blocking:app", "--port", str(port), "--loop", loop]
    variables = environment(receiver.url, OTEL_METRIC_EXPORT_INTERVAL="200", OTEL_SERVICE_NAME=f"late-{loop}")
    with running(command, variables, cwd=tmp_path):
        assert get(f"http://127.0.0.1:{port}/") == 200
        receiver.wait_for(
            lambda got: any(
                point.metric == "kpi.runtime.event_loop.lag" and point.item.sum > 0.1 for point in got.points
            )
        )
        receiver.wait_for(
            lambda got: any(point.metric == "kpi.runtime.event_loop.longest_lag" for point in got.points)
        )
