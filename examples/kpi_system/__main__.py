"""The KPI system: `serve` runs server and office until Ctrl-C, `demo` plays the script on a stack and reads it back."""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

from kpi_system import audit, services
from kpi_system.services import System
from kpi_system.traffic import driver, script
from kpi_system.traffic.plan import Plan

WITHIN = 30.0  # seconds for Prometheus


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="kpi_system", description=__doc__)
    parser.add_argument("command", choices=["serve", "demo"])
    parser.add_argument("--environment", help="deployment.environment.name; demo: a new one for each run")
    parser.add_argument("--port", type=int, default=8011, help="the server's; the office has the next one")
    parser.add_argument("--data", type=Path, default=Path("kpi-data"), help="databases and logs")
    parser.add_argument("--rounds", type=int, default=3, help="demo: how often the script is played")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name = given.environment or (f"demo-{uuid.uuid4().hex[:6]}" if given.command == "demo" else "demo")
    system = System(name, given.port, given.data.resolve())
    return serve(system) if given.command == "serve" else demo(system, given.rounds)


def serve(system: System) -> int:
    """Start server and office, say where they are and how to get in, wait for a signal."""
    try:
        with services.running(system):
            print(f"{system.url}  office {system.office_url}  KPI_API_KEY={system.key}", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except KeyboardInterrupt:
        pass
    return 0


def demo(system: System, rounds: int) -> int:
    """Play the script on the running stack, run the job, and compare; 1 when a number is wrong."""
    command = [*services.launcher()[:1], "stack", "urls", "--json"]
    urls = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    system = replace(system, extra={"OTEL_EXPORTER_OTLP_ENDPOINT": urls["otlp_http"]})
    plan = script.everything(rounds)
    print(services.run_sweep(system), end="")
    with services.running(system):
        lines = asyncio.run(_played(system, plan, rounds, urls["prometheus"]))
    print(services.run_job(system), end="")
    print(f"{len(plan.counts) + len(plan.least)} series planned, {len(lines)} differ")
    for line in lines:
        print(line)
    print(f"metrics  {urls['prometheus']}/graph?g0.expr=kpi_etl_quality_score")
    print(f"traces   {urls['jaeger']}/api/traces?service={services.JOB}")
    return 1 if lines else 0


async def _played(system: System, plan: Plan, rounds: int, prometheus: str) -> list[str]:
    async with driver.played(system.url, system.office_url, system.key, rounds) as outcome:
        lines = await asyncio.to_thread(audit.agree, plan, prometheus, system.environment, WITHIN)
    if (outcome.answers, outcome.received) != (plan.answers, plan.received):
        lines.append(f"answers: {outcome.answers}, events: {outcome.received}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
