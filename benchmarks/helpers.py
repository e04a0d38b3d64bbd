"""CPU of what an application calls: one record of each helper, a stage, ten million rows; beside what others take.

Ours runs under `opentelemetry-instrument` of this environment and sends to a server on loopback; CPU of the whole
process, collection and export included, less that of an empty loop. prometheus_client counts in a process of its own,
opentelemetry-sdk in the environment of stock OpenTelemetry; all in turns.

Run: python -m benchmarks.helpers [--json] [--runs N]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.environments import OTHERS, environment
from benchmarks.sink import sink

_MEASURE = """
import json, sys, time
figures = {}
def measure(name, call, times, flush=lambda: None):
    for _ in range(100):
        call()
    flush()
    started = time.process_time()
    for _ in range(times):
        pass
    empty = time.process_time() - started
    started = time.process_time()
    for burst in range(10):
        for _ in range(times // 10):
            call()
        flush()
    figures[name] = (time.process_time() - started - empty) / times * 1e6
"""

_OURS = """
import otel_kpi
from opentelemetry import metrics, trace
from otel_kpi import analytics, chat, etl, security, timed, websocket
flush = lambda: otel_kpi.flush(5)
N = 100_000
empty = timed("empty")(lambda: None)
with etl.run("marketing"):
    with etl.stage("validate") as stage:
        measure("etl stage.read", lambda: stage.read(1), N, flush)
        measure("etl stage.rejected", lambda: stage.rejected(1, "missing_email"), N, flush)
        measure("etl.quality_score", lambda: etl.quality_score(97.2), N, flush)
measure("analytics.data_points", lambda: analytics.data_points("marketing", 10), N, flush)
measure("websocket.published", lambda: websocket.published("kpi", "marketing"), N, flush)
measure("websocket.delivery_duration", lambda: websocket.delivery_duration("kpi", 0.002), N, flush)
measure("security.sanitized", lambda: security.sanitized("html"), N, flush)
measure("security.rate_limited", lambda: security.rate_limited("api", allowed=True), N, flush)
measure("chat.message", lambda: chat.message("user", "ar"), N, flush)
measure("timed", empty, N, flush)
counter = metrics.get_meter("benchmark").create_counter("c")
histogram = metrics.get_meter("benchmark").create_histogram("h")
labels = {"model_name": "marketing", "stage": "load", "status": "valid"}
measure("counter.add of OpenTelemetry", lambda: counter.add(1, labels), 50_000, flush)
measure("histogram.record of OpenTelemetry", lambda: histogram.record(1, labels), 50_000, flush)
tracer = trace.get_tracer("benchmark")
def span():
    with tracer.start_as_current_span("load", attributes=labels):
        pass
def stage():
    with etl.stage("load"):
        pass
with etl.run("marketing"):
    measure("span", span, 5_000, flush)
    measure("etl.stage", stage, 5_000, flush)
    rows = range(10_000_000)
    flush()
    started = time.process_time()
    for start in range(0, 10_000_000, 1000):
        rows[start : start + 1000]
    empty_loop = time.process_time() - started
    started = time.process_time()
    with etl.batches(rows, size=1000, stage="validate") as batches:
        for batch in batches:
            batches.count(valid=990, invalid=10)
            batches.errors({"missing_email": 10})
    flush()
    figures["ten million rows, seconds"] = time.process_time() - started - empty_loop
print(json.dumps(figures))
"""

_STOCK = """
from opentelemetry import metrics, trace
labels = {"model_name": "marketing", "stage": "load", "status": "valid"}
counter = metrics.get_meter("benchmark").create_counter("c")
histogram = metrics.get_meter("benchmark").create_histogram("h")
measure("counter.add of OpenTelemetry", lambda: counter.add(1, labels), 50_000)
measure("histogram.record of OpenTelemetry", lambda: histogram.record(1, labels), 50_000)
tracer = trace.get_tracer("benchmark")
def span():
    with tracer.start_as_current_span("load", attributes=labels):
        pass
measure("span", span, 5_000, trace.get_tracer_provider().force_flush)
print(json.dumps(figures))
"""

_PROMETHEUS = """
from prometheus_client import Counter, Histogram
counter = Counter("c", "c", ["model_name", "stage", "status"])
histogram = Histogram("h", "h", ["model_name", "stage", "status"])
bound = counter.labels("marketing", "load", "valid")
measure("counter with labels", lambda: counter.labels("marketing", "load", "valid").inc(), 100_000)
measure("bound counter", bound.inc, 100_000)
measure("histogram with labels", lambda: histogram.labels("marketing", "load", "valid").observe(1), 100_000)
print(json.dumps(figures))
"""

_NO_SDK = """
from otel_kpi import etl, websocket
measure("websocket.published", lambda: websocket.published("kpi", "marketing"), 100_000)
def stage():
    with etl.stage("load"):
        pass
measure("etl.stage", stage, 20_000)
print(json.dumps(figures))
"""


def measure(address: str) -> dict[str, dict[str, float]]:
    """Microseconds of each call, by who is measured."""
    here = Path(sys.executable).parent
    stock = environment(OTHERS[0])
    variables = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    variables |= {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}
    programs = {
        "otel-kpi": ([str(here / "opentelemetry-instrument"), str(here / "python")], _OURS),
        "otel-kpi without an SDK": ([str(here / "python")], _NO_SDK),
        "stock OpenTelemetry": ([str(stock / "opentelemetry-instrument"), str(stock / "python")], _STOCK),
        "prometheus_client": ([str(here / "python")], _PROMETHEUS),
    }
    figures: dict[str, dict[str, float]] = {}
    for name, (command, text) in programs.items():
        ended = subprocess.run(
            [*command, "-c", _MEASURE + text], env=variables, check=True, capture_output=True, text=True
        )
        figures[name] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    with sink() as address:
        runs = [measure(address) for _ in range(args.runs)]
    medians = {
        who: {what: statistics.median(run[who][what] for run in runs) for what in runs[0][who]}
        for who in runs[0]
    }
    if args.json:
        print(json.dumps(medians, indent=2))
        return
    print(f"CPU of one call in µs, collection and export included: median of {args.runs}, in turns")
    for who, figures in medians.items():
        print(f"  {who}")
        for what, value in figures.items():
            print(f"    {what:<36} {value:8.2f}")


if __name__ == "__main__":
    main()
