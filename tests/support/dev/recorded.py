"""What the example systems send, recorded: `examples/demo` on `otel-kpi dev`, thinned, as it would come now.

    PYTHONPATH=tests:examples python -m support.dev.recorded     # make it anew: a minute or two

A proof compares it with what the systems send today.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.store import exporting
from otel_kpi.dev.stores import ReadStore
from otel_kpi.dev.telemetry import Group, Request
from otel_kpi.dev.wire import otlp_json
from otel_kpi.dev.wire.json import NOUNS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from otel_kpi.dev.telemetry import LogRecord, Metric, Point, Signal, Span

ROOT: Final = Path(__file__).parents[3]
FILE: Final = Path(__file__).with_name("demo.jsonl.xz")
SECONDS: Final = 90
"""How long the systems are recorded."""
_ALIKE: Final = 10
"""Traces of one root that are kept."""
_STATEMENTS: Final = 2
"""The same of those that are one statement: a system that makes its tables has hundreds."""
_POINTS: Final = 12
"""Points of a series that are kept."""
_ALONE: Final = 100
"""Log records without a trace that are kept."""
_TIMES: Final = re.compile(rb'(UnixNano":")(\d{19})"')
# Who looks at the pages shall not look at the machine of who recorded.
_CHECKOUT, _DATA, _HOST = "/home/ada/otel-kpi", "/home/ada/.cache/otel-kpi/demo", "laptop"


def bodies(end_ns: int | None = None) -> Iterator[tuple[Signal, bytes]]:
    """The recording as bodies of `POST /v1/<signal>`, JSON, moved in time.

    Args:
        end_ns: When it ends, nanoseconds since 1970; None is now.
    """
    lines = lzma.decompress(FILE.read_bytes()).splitlines()
    last = max(int(found[2]) for line in lines for found in _TIMES.finditer(line))
    by = (time.time_ns() if end_ns is None else end_ns) - last
    for line in lines:
        moved = _TIMES.sub(lambda found: b'%b%d"' % (found[1], int(found[2]) + by), line)
        yield (
            next(signal for signal, nouns in NOUNS.items() if moved.startswith(b'{"%b"' % nouns[0].encode())),
            moved,
        )


def demo(folder: Path, *, seconds: float, port: int) -> dict[str, Any]:
    """Run the example systems on a store in `folder`; what the last line of the demo says."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    places = ["--port", str(port), "--store", str(folder / "demo.db"), "--data", str(folder / "data")]
    ran = subprocess.run(
        [sys.executable, "-m", "demo", *places],
        env={**kept, "DEMO_SECONDS": str(seconds), "PYTHONPATH": str(ROOT / "examples")},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout.rstrip("\n").rpartition("\n")[2])


def record(store: Path, data: Path) -> bytes:
    """The telemetry of a store as a recording.

    Args:
        store: What the demo has filled.
        data: Where its systems kept theirs: its name goes.
    """
    opened = ReadStore(store)
    try:
        written = b"".join(otlp_json.lines(_thinned(opened.reader())))
    finally:
        opened.close()
    for place, said in ((str(data), _DATA), (str(ROOT), _CHECKOUT)):
        written = written.replace(place.encode(), said.encode())
    host = re.escape(platform.node()).encode()
    written = re.sub(rb'"%b((-\d+)?)"' % host, rb'"%b\1"' % _HOST.encode(), written)
    return lzma.compress(written, preset=9 | lzma.PRESET_EXTREME)


def _thinned(reader: sqlite3.Connection) -> Iterator[Request[Any]]:
    kept = set(_traces(reader))
    alone = 0

    def wanted(record: LogRecord) -> bool:
        nonlocal alone
        alone += not record.trace_id
        return record.trace_id in kept if record.trace_id else alone <= _ALONE

    spans: list[tuple[Group[Span], Span]] = []
    logs: list[tuple[Group[LogRecord], LogRecord]] = []
    points: dict[str, list[tuple[Group[Metric], Metric, Point]]] = defaultdict(list)
    for request in exporting.requests(reader):
        for group in request.groups:
            if request.signal == "traces":
                spans += [(group, span) for span in group.items if span.trace_id in kept]
            elif request.signal == "logs":
                logs += [(group, record) for record in group.items if wanted(record)]
            else:
                for metric in group.items:
                    for point in metric.points:
                        series = repr((group.resource, group.scope, metric.name, point.attributes))
                        points[series].append((group, metric, point))
    yield _together("traces", spans)
    yield _together("logs", logs)
    yield _together("metrics", _metrics(points.values(), kept))


def _traces(reader: sqlite3.Connection) -> Iterator[bytes]:
    """Ids of the traces that are kept: of each kind of root as many as are worth looking at."""
    seen: Counter[tuple[int, int]] = Counter()
    for trace_id, root, service, spans, statements in reader.execute(
        "SELECT trace_id, root_name, root_service, spans, statements FROM trace ORDER BY id"
    ):
        seen[root, service] += 1
        if seen[root, service] <= (_STATEMENTS if spans == statements else _ALIKE):
            yield trace_id


def _metrics(
    series: Iterable[list[tuple[Group[Metric], Metric, Point]]], kept: set[bytes]
) -> Iterator[tuple[Group[Metric], Metric]]:
    for points in series:
        every = max(1, -(-len(points) // _POINTS))
        some = [
            replace(point, exemplars=[each for each in point.exemplars if each.trace_id in kept])
            for _, _, point in points[::-every][::-1]
        ]
        group, metric, _ = points[-1]
        yield group, replace(metric, points=some)


def _together(signal: Any, sent: Iterable[tuple[Group[Any], Any]]) -> Request[Any]:
    """One request, with a group for each run of items of one sender."""
    groups = [
        Group(of[0], of[1], [item for _, item in items])
        for of, items in groupby(sent, key=lambda one: (one[0].resource, one[0].scope))
    ]
    return Request(signal, groups)


def main() -> None:
    """Record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="what a demo has filled already")
    parser.add_argument("--data", type=Path, help="where its systems kept theirs")
    given = parser.parse_args()
    if given.store:
        recording = record(given.store, given.data)
    else:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            print(demo(folder, seconds=SECONDS, port=4390))
            recording = record(folder / "demo.db", folder / "data")
    FILE.write_bytes(recording)
    print(f"{FILE.relative_to(ROOT)}: {len(recording) / 1e3:,.0f} kB")


if __name__ == "__main__":
    main()
