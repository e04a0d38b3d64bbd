"""A process says of itself what it needs, a child its own figures; one that has nothing to tell says nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, run
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
    "cpython.gc.collections",
    "cpython.gc.collected_objects",
    "cpython.gc.uncollectable_objects",
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


def said(receiver: Receiver, prefixes: tuple[str, ...] = ("process.", "cpython.", "system.")) -> set[str]:
    return {point.metric for point in receiver.points if point.metric.startswith(prefixes)}


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
    start(tmp_path, receiver, SPAN, OTEL_PYTHON_SYSTEM_METRICS_EXCLUDED_METRICS="cpython.*, process.disk.io")
    assert said(receiver) == {name for name in NAMES if name.startswith("process.")} - {"process.disk.io"}
    receiver.points.clear()
    start(tmp_path, receiver, SPAN, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="system_metrics")
    assert said(receiver) == set()
