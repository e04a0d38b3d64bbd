"""The example: `serve` runs it until Ctrl-C, `demo` runs it, sends traffic and compares what there is to see."""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx

from innatural_chatbot import services
from innatural_chatbot.audit import found
from innatural_chatbot.services import System
from innatural_chatbot.traffic import driver, script

AGREES_WITHIN = 30.0  # seconds


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="innatural_chatbot", description=__doc__)
    parser.add_argument("command", choices=["serve", "demo", "plan"])
    parser.add_argument(
        "--workers", type=int, default=1, help="processes of the chat; more than one needs Redis"
    )
    parser.add_argument(
        "--port", type=int, default=8101, help="the chat's; the provider of models has the next one"
    )
    parser.add_argument("--data", type=Path, default=Path("chatbot-data"), help="database and logs")
    parser.add_argument("--conversations", type=int, default=40, help="demo and plan: how many")
    given = parser.parse_args()
    run = uuid.uuid4().hex[:6]
    if given.command == "plan":
        planned = script.plan(script.conversations(given.conversations, run))
        for name, totals in sorted(planned.series.items()):
            for key, amount in sorted(totals.items()):
                print(f"{name}{json.dumps(dict(key), ensure_ascii=False)} {amount}")
        return 0
    system = System(given.workers, f"demo-{run}", given.port, given.data.resolve())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end the services first
    return serve(system) if given.command == "serve" else demo(system, given.conversations, run)


def serve(system: System) -> int:
    """Start the system, say where it is, wait for a signal."""
    services.prepare(system)
    try:
        with services.running(system):
            print(f"chat        {system.url}/docs")
            print(f"metrics     {system.url}/metrics")
            print(f"monitoring  {system.url}/monitoring", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except KeyboardInterrupt:
        pass
    return 0


def demo(system: System, conversations: int, run: str) -> int:
    """Send the conversations on the running stack, and compare; 1 when a number is wrong."""
    command = [services.program("otel-kpi"), "stack", "urls", "--json"]
    urls = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    try:
        httpx.get(f"{urls['prometheus']}/-/ready", trust_env=False).raise_for_status()
    except httpx.HTTPError as error:
        raise SystemExit(f"Prometheus does not answer ({error}): otel-kpi stack up") from None
    system = replace(system, extra={"OTEL_EXPORTER_OTLP_ENDPOINT": urls["otlp_http"]})
    talk = script.conversations(conversations, run)
    planned = script.plan(talk)
    if not os.environ.get("CHATBOT_REDIS_URL"):
        planned.series.pop("innatural_chatbot_redis_operations_total", None)
    services.prepare(system)
    with services.running(system):
        lines = asyncio.run(driver.send(talk, system.url))
        for name, ask in {
            "Prometheus": lambda: found.differences(
                planned, found.in_prometheus(urls["prometheus"], system.environment, planned.series)
            ),
            "/metrics": lambda: found.differences(planned, found.in_text(system.url, planned.series)),
            "/api/metrics/summary": lambda: found.summary_differences(planned, found.in_summary(system.url)),
            "the provider's bill": lambda: found.bill_differences(
                system.provider_url, urls["prometheus"], system.environment
            ),
        }.items():
            wrong = agree(ask)
            print(f"{name:22} {'as planned' if not wrong else f'{len(wrong)} wrong'}")
            lines += wrong
    for line in lines:
        print(line)
    return 1 if lines else 0


def agree(ask: Callable[[], list[str]], within: float = AGREES_WITHIN) -> list[str]:
    """Ask until nothing differs, or the time is up; returns what differs then."""
    deadline = time.monotonic() + within
    while (lines := ask()) and time.monotonic() < deadline:
        time.sleep(0.5)  # stores have no event for "arrived"; `within` ends it
    return lines


if __name__ == "__main__":
    sys.exit(main())
