"""From the bytes of requests to the commit, one core: spans a second, bytes of the file, memory; readers meanwhile.

What is sent is the day of a shop, an assistant and a pipeline (`tests/support/dev/samples.py`): for each ten spans one log
record and one point of a metric. It is made by another process, which does not count.

Run: python -m benchmarks.dev_store [--spans N] [--json]
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_kpi.dev.store import Store
    from otel_kpi.dev.telemetry import Request, Signal

SPANS = 300_000
_SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
_HEADER = struct.Struct("<BII")
"""Of a body: its signal, its spans, its bytes."""
_TESTS = Path(__file__).parent.parent / "tests"

_MAKE = """
import struct, sys
sys.path.insert(0, sys.argv[1])
from support.dev import samples
with open(sys.argv[2], "wb") as file:
    for request in samples.requests(int(sys.argv[3]), int(sys.argv[4]), start_ns=int(sys.argv[5])):
        spans = sum(len(group.items) for group in request.groups) if request.signal == "traces" else 0
        body = samples.encode(request)
        file.write(struct.pack("<BII", ("traces", "metrics", "logs").index(request.signal), spans, len(body)) + body)
"""
_QUERIES = {
    "newest": "SELECT id, spans FROM trace ORDER BY id DESC LIMIT 50",
    "service": "SELECT t.id FROM trace_service s JOIN trace t ON t.id = s.trace WHERE s.service = 1 ORDER BY t.id DESC LIMIT 50",
    "models": "SELECT model, count(*), sum(input_tokens) FROM llm_call GROUP BY model",
}


def make(file: Path, spans: int, seed: int = 0) -> None:
    """Bodies of requests with so many spans of a day that begins now, in a process of its own."""
    words = [str(_TESTS), str(file), str(spans), str(seed), str(time.time_ns())]
    subprocess.run([sys.executable, "-c", _MAKE, *words], check=True)


def bodies(file: Path) -> Iterator[tuple[Signal, int, bytes]]:
    """What was made: signal, spans, body."""
    with file.open("rb") as made:
        while header := made.read(_HEADER.size):
            signal, spans, size = _HEADER.unpack(header)
            yield _SIGNALS[signal], spans, made.read(size)


class Reading:
    """Asks what pages ask, all the time, on a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ended = threading.Event()
        self.slowest = dict.fromkeys(_QUERIES, 0.0)
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        reader = self._store.reader()
        while not self._ended.wait(0.05):
            cpu = time.thread_time()
            for name, query in _QUERIES.items():
                began = time.perf_counter()
                reader.execute(query).fetchall()
                self.slowest[name] = max(self.slowest[name], time.perf_counter() - began)
            self.seconds += time.thread_time() - cpu

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def measure(folder: Path, made: Path, *, read: bool) -> dict[str, float]:
    from otel_kpi.dev.intake import MOST_ITEMS, items_of
    from otel_kpi.dev.store import Store
    from otel_kpi.dev.wire import protobuf

    path = folder / "dev.db"
    store = Store(path, most_bytes=2**40)
    reading = Reading(store) if read else None
    seconds, spans, items, sent = 0.0, 0, 0, 0
    began = time.perf_counter()
    batch: list[Request[Any]] = []
    waiting = 0
    for signal, _, body in bodies(made):
        cpu = time.thread_time()
        request = protobuf.decode(signal, body)
        count = items_of(request)
        if batch and waiting + count > MOST_ITEMS:  # as the intake writes them together
            committed = store.write(batch)
            spans, items = spans + committed.spans, items + committed.logs + committed.points
            batch, waiting = [], 0
        batch.append(request)
        waiting += count
        seconds += time.thread_time() - cpu
        sent += len(body)
    committed = store.write(batch)
    spans, items = spans + committed.spans, items + committed.logs + committed.points
    wall = time.perf_counter() - began
    if reading is not None:
        reading.end()
    found = store.reader().execute("SELECT count(*) FROM span").fetchone()[0]
    store.close()
    return {
        "spans": found,
        "other_items": items,
        "spans_per_cpu_second": round(spans / seconds),
        "spans_per_second": round(spans / wall),
        "bytes_per_span": round(path.stat().st_size / spans, 1),
        "sent_bytes_per_span": round(sent / spans, 1),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        **(
            {f"slowest_ms.{name}": round(each * 1e3, 1) for name, each in reading.slowest.items()}
            if reading
            else {}
        ),
    }


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=SPANS)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.measure:
        folder, made, read = options.measure
        print(json.dumps(measure(Path(folder), Path(made), read=read == "reading")))
        return
    results: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="otel-kpi-bench-") as folder:
        made = Path(folder) / "bodies"
        make(made, options.spans)
        for how in ("alone", "reading"):
            own = Path(folder) / how
            own.mkdir()
            command = [sys.executable, "-m", "benchmarks.dev_store", "--measure", str(own), str(made), how]
            results[how] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )
    if options.json:
        print(json.dumps(results))
        return
    for how, figures in results.items():
        print(f"{how}:", ", ".join(f"{name} {value:,}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
