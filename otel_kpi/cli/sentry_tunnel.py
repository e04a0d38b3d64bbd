"""`otel-kpi sentry-tunnel`: pass errors on from applications that may not leave their network."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

SUMMARY = "Pass envelopes of Sentry on to the projects named here, for applications that may not leave their network."

_DEFAULT = "127.0.0.1:8137"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument(
        "--dsn",
        action="append",
        metavar="DSN",
        help="a project that may be reached; repeat it for more (default: the variable SENTRY_DSN)",
    )
    parser.add_argument(
        "--listen",
        default=_DEFAULT,
        metavar="HOST:PORT",
        help=f"where applications reach it (default {_DEFAULT}: this machine only; port 0 takes a free one)",
    )


def main(args: argparse.Namespace) -> int:
    """Serve until a signal; status 2 when it cannot start."""
    from otel_kpi.sentry.tunnel import Tunnel, project

    logging.basicConfig(format="otel-kpi sentry-tunnel: %(message)s")
    given: list[str] = args.dsn or [dsn for dsn in (os.environ.get("SENTRY_DSN"),) if dsn]
    if not given:
        return _refuse("name a project by --dsn or SENTRY_DSN")
    host, _, port = str(args.listen).rpartition(":")
    try:
        projects = [project(dsn) for dsn in given]
        tunnel = Tunnel((host.strip("[]"), int(port)), projects)
    except (ValueError, OverflowError) as error:
        return _refuse(str(error))
    except OSError as error:
        return _refuse(f"{args.listen}: {error.strerror or error}")

    def stop(*_: Any) -> None:
        # Not in this thread, which is the one that serves.
        threading.Thread(target=tunnel.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    bound = f"http://{host}:{tunnel.server_address[1]}/"
    print(f"OTEL_KPI_SENTRY_TUNNEL={bound}", flush=True)
    for each in projects:
        print(f"leads to {each.url}", flush=True)
    with tunnel:
        tunnel.serve_forever()
    print(f"answered {_counted(tunnel.answers)}", file=sys.stderr)
    return 0


def _counted(answers: dict[int, int]) -> str:
    return ", ".join(f"{status}: {count}" for status, count in sorted(answers.items())) or "no request"


def _refuse(reason: str) -> int:
    print(f"otel-kpi sentry-tunnel: {reason}", file=sys.stderr)
    return 2
