"""`python -m storefront serve`: the system runs until Ctrl-C or SIGTERM."""

import argparse
import signal
import sys
from pathlib import Path

from storefront import services
from storefront.services import System


def main() -> int:
    """Start the system, say where it is, wait."""
    parser = argparse.ArgumentParser(prog="storefront", description=__doc__)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("--workers", type=int, default=1, help="processes of the shop")
    parser.add_argument("--launcher", choices=sorted(services.LAUNCHERS), default="otel-kpi")
    parser.add_argument("--bare", action="store_const", const="bare", dest="launcher", help="nothing in front")
    parser.add_argument("--environment", default="demo", help="deployment.environment.name")
    parser.add_argument("--port", type=int, default=8001, help="the shop's; the two others have the next ones")
    parser.add_argument("--data", type=Path, default=Path("storefront-data"), help="databases, feeds and logs")
    given = parser.parse_args()
    system = System(given.workers, given.launcher, given.environment, given.port, given.data.resolve())
    signals = {signal.SIGINT, signal.SIGTERM}
    services.prepare(system)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with services.running(system):
            for service in services.services(system):
                print(f"{service.name:24} {service.health.partition('/health')[0]}")
            print(f"logs and databases       {system.data}", flush=True)
            signal.sigwait(signals)
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main())
