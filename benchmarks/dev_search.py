"""How long a search of the embedded default's store takes: `uv run python benchmarks/dev_search.py [--spans 100000]`.

The figure to hold: any search below 150 ms with 100,000 spans in the store. Each question is asked cold (a new connection,
which has read no page of the file) and seven times more; what the list of traces needs is part of it.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from support.dev import samples  # pyright: ignore[reportMissingImports] - the tests are no package; found by the path above

from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.stores import ReadStore
from otel_kpi.dev.views import Found, TraceQuery

FIGURE_MS = 150.0
MS = 10**6


def questions(traces: StoredTraces) -> dict[str, TraceQuery]:
    """What is asked: broad and rare, early and late, found and not."""
    everything = traces.search(TraceQuery(limit=1)).traces[0].row
    last, middle = 30, everything // 2
    oldest = traces.search(TraceQuery(before=last)).traces[-1]
    rare = (("order.id", str(_order(traces))),)
    return {
        "newest": TraceQuery(),
        "last page": TraceQuery(before=last),
        "service": TraceQuery(service="orders"),
        "service, last page": TraceQuery(service="orders", before=last),
        "service, errors": TraceQuery(service="orders", status="error"),
        "service, operation": TraceQuery(service="gateway", operation="POST /checkout"),
        "service, operation, last page": TraceQuery(
            service="gateway", operation="GET /products", before=last
        ),
        "errors": TraceQuery(status="error"),
        "kind": TraceQuery(kind="client"),
        "kind, last page": TraceQuery(kind="client", before=last),
        "kind that is rare": TraceQuery(kind="producer"),
        "duration of the trace": TraceQuery(min_duration_ns=2_000 * MS),
        "duration of a span": TraceQuery(service="gateway", min_duration_ns=500 * MS),
        "duration that none has": TraceQuery(service="gateway", min_duration_ns=10**15),
        "time, an early minute": TraceQuery(start_ns=oldest.start_ns, end_ns=oldest.start_ns + 60_000 * MS),
        "service in an early minute": TraceQuery(
            service="gateway", start_ns=oldest.start_ns, end_ns=oldest.start_ns + 60_000 * MS
        ),
        "span in an early minute": TraceQuery(
            kind="client", start_ns=oldest.start_ns, end_ns=oldest.start_ns + 60_000 * MS
        ),
        "attribute of many": TraceQuery(attributes=(("http.request.method", "GET"),)),
        "attribute of many, middle": TraceQuery(attributes=(("http.request.method", "GET"),), before=middle),
        "attribute of many, last page": TraceQuery(attributes=(("http.request.method", "GET"),), before=last),
        "attribute of one": TraceQuery(attributes=rare),
        "attribute of none": TraceQuery(attributes=(("user.id", "nobody"),)),
        "attribute of many and duration": TraceQuery(
            attributes=(("http.request.method", "GET"),), min_duration_ns=3_600_000 * MS
        ),
        "two attributes that never meet": TraceQuery(
            attributes=(("http.request.method", "GET"), ("db.system.name", "postgresql"))
        ),
        "attribute of a resource": TraceQuery(attributes=(("service.instance.id", "etl-7c9f"),)),
        "attribute of every resource, last page": TraceQuery(
            attributes=(("host.name", "laptop"),), before=last
        ),
        "error=true": TraceQuery(attributes=(("error", "true"),)),
        "a word of many": TraceQuery(text="select"),
        "a word of many, last page": TraceQuery(text="select", before=last),
        "a beginning": TraceQuery(text="check"),
        "one letter": TraceQuery(text="k"),
        "words that never meet": TraceQuery(text="select checkout"),
        "a word of none": TraceQuery(text="xyzzy"),
    }


def _order(traces: StoredTraces) -> int:
    found = traces.search(TraceQuery(service="orders", limit=1)).traces[0]
    trace = traces.trace(found.trace_id)
    assert trace is not None
    return next(
        int(str(span.attributes["order.id"])) for span in trace.spans if "order.id" in span.attributes
    )


def measured(store: Store, query: TraceQuery, rounds: int) -> tuple[float, float, int, bool]:
    """Milliseconds of the first time and of the slowest of the others, traces found, whether it was cut off."""
    times: list[float] = []
    found = Found([])
    with contextlib.closing(ReadStore(store.path)) as fresh:  # its reader begins with an empty cache
        for _ in range(rounds + 1):
            started = time.perf_counter()
            found = StoredTraces(fresh).search(query)
            times.append((time.perf_counter() - started) * 1_000)
    return times[0], statistics.median(times[1:]), len(found.traces), found.capped


def main(arguments: list[str] | None = None) -> int:
    """Ask everything, and say whether the figure holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--store", type=Path, help="a file to fill, or one that has been filled by this before"
    )
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory:
        path = given.store or Path(directory) / "dev.db"
        filled = path.exists()
        store = Store(path, most_bytes=2**40, most_seconds=10**9)
        if not filled:
            for request in samples.requests(given.spans):
                store.write([request])
        asked = questions(StoredTraces(store))
        worst = 0.0
        print(f"{'':42}{'cold ms':>9}{'warm ms':>9}{'found':>7}")
        for name, query in asked.items():
            cold, warm, found, capped = measured(store, query, given.rounds)
            worst = max(worst, cold, warm)
            print(f"{name:42}{cold:9.1f}{warm:9.1f}{found:7}{'  capped' if capped else ''}")
        store.close()
    print(f"slowest {worst:.1f} ms, figure {FIGURE_MS:.0f} ms")
    return worst >= FIGURE_MS


if __name__ == "__main__":
    sys.exit(main())
