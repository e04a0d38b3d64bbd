"""The example system under load: delay to Jaeger, and its latency with and without a Collector.

    python -m benchmarks.storefront [--rate 50] [--duration 20] [--turns 3]

It starts a stack of its own and removes it. The variants take turns, so that a machine that becomes slower does
not slow down one of them alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

from storefront import services
from storefront.audit import delay
from storefront.audit.stores import Addresses
from storefront.services import System
from storefront.traffic import driver, script

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

PORT_OFFSET = 12_600
SHOP_PORT = 11_801


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to run the same system, and the latencies that it showed, turn by turn, in seconds."""

    name: str
    launcher: str
    variables: dict[str, str]
    p50: list[float] = field(default_factory=list[float])
    p99: list[float] = field(default_factory=list[float])
    exits: list[float] = field(default_factory=list[float])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50, help="requests per second")
    parser.add_argument("--duration", type=int, default=20, help="seconds of each turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder)) as addresses:
        system = System(
            workers=given.workers, environment="benchmark", first_port=SHOP_PORT, data=Path(folder) / "data"
        )
        show_delay(replace(system, extra=addresses.variables()), addresses)
        nobody = f"http://127.0.0.1:{_closed_port()}"
        variants = [
            Variant("Collector present", "otel-kpi", {"OTEL_EXPORTER_OTLP_ENDPOINT": addresses.otlp_http}),
            Variant("Collector absent", "otel-kpi", {"OTEL_EXPORTER_OTLP_ENDPOINT": nobody}),
            Variant("no telemetry", "bare", {}),
        ]
        for turn in range(given.turns):
            for variant in variants if turn % 2 == 0 else reversed(variants):
                play(replace(system, launcher=variant.launcher, extra=variant.variables), variant, given)
    show(variants)


@contextmanager
def running_stack(folder: Path) -> Generator[Addresses]:
    """Run the real services with their state in a folder."""
    os.environ["OTEL_KPI_STACK_HOME"] = str(folder / "stack")
    command = [services.launch("otel-kpi")[0], "stack"]
    try:
        subprocess.run(
            [*command, "up", "--port-offset", str(PORT_OFFSET)], check=True, stdout=subprocess.DEVNULL
        )
        yield Addresses.of_stack()
    finally:
        subprocess.run([*command, "clean"], check=False, stdout=subprocess.DEVNULL)
        del os.environ["OTEL_KPI_STACK_HOME"]


def show_delay(system: System, addresses: Addresses) -> None:
    """Print how long a span takes from its end to a hit in Jaeger."""
    services.prepare(system)
    with services.running(system):
        delays = asyncio.run(delay.measure(system.shop_url, addresses.jaeger, count=200))
    p95 = statistics.quantiles(delays, n=20)[-1]
    print(f"span end to Jaeger, {len(delays)} spans: p50 {statistics.median(delays):.2f} s, ", end="")
    print(f"p95 {p95:.2f} s, longest {max(delays):.2f} s (figure: p95 at most 2 s)")


def play(system: System, variant: Variant, given: argparse.Namespace) -> None:
    """Send the traffic once, and stop the shop under a watch."""
    requests = script.requests(given.rate, given.duration)
    services.prepare(system)
    with services.running(system) as processes:
        outcome = asyncio.run(driver.send(requests, system.shop_url, given.rate))
        begun = time.monotonic()
        services.stop(processes["storefront-shop"])
        variant.exits.append(time.monotonic() - begun)
    variant.p50.append(outcome.percentile(50))
    variant.p99.append(outcome.percentile(99))


def show(variants: list[Variant]) -> None:
    """Print the medians over the turns, and the ratio to the first variant."""
    print(f"{'':20}{'p50 ms':>9}{'ratio':>7}{'p99 ms':>9}{'ratio':>7}{'SIGTERM to exit s':>19}")
    first = variants[0]
    for variant in variants:
        p50, p99 = statistics.median(variant.p50), statistics.median(variant.p99)
        print(
            f"{variant.name:20}{p50 * 1000:>9.2f}{p50 / statistics.median(first.p50):>7.2f}"
            f"{p99 * 1000:>9.1f}{p99 / statistics.median(first.p99):>7.2f}{max(variant.exits):>19.2f}"
        )


def _closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    main()
