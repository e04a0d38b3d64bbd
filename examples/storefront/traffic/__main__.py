"""`python -m storefront.traffic`: send the script, or with `--plan` say what it would cause."""

import argparse
import asyncio
import json
import sys

from storefront.ledger import SHOP
from storefront.traffic import driver, script


def main() -> int:
    """Send the traffic and print what came back; 1 when an answer was not the planned one."""
    parser = argparse.ArgumentParser(prog="storefront.traffic", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8001", help="the shop")
    parser.add_argument("--rate", type=int, default=50, help="requests per second")
    parser.add_argument("--duration", type=int, default=60, help="seconds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--plan", action="store_true", help="print what the traffic will cause, and send nothing"
    )
    given = parser.parse_args()
    requests = script.requests(given.rate, given.duration, given.seed)
    plan = script.plan(requests)
    if given.plan:
        print(plan.to_json())
        return 0
    outcome = asyncio.run(driver.send(requests, given.url, given.rate))
    print(
        json.dumps(
            {
                "requests": {"total": outcome.answers.total(), "of": outcome.answers},
                "runs": outcome.run_ids,
                "began": outcome.began,
                "ended": outcome.ended,
                "p50_ms": round(outcome.percentile(50) * 1000, 2),
                "p99_ms": round(outcome.percentile(99) * 1000, 2),
            },
            indent=2,
        )
    )
    wanted = {key: count for key, count in plan.requests.items() if key.startswith(f"{SHOP} ")}
    return 0 if outcome.answers == wanted else 1


if __name__ == "__main__":
    sys.exit(main())
