"""How soon `otel-kpi dev` is there, and how soon a span is on the page.

Ready is from the start of the process until its port takes a connection and until it has answered a request: without a
store, and with one of 100,000 spans. A span's way is from its end in a process of its own, with the SDK as the session
starts it, to its row on the page that Chromium has open: `/`, drawn by the news of what is committed.

The figures: ready in 1.5 s, on the page within 1 s.

Run: python -m benchmarks.dev_live [--spans N] [--rounds N] [--traces N] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import dev_session

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_S, SEEN_MS = 1.5, 1_000.0

_PROGRAM = """
import sys, time
from opentelemetry import trace

tracer = trace.get_tracer("benchmark")
while not sys.stdin.readline().startswith("go"):
    pass
for number in range(int(sys.argv[1])):
    with tracer.start_as_current_span(f"seen {number}"):
        with tracer.start_as_current_span("inside"):
            time.sleep(0.01)  # its work
    print(f"ended {number} {time.time_ns()}", flush=True)
    time.sleep(0.137)  # not in step with what is sent every 200 ms
"""
_WATCH = """
(() => {
  window.__seen = {};
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    for (const link of document.querySelectorAll("#live-rows .what a")) {
      if (link.textContent.startsWith("seen ")) window.__seen[link.textContent.slice(5)] ??= now;
    }
  };
  new MutationObserver(look).observe(document.getElementById("live-rows"), { childList: true, subtree: true });
})()
"""
_ALL_SEEN = """
(traces) => new Promise((resolve, reject) => {
  const until = performance.now() + 20_000;
  const wait = () => {
    if (Object.keys(window.__seen).length >= traces) return resolve(window.__seen);
    if (performance.now() > until) return reject(new Error(`${Object.keys(window.__seen).length} were seen`));
    setTimeout(wait, 20);
  };
  wait();
})
"""


def ready(stores: Sequence[Path]) -> dict[str, float]:
    """Seconds until a session takes connections and answers: the middle of some starts, and the slowest."""
    accepted: list[float] = []
    answered: list[float] = []
    for store in stores:
        with dev_session.session(store) as running:
            accepted.append(running.accepted)
            answered.append(running.ready)
    return {
        "accepted_s": statistics.median(accepted),
        "answered_s": statistics.median(answered),
        "slowest_s": max(answered),
    }


def on_the_page(folder: Path, store: Path, traces: int) -> list[float]:
    """Milliseconds from the end of each root span to its row on the page."""
    program = folder / "program.py"
    program.write_text(_PROGRAM, "utf-8")
    with (
        dev_session.session(store, sys.executable, str(program), str(traces)) as running,
        dev_session.chromium() as page,
    ):
        page.goto(running.url)
        page.locator("#live-state.live").wait_for()
        page.evaluate(_WATCH)
        assert running.process.stdin is not None
        assert running.process.stdout is not None
        running.process.stdin.write(b"go\n")
        running.process.stdin.flush()
        ended: dict[str, int] = {}
        while len(ended) < traces and (line := running.process.stdout.readline()):
            word, number, moment = line.split()
            if word == b"ended":
                ended[number.decode()] = int(moment)
        seen: dict[str, float] = page.evaluate(_ALL_SEEN, traces)
        page.goto("about:blank")
    return sorted(seen[number] - moment / 1e6 for number, moment in ended.items())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--spans", type=int, default=dev_session.SPANS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--traces", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="otel-kpi-bench-") as name:
        folder = Path(name)
        day = folder / "day.db"
        dev_session.fill_day(day, options.spans)
        results["ready"] = {
            "no store yet": ready([folder / f"new{number}" / "dev.db" for number in range(options.rounds)]),
            f"{options.spans:,} spans": ready([day] * options.rounds),
        }
        ways = on_the_page(folder, day, options.traces)
        results["on the page"] = {
            "traces": len(ways), "p50_ms": statistics.median(ways), "p95_ms": ways[int(len(ways) * 0.95)], "slowest_ms": ways[-1],
        }  # fmt: skip
    if options.json:
        print(json.dumps(results))
        return 0
    for title, each in results["ready"].items():
        print(
            f"ready, {title}: a connection after {each['accepted_s']:.2f} s, an answer after {each['answered_s']:.2f} s, "
            f"slowest {each['slowest_s']:.2f} s; figure {READY_S} s"
        )
    way = results["on the page"]
    print(
        f"from a span's end to its row on the page: {way['p50_ms']:.0f} ms, p95 {way['p95_ms']:.0f} ms, slowest "
        f"{way['slowest_ms']:.0f} ms of {way['traces']}; figure {SEEN_MS:.0f} ms"
    )
    good = all(each["answered_s"] <= READY_S for each in results["ready"].values())
    return 0 if good and way["slowest_ms"] <= SEEN_MS else 1


if __name__ == "__main__":
    sys.exit(main())
