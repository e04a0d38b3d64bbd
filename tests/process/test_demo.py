"""`make demo` without make: the example systems on `otel-kpi dev`, ended after some seconds."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.stores import ReadStore

EXAMPLES = Path(__file__).parents[2] / "examples"
KEYS = ["services", "traces", "spans", "errors", "llm_calls", "cost", "pipelines", "stages"]


def demo(folder: Path, *options: str, seconds: str) -> tuple[dict[str, Any], str]:
    with begun(folder, *options, seconds=seconds) as process:
        output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, output + errors
    return json.loads(output.rstrip("\n").rpartition("\n")[2]), output


def begun(folder: Path, *options: str, seconds: str) -> subprocess.Popen[str]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "demo",
            "--port",
            port,
            "--store",
            str(folder / "demo.db"),
            "--data",
            str(folder / "data"),
            *options,
        ],
        env={**kept, "DEMO_SECONDS": seconds, "PYTHONPATH": str(EXAMPLES)},
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.proof
@pytest.mark.timeout(560)
def test_demo_ends_by_itself_and_its_last_line_says_what_came(tmp_path: Path) -> None:
    said, output = demo(tmp_path, seconds="5")
    assert list(said) == KEYS
    assert said["services"] >= 8, output
    assert all(said[key] > 0 for key in KEYS), said

    store = ReadStore(tmp_path / "demo.db")
    services = StoredTraces(store).services()
    [(tables,)] = store.reader().execute(
        "SELECT count(*) FROM trace JOIN str ON str.id = root_name WHERE s GLOB 'CREATE *' OR s GLOB 'ALTER *'"
    )
    store.close()
    assert not tables  # made before anything is observed
    assert len(services) == said["services"]
    assert {"storefront-shop", "coaching-api", "kpi-system", "kpi-system-job"} <= set(services)


@pytest.mark.proof
@pytest.mark.timeout(1_100)
def test_demo_counts_what_came_since_it_began(tmp_path: Path) -> None:
    first, _ = demo(tmp_path, "--only", "kpi_system", seconds="1")
    second, _ = demo(tmp_path, "--only", "kpi_system", seconds="1")
    store = ReadStore(tmp_path / "demo.db")
    [(traces,)] = store.reader().execute("SELECT count(*) FROM trace").fetchall()
    store.close()
    assert first["traces"] + second["traces"] == traces


@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_demo_leaves_nothing_behind_however_it_ends(tmp_path: Path, number: signal.Signals) -> None:
    with begun(tmp_path, "--only", "kpi_system", seconds="600") as process:
        assert process.stdout is not None
        while "runs" not in (line := process.stdout.readline()):
            assert line, "it has ended"
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 4  # the page, two services, and who ends them
        process.send_signal(number)
        process.communicate(timeout=120)
    gone, left = psutil.wait_procs(children, 60)
    assert not left
    assert len(gone) == len(children)
