"""`otel-kpi doctor`: what is wrong with telemetry, and what to type."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from otel_kpi.diagnosis import Report

_RUN = "import sys; from otel_kpi.cli import main; sys.exit(main())"

SUMMARY = "Say what is wrong with telemetry here or in a process, after a real round trip."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--all", action="store_true", help="print every setting and library")
    parser.add_argument("--no-send", action="store_true", help="make no round trip")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S", help="seconds for each answer; default: 5"
    )
    parser.add_argument("--pid", type=int, metavar="PID", help="ask a running process of yours")
    parser.add_argument(
        "command",
        nargs="*",
        metavar="command",
        help="after --: start it with telemetry and report when it has ended",
    )


def main(args: argparse.Namespace) -> int:
    """Print the report; status 1 when something in it is an error."""
    from otel_kpi.diagnosis import NoAnswer, ask, examine_environment

    send = not args.no_send
    try:
        if args.pid is not None:
            reports = [ask(args.pid, send=send, timeout=args.timeout)]
        elif args.command:
            reports = _reports_of(args.command)
        else:
            reports = [examine_environment(os.environ, send=send, timeout=args.timeout)]
    except NoAnswer as error:
        print(f"otel-kpi doctor: {error}", file=sys.stderr)
        return 1
    if args.json:
        found = [report.as_json() for report in reports]
        print(json.dumps(found if args.command else found[0], indent=2))
    else:
        from otel_kpi.diagnosis.text import render

        print("\n\n".join(render(report, everything=args.all) for report in reports))
    return 0 if all(report.healthy for report in reports) else 1


def _reports_of(command: list[str]) -> list[Report]:
    """Start a program and read what each of its processes left when it ended.

    Raises:
        NoAnswer: None left anything.
    """
    from otel_kpi.diagnosis import NoAnswer
    from otel_kpi.diagnosis.report import from_json
    from otel_kpi.process import REPORTS

    with tempfile.TemporaryDirectory(prefix="otel-kpi-doctor-") as folder:
        words = [sys.executable, "-c", _RUN, "run", *command]
        with subprocess.Popen(words, env={**os.environ, REPORTS: folder}) as process:  # noqa: S603 - the user's own command
            while True:
                try:
                    status = process.wait()
                except KeyboardInterrupt:
                    continue  # the program has been interrupted, too, and ends as it likes
                break
        reports = [from_json(json.loads(path.read_bytes())) for path in sorted(Path(folder).glob("*.json"))]
    if not reports:
        raise NoAnswer(
            f"{command[0]} ended with status {status} and no process of it had telemetry: it is no Python program, "
            "or an option such as -I keeps telemetry out"
        )
    return reports
