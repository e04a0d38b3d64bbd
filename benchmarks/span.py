"""CPU for one span with five attributes, recorded and exported to a server on loopback, in turns.

CPU of the whole process, export thread included; the receiving server is another process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
from dataclasses import dataclass, replace

from benchmarks.environments import OTHERS, OURS, Tool, environment
from benchmarks.sink import sink

SPANS = 20_000

# Spans are recorded in bursts with pauses, as a server records them: no queue overflows, all of them are sent.
_MEASURE = """
import time
def measure(span, flush):
    for number in range(500):
        span(number)
    flush()
    started = time.process_time()
    for burst in range({spans} // 500):
        for number in range(500):
            span(number)
        flush()
    print((time.process_time() - started) / {spans} * 1e6)
"""

_OPENTELEMETRY = """
from opentelemetry import trace
tracer = trace.get_tracer("benchmark")
def span(number):
    attributes = {"http.request.method": "GET", "http.route": "/items/{id}", "http.response.status_code": 200,
                  "item": number, "ratio": 0.5}
    with tracer.start_as_current_span("GET /items/{id}", attributes=attributes):
        pass
measure(span, lambda: trace.get_tracer_provider().force_flush())
"""

_DDTRACE = """
from ddtrace.trace import tracer
def span(number):
    with tracer.trace("GET /items/{id}") as span:
        span.set_tag("http.request.method", "GET")
        span.set_tag("http.route", "/items/{id}")
        span.set_tag("http.response.status_code", "200")
        span.set_metric("item", number)
        span.set_metric("ratio", 0.5)
measure(span, tracer.flush)
"""

_LOGFIRE = """
import logfire
logfire.configure(send_to_logfire=False, console=False)
def span(number):
    with logfire.span("GET /items/{id}", id=number, method="GET", route="/items/{id}", status=200, ratio=0.5):
        pass
measure(span, logfire.force_flush)
"""

_SENTRY = """
import os, sentry_sdk
sentry_sdk.init(os.environ["SINK"].replace("//", "//key@") + "/1", traces_sample_rate=1.0)
def span(number):
    with sentry_sdk.start_transaction(op="http.server", name="GET /items/{id}") as span:
        span.set_data("http.request.method", "GET")
        span.set_data("http.route", "/items/{id}")
        span.set_data("http.response.status_code", 200)
        span.set_data("item", number)
        span.set_data("ratio", 0.5)
measure(span, sentry_sdk.flush)
"""


@dataclass(frozen=True)
class Program:
    """A tool and the program that records spans with it."""

    tool: Tool
    text: str


PROGRAMS = (
    Program(OURS, _OPENTELEMETRY),
    Program(OTHERS[0], _OPENTELEMETRY),
    Program(OTHERS[1], _DDTRACE),
    Program(replace(OTHERS[2], code=""), _LOGFIRE),
    Program(replace(OTHERS[3], code=""), _SENTRY),
)


def measure(program: Program, address: str, signal: str = "traces") -> float:
    """Microseconds of CPU for each item of a program, with one signal on."""
    binaries = environment(program.tool)
    command = [word.format(bin=binaries) for word in program.tool.launcher]
    text = _MEASURE.replace("{spans}", str(SPANS)) + program.text
    env = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "DD_", "SENTRY_"))}
    env |= {
        "SINK": address,
        "OTEL_EXPORTER_OTLP_ENDPOINT": address,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        **{
            f"OTEL_{each.upper()}_EXPORTER": "none"
            for each in ("traces", "metrics", "logs")
            if each != signal
        },
        "DD_TRACE_AGENT_URL": address,
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    }
    ended = subprocess.run(
        [*command, str(binaries / "python"), "-c", text], env=env, check=True, capture_output=True, text=True
    )
    return float(ended.stdout.split()[-1])


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(arguments)
    with sink() as address:
        figures: dict[str, list[float]] = {program.tool.name: [] for program in PROGRAMS}
        for _ in range(args.runs):
            for program in PROGRAMS:
                figures[program.tool.name].append(measure(program, address))
    medians = {name: statistics.median(values) for name, values in figures.items()}
    if args.json:
        print(json.dumps(medians, indent=2))
        return
    stock = medians[OTHERS[0].name]
    print(f"CPU for a span with five attributes, recorded and exported: median of {args.runs}, in turns")
    for name, micros in medians.items():
        print(f"  {name:<22} {micros:7.1f} µs   {micros / stock:5.2f} of stock")


if __name__ == "__main__":
    main()
