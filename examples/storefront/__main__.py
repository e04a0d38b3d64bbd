"""The example system: `serve` runs it until Ctrl-C, `demo` runs it, sends traffic and reads everything back."""

import argparse
import signal
import sys
import uuid
from pathlib import Path

from storefront import services
from storefront.services import System


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="storefront", description=__doc__)
    parser.add_argument("command", choices=["serve", "demo"])
    parser.add_argument("--workers", type=int, default=1, help="processes of the shop")
    parser.add_argument("--launcher", choices=sorted(services.LAUNCHERS), default="otel-kpi")
    parser.add_argument(
        "--bare", action="store_const", const="bare", dest="launcher", help="nothing in front"
    )
    parser.add_argument("--environment", help="deployment.environment.name; demo: a new one for each run")
    parser.add_argument(
        "--port", type=int, default=8001, help="the shop's; the two others have the next ones"
    )
    parser.add_argument(
        "--data", type=Path, default=Path("storefront-data"), help="databases, feeds and logs"
    )
    parser.add_argument("--rate", type=int, default=20, help="demo: requests per second")
    parser.add_argument("--duration", type=int, default=15, help="demo: seconds")
    given = parser.parse_args()
    name = given.environment or (f"demo-{uuid.uuid4().hex[:6]}" if given.command == "demo" else "demo")
    system = System(given.workers, given.launcher, name, given.port, given.data.resolve())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end the services first
    return serve(system) if given.command == "serve" else demo(system, given.rate, given.duration)


def serve(system: System) -> int:
    """Start the system, say where it is, wait for a signal."""
    services.prepare(system)
    try:
        with services.running(system):
            for service in services.services(system):
                print(f"{service.name:24} {service.health.partition('/health')[0]}")
            print(f"logs and databases       {system.data}", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except KeyboardInterrupt:
        pass
    return 0


def demo(system: System, rate: int, duration: int) -> int:
    """Play one round on the running stack, and show what the stores hold of it; 1 when a number is wrong."""
    from dataclasses import replace

    from storefront.audit import round as rounds
    from storefront.audit.stores import Addresses

    addresses = Addresses.of_stack()
    print(f"{rate} requests a second for {duration} s, environment {system.environment} …", flush=True)
    played = rounds.play(replace(system, extra=addresses.variables()), addresses, rate, duration)
    print(rounds.report(played))
    print(f"traces   {addresses.jaeger}/api/traces?service=storefront-shop&limit=5")
    print(f"metrics  {addresses.prometheus}/api/v1/query?query=http_server_request_duration_seconds_count")
    print(f"errors   {addresses.bugsink_api.partition('/api/')[0]}/issues/1/")
    print(f"logs     {addresses.logs_file}")
    return 1 if played.unplanned or any(finding.differences for finding in played.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
