"""Budgets are of one process: a forked child has its own, and both together count exactly what was recorded."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from support.children import RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


FORK = """
import os
from opentelemetry import metrics
counter = metrics.get_meter("program").create_counter("orders")
def work(letter, times):
    for number in range(times):
        counter.add(1, {"customer": f"{letter}{number}", "mail": f"{letter}{number}@example.org"})
work("p", 40)
pid = os.fork()
if pid == 0:
    work("c", 30)
    raise SystemExit
os.waitpid(pid, 0)
"""


def test_forked_child_has_budgets_of_its_own_and_nothing_is_lost(tmp_path: Path, receiver: Receiver) -> None:
    path = tmp_path / "program.py"
    path.write_text(FORK)
    env = environment(receiver.url, OTEL_KPI_METRIC_ATTRIBUTE_VALUES="5", OTEL_METRIC_EXPORT_INTERVAL="60000")
    ended = run([*RUN, sys.executable, str(path)], env)
    assert ended.returncode == 0
    values: defaultdict[int, dict[Any, int]] = defaultdict(dict)
    for point in receiver.points:
        if point.metric == "orders":
            assert point.attributes["mail"] == "other"
            values[point.resource["process.pid"]][point.attributes["customer"]] = point.item.as_int
    child, parent = sorted(values.values(), key=lambda each: sum(each.values()))
    assert parent == {**dict.fromkeys(("p0", "p1", "p2", "p3", "p4"), 1), "other": 35}
    assert child == {**dict.fromkeys(("c0", "c1", "c2", "c3", "c4"), 1), "other": 25}
    lines = [line for line in ended.stderr.splitlines() if line.startswith("metric orders")]
    assert len(lines) == 4  # two attributes in each of two processes
    assert "@example" not in ended.stderr
