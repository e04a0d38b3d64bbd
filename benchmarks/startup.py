"""Start of a process with everything installed: `<launcher> python -c pass`, in turns.

The figure: at most a quarter of the stock distribution's time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.environments import BARE, OTHERS, OURS, Tool, environment

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS = {"empty process": "pass", "imports FastAPI and SQLAlchemy": "import fastapi, sqlalchemy"}


@dataclass
class Measured:
    """Seconds of a tool, run by run."""

    tool: Tool
    binaries: Path
    seconds: list[float] = field(default_factory=list[float])

    def run(self, program: str) -> None:
        """Run once more."""
        command = [word.format(bin=self.binaries) for word in self.tool.launcher]
        command += [str(self.binaries / "python"), "-c", self.tool.code + program]
        started = time.perf_counter()
        subprocess.run(command, env=_environment(), check=True, capture_output=True)
        self.seconds.append(time.perf_counter() - started)


def _environment() -> dict[str, str]:
    """No Collector is there, and start-up is what is measured: nobody is made to wait for one at exit."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "DD_", "SENTRY_"))
    }
    none = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}
    return kept | none | {"DD_TRACE_ENABLED": "true", "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false"}


def measure(program: str, runs: int, tools: tuple[Tool, ...]) -> list[Measured]:
    """Time each tool `runs` times, in turns, after one run that is not counted."""
    measured = [Measured(tool, environment(tool)) for tool in tools]
    for turn in range(runs + 1):
        for each in measured:
            each.run(program)
            if turn == 0:
                each.seconds.clear()
    return measured


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--stock-only", action="store_true", help="only bare, ours and the stock distribution"
    )
    args = parser.parse_args(arguments)
    tools = (BARE, OURS, *(OTHERS[:1] if args.stock_only else OTHERS))
    results: dict[str, dict[str, float]] = {}
    for title, program in PROGRAMS.items():
        measured = measure(program, args.runs, tools)
        results[title] = {each.tool.name: statistics.median(each.seconds) for each in measured}
        if args.json:
            continue
        stock = results[title][OTHERS[0].name]
        print(f"\n{title}: median of {args.runs}, in turns")
        for name, seconds in results[title].items():
            print(f"  {name:<22} {seconds * 1000:7.0f} ms   {seconds / stock:5.2f} of stock")
    if args.json:
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
