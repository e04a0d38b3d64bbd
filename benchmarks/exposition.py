"""What an answer and a snapshot cost: `python -m benchmarks.exposition [series]`.

One process with so many attribute sets, a fifth of them histograms of 14 bounds, the rest counters; three siblings
with as many. CPU time of this process, best of several rounds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource

from otel_kpi.exposition import processes, summary_json, text
from otel_kpi.exposition.figures import figures_of
from otel_kpi.exposition.folder import Folder
from otel_kpi.exposition.snapshot import Snapshot, decode, encode
from otel_kpi.exposition.source import OnDemandReader, Source
from otel_kpi.exposition.totals import Member, add_up

if TYPE_CHECKING:
    from collections.abc import Callable

_ROUNDS = 20
_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def _best(action: Callable[[], object]) -> float:
    """Milliseconds of CPU."""
    best = float("inf")
    for _ in range(_ROUNDS):
        before = time.process_time()
        action()
        best = min(best, time.process_time() - before)
    return best * 1000.0


def main(series: int) -> None:
    """Print the costs."""
    reader = OnDemandReader()
    provider = MeterProvider([reader], Resource({"service.name": "shop"}), shutdown_on_exit=False)
    meter = provider.get_meter("shop")
    durations = meter.create_histogram(
        "http.server.request.duration", "s", explicit_bucket_boundaries_advisory=_BOUNDS
    )
    counters = [meter.create_counter(f"shop.things.{number}") for number in range(10)]
    for number in range(series):
        attributes = {"http.route": f"/route/{number // 50}", "http.request.method": "GET", "shard": number}
        if number % 5:
            counters[number % 10].add(1, attributes)
        else:
            durations.record(0.1, attributes)
    source = Source(provider, reader, exported=False)
    own = source.families()
    lines = len(text.written(add_up([Member(source.identity(), own, 0.0)]), openmetrics=False).splitlines())
    snapshot = Snapshot((Member(source.identity(), own, 0.0),))
    body = encode(snapshot)
    print(f"{series} attribute sets, {lines} lines, a snapshot of {len(body):,} bytes; ms of CPU")
    with tempfile.TemporaryDirectory() as name:
        root = processes.root()
        if root is None:
            raise SystemExit("this system does not say which processes there are")
        # Nobody has these starts: the siblings have ended, and are not folded before "look for the others".
        folders = [
            Folder(Path(name), "shop", "host", root.key, f"{root.pid}-{root.start + number}")
            for number in range(4)
        ]
        for each in folders:
            each.write(Member(source.identity(), own, time.time()))
        member = Member(source.identity(), own, time.time())
        figures: dict[str, Callable[[], object]] = {
            "read and translate": source.families,
            "nothing has changed": lambda: source.families() == own,
            "write a snapshot": lambda: folders[0].write(member),
            "read a snapshot": lambda: decode(body),
            "/metrics of one": lambda: text.written(
                add_up([Member(source.identity(), source.shown(), 0.0)]), openmetrics=False
            ),
            "/metrics of four": lambda: text.written(
                add_up([Member(source.identity(), source.shown(), 0.0), *folders[0].others()]),
                openmetrics=False,
            ),
            "OpenMetrics of four": lambda: text.written(
                add_up([Member(source.identity(), source.shown(), 0.0), *folders[0].others()]),
                openmetrics=True,
            ),
            "summary of four": lambda: summary_json.written(
                figures_of(add_up([Member(source.identity(), source.shown(), 0.0), *folders[0].others()]))
            ),
        }
        figures["fold three that have ended"] = lambda: (
            [each.write(member) for each in folders[1:]],
            folders[0].fold(),
        )
        for what, action in figures.items():
            print(f"  {what:22} {_best(action):7.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
