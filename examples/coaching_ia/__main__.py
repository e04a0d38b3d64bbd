"""The coach: `serve` runs it until Ctrl-C, `demo` plays the script on a stack and compares, `plan` says what will be."""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import uuid
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
from model_provider import audit

from coaching_ia import services
from coaching_ia.audit import planned
from coaching_ia.services import System
from coaching_ia.traffic import driver, script

WITHIN = 30.0  # seconds for Prometheus


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="coaching_ia", description=__doc__)
    parser.add_argument("command", choices=["serve", "demo", "plan"])
    parser.add_argument("--workers", type=int, default=1, help="processes of the API")
    parser.add_argument(
        "--port", type=int, default=8201, help="the site's; API and both providers have the next three"
    )
    parser.add_argument("--data", type=Path, default=Path("coaching-data"), help="database and logs")
    parser.add_argument("--sessions", type=int, default=40, help="demo and plan: how many")
    parser.add_argument("--clock", action="store_true", help="put the time before the instructions of a plan")
    given = parser.parse_args()
    clock = {"COACHING_CLOCK": "1"} if given.clock else {}
    talk = script.sessions(given.sessions)
    if given.command == "plan":
        for key, count in sorted(script.plan(talk, given.workers).calls.items()):
            print(*key, count)
        return 0
    system = System(
        given.workers, f"demo-{uuid.uuid4().hex[:6]}", given.port, given.data.resolve(), extra=clock
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end the services first
    return serve(system) if given.command == "serve" else demo(system, talk)


def serve(system: System) -> int:
    """Start the system, say where it is, wait for a signal."""
    try:
        with services.running(system):
            print(f"site      {system.url()}/api/v1   password of every member: {system.password}")
            print(f"api       {system.url(1)}/docs")
            print(f"the bill  {system.provider_url}/ledger", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except KeyboardInterrupt:
        pass
    return 0


def demo(system: System, talk: list[script.Session]) -> int:
    """Play the sessions on the running stack, and compare; 1 when a number is wrong."""
    command = [services.program("otel-kpi"), "stack", "urls", "--json"]
    urls = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    try:
        httpx.get(f"{urls['prometheus']}/-/ready", trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise SystemExit(f"Prometheus does not answer ({error}): otel-kpi stack up") from None
    system = replace(system, extra={**system.extra, "OTEL_EXPORTER_OTLP_ENDPOINT": urls["otlp_http"]})
    with services.running(system):
        lines = asyncio.run(driver.play(talk, system.url(), system.password))
        bill = audit.bill(system.provider_url)
        expected = audit.billed(bill)
        for name, wanted in {
            "the provider's bill": expected,
            "the script": planned(script.plan(talk, system.workers)),
        }.items():
            wrong = audit.agree(
                lambda wanted=wanted: audit.differences(
                    wanted, audit.in_prometheus(urls["prometheus"], system.environment)
                ),
                WITHIN,
            )
            print(f"Prometheus and {name:20} {'agree' if not wrong else f'{len(wrong)} differ'}")
            lines += wrong
    for (tenant, model, currency), amount in sorted(expected[audit.COST].items()):
        print(f"  {tenant:8} {model:24} {amount:.9f} {currency}")
    untold = sum(Decimal(line["untold"]) for line in bill)
    print(f"billed for streams that were left, which no client is told: {untold:f} USD")
    print(f"more: otel-kpi cost --since 1h --by model,tenant --environment {system.environment}")
    for line in lines:
        print(line)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
