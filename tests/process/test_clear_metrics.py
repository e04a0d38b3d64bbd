"""`clear_metrics()`: a test of an application begins with empty metrics."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from support.children import RUN, environment, run
from support.receiver import Receiver

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import otel_kpi
from opentelemetry import metrics
from otel_kpi import timed
counter = metrics.get_meter("program").create_counter("orders")
@timed("orders.place")
def place():
    counter.add(1, {"kind": "new"})
for _ in range(5):
    place()
otel_kpi.clear_metrics()
place()
place()
"""


def test_sums_histograms_and_tallies_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    with Receiver() as receiver:
        env = environment(
            receiver.url, OTEL_METRIC_EXPORT_INTERVAL="60000", OTEL_SERVICE_NAME="clear-metrics"
        )
        ended = run([*RUN, sys.executable, str(path)], env)
        assert (ended.returncode, ended.stderr) == (0, "")
        orders = [point.item.as_int for point in receiver.points if point.metric == "orders"]
        calls = [
            point.item.count for point in receiver.points if point.metric == "kpi.code.function.duration"
        ]
    assert (orders, calls) == ([2], [2])
