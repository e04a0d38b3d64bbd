"""Start `otel-kpi dev` and the example systems, send them traffic, and say at the end what came: one line of JSON."""

import argparse
import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from demo import ending
from demo.page import Page
from demo.played import Played

SYSTEMS = ("storefront", "innatural_chatbot", "coaching_ia", "kpi_system")
MOST_SECONDS = 30 * 86_400.0
JOB_WITHIN = 30.0


def main() -> int:
    """Run until Ctrl-C, or for `DEMO_SECONDS`."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    seconds = os.environ.get("DEMO_SECONDS") or None
    parser.add_argument(
        "--seconds",
        type=float,
        default=seconds,
        help="then it ends, though not before each system has had a round of traffic; DEMO_SECONDS",
    )
    parser.add_argument("--store", type=Path, default=Path(".otel-kpi/demo.db"), help="where it is kept")
    parser.add_argument(
        "--data", type=Path, default=Path("demo-data"), help="databases and logs of the systems"
    )
    parser.add_argument(
        "--port", type=int, help="the page's; default: 4318, or a free one where that is taken"
    )
    parser.add_argument("--only", choices=SYSTEMS, action="append", help="these systems alone")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both end the services first
    data: Path = given.data.resolve()
    stop = threading.Event()
    began = time.monotonic()
    with ending.whatever_happens(), Page(given.store.resolve(), given.port) as page:
        systems = importlib.import_module("demo.systems")  # takes its time; the page starts meanwhile

        page.await_ready()
        print(f"{time.monotonic() - began:5.1f} s  {page.address}", flush=True)
        first = threading.Thread(
            target=systems.first_run, args=(data / "first-run", page.variables()), daemon=True
        )
        first.start()
        played = [
            Played(name, systems.SYSTEMS[name](data / name, page.variables()), stop)
            for name in given.only or SYSTEMS
        ]
        try:
            _run(played, began, given.seconds)
        except KeyboardInterrupt:
            print("ending …", flush=True)
        finally:
            # `make` and its shell pass a signal on more than once; the second may leave no service behind.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, _nothing)
            stop.set()
            for each in played:
                each.join()
            first.join(JOB_WITHIN)
        found = page.found()
    for each in played:
        for line in each.problems:
            print(f"{each.name}: {line}", flush=True)
    print(json.dumps(found), flush=True)
    return 1 if any(each.failed for each in played) else 0


def _run(played: list[Played], began: float, seconds: float | None) -> None:
    """Start one after the other: a small machine has its first page sooner."""
    for each in played:
        each.start()
        each.ready.wait()
        if not each.failed:
            print(f"{time.monotonic() - began:5.1f} s  {each.name} runs", flush=True)
    for each in played:
        each.first_round.wait()
    ended = began + (seconds if seconds is not None else MOST_SECONDS)
    if seconds is None:
        print("Ctrl-C ends it", flush=True)
    for each in played:  # none ends by itself unless it fails
        each.join(max(0.0, ended - time.monotonic()))


def _nothing(number: int, frame: object) -> None:
    """A signal that is heard already; unlike SIG_IGN it is not handed on to what is started meanwhile."""


if __name__ == "__main__":
    sys.exit(main())
