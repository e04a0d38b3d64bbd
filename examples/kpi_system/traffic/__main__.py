"""`python -m kpi_system.traffic`: send the script, or with `--plan` say what it would cause."""

import argparse
import asyncio
import json
import os
import sys

from kpi_system.traffic import driver, script


def main() -> int:
    """Send the traffic and print what came back; 1 when an answer was not the planned one."""
    parser = argparse.ArgumentParser(prog="kpi_system.traffic", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8011", help="the server")
    parser.add_argument("--office", default="http://127.0.0.1:8012", help="the office")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plan", action="store_true", help="print what it will cause, and send nothing")
    given = parser.parse_args()
    plan = script.everything(given.rounds)
    if given.plan:
        print(plan.to_json())
        return 0
    outcome = asyncio.run(_play(given, os.environ["KPI_API_KEY"]))
    print(json.dumps({"answers": outcome.answers, "received": outcome.received}, indent=2))
    return 0 if (outcome.answers, outcome.received) == (plan.answers, plan.received) else 1


async def _play(given: argparse.Namespace, key: str) -> driver.Outcome:
    async with driver.played(given.url, given.office, key, given.rounds) as outcome:
        return outcome


if __name__ == "__main__":
    sys.exit(main())
