"""CPU of one measurement with three attributes: under the guard on metric attributes, and without, in turns.

Run: python -m benchmarks.measurement [--json] [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_kpi import _compat
from otel_kpi.sdk.cardinality import Budget, CardinalityGuard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MEASUREMENTS = 20_000

Attributes = dict[str, str | int]


def request(route: str) -> Attributes:
    return {"http.request.method": "GET", "http.route": route, "http.response.status_code": 200}


# What a measurement finds: a set that it has had before, a value over the budget, an identifier over the budget.
CASES: dict[str, Sequence[Attributes]] = {
    "known set": [request(f"/items/{{id}}/{number}") for number in range(20)],
    "value over budget": [{**request("/"), "kind": f"k{number}"} for number in range(2_000)],
    "identifier over budget": [{**request("/"), "id": f"{number:032x}"} for number in range(2_000)],
}


def instruments(*, guarded: bool) -> dict[str, Callable[[int, Attributes], None]]:
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    if guarded:
        _compat.guard_measurements(provider, CardinalityGuard(Budget()).admit)
    meter: Any = provider.get_meter("benchmark")
    return {
        "counter.add": meter.create_counter("c").add,
        "histogram.record": meter.create_histogram("h").record,
    }


def nanoseconds(measure: Callable[[int, Attributes], None], sets: Sequence[Attributes]) -> float:
    """CPU of this process for one measurement."""
    start = time.process_time_ns()
    for number in range(MEASUREMENTS):
        measure(1, sets[number % len(sets)])
    return (time.process_time_ns() - start) / MEASUREMENTS


def measure(rounds: int) -> dict[str, dict[str, float]]:
    """The best of several turns, in ns, for each instrument and case."""
    logging.getLogger("otel_kpi").setLevel(
        logging.ERROR
    )  # the warning of a full budget is not what is measured
    results: dict[str, dict[str, float]] = {}
    for instrument in ("counter.add", "histogram.record"):
        for case, sets in CASES.items():
            guarded, stock = (instruments(guarded=each)[instrument] for each in (True, False))
            times = [(nanoseconds(stock, sets), nanoseconds(guarded, sets)) for _ in range(rounds)]
            best = min(each[0] for each in times), min(each[1] for each in times)
            results[f"{instrument}, {case}"] = {"stock_ns": round(best[0]), "guarded_ns": round(best[1])}
    return results


def main(arguments: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (5)")
    options = parser.parse_args(arguments)
    results = measure(options.rounds)
    if options.json:
        print(json.dumps(results))
        return
    print(f"{'one measurement, three attributes':<44}{'stock':>9}{'guarded':>9}{'added':>9}   ns")
    for name, result in results.items():
        stock, guarded = result["stock_ns"], result["guarded_ns"]
        print(f"{name:<44}{stock:>9.0f}{guarded:>9.0f}{guarded - stock:>9.0f}")


if __name__ == "__main__":
    main()
