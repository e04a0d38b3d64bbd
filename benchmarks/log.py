"""CPU for one log record of `logging`, formatted by a handler of the application's and exported, in turns with stock."""

from __future__ import annotations

import argparse
import statistics

from benchmarks.environments import BARE, OTHERS, OURS
from benchmarks.sink import sink
from benchmarks.span import Program, measure

_LOG = """
import io, logging
handler = logging.StreamHandler(io.StringIO())
handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
logging.getLogger().addHandler(handler)
logger = logging.getLogger("shop.orders")
logger.setLevel(logging.INFO)
def record(number):
    logger.info("order %s of %d items", "A7", number, extra={"order_id": "A7", "rows": number})
"""
_SENT = """
from opentelemetry._logs import get_logger_provider
measure(record, lambda: get_logger_provider().force_flush())
"""
_PRINTED = """
measure(record, lambda: None)
"""

PROGRAMS = (
    Program(OURS, _LOG + _SENT),
    Program(OTHERS[0], _LOG + _SENT),
    Program(BARE, _LOG + _PRINTED),
)


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args(arguments)
    with sink() as address:
        figures: dict[str, list[float]] = {program.tool.name: [] for program in PROGRAMS}
        for _ in range(args.runs):
            for program in PROGRAMS:
                figures[program.tool.name].append(measure(program, address, "logs"))
    print(
        f"CPU for a log record, formatted, and exported where there is a tool: median of {args.runs}, in turns"
    )
    for name, values in figures.items():
        print(f"  {name:<22} {statistics.median(values):7.1f} µs")


if __name__ == "__main__":
    main()
