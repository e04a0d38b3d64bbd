"""Nothing that was acknowledged is lost by `kill -9`, and the file is whole."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from support.dev.said import rows

from otel_kpi.dev.store import Store

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """
import sys
from pathlib import Path
from support.dev.said import of, span
from otel_kpi.dev.intake import Intake
from otel_kpi.dev.store import Store

store = Store(Path(sys.argv[1]))
intake = Intake(store)
number = 0
while True:
    trace = f"{sys.argv[2]}-{number:012d}".encode().ljust(16, b".")[:16]
    sent = of("shop", *(span(f"{each}", trace=trace, values={"text": f"word{number} " * 20}) for each in range(20)))
    intake.put(sent).result()
    print(trace.hex(), flush=True)
    number += 1
"""


def _killed(path: Path, round_number: int, seconds: float) -> list[bytes]:
    """Traces that a process has acknowledged before it was killed."""
    child = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(path), f"{round_number}"],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": "tests"},
    )
    assert child.stdout is not None
    with child.stdout:
        first = child.stdout.readline()
        assert first
        time.sleep(seconds)  # any moment is as good as another: that is the point
        child.send_signal(signal.SIGKILL)
        acknowledged = (first + child.stdout.read()).split(b"\n")[:-1]
        child.wait()
    return [bytes.fromhex(each.decode()) for each in acknowledged]


def _holds(path: Path, rounds: int) -> None:
    draw = random.Random(7)
    acknowledged: list[bytes] = []
    for number in range(rounds):
        acknowledged += _killed(path, number, draw.uniform(0.0, 0.3))
        store = Store(path)
        kept = {row[0]: row[1] for row in rows(store, "SELECT trace_id, spans FROM trace")}
        assert [each for each in acknowledged if kept.get(each) != 20] == []
        assert rows(store, "PRAGMA integrity_check") == [("ok",)]
        assert rows(store, "SELECT sum(spans) FROM trace") == rows(store, "SELECT count(*) FROM span")
        assert rows(store, "SELECT id FROM trace WHERE spans <> 20") == []
        (segment,) = rows(store, "SELECT max(id) FROM words")[0]
        indexed = store.reader().execute(
            f"SELECT count(*) FROM fts_{segment} WHERE fts_{segment} MATCH 'shop OR zs1'"
        )
        assert indexed.fetchone()[0] == len(kept) * 20
        store.close()
    assert len(acknowledged) >= rounds


def test_killed_once_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    _holds(tmp_path / "dev.db", 1)


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_killed_twenty_times_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    _holds(tmp_path / "dev.db", 20)
