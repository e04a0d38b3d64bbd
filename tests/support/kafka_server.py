"""A server that speaks Kafka's protocol, for the tests of clients: `tests/support/kafka`, in memory, one partition."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

SOURCE = Path(__file__).parent / "kafka"


def _program() -> Path:
    """Build it once for each state of its source; skips the test where there is no Go."""
    if shutil.which("go") is None:
        pytest.skip("Go is not installed; the Kafka server of the tests is built with it")
    cache = Path(os.environ.get("OTEL_KPI_CACHE") or Path.home() / ".cache" / "otel-kpi")
    state = hashlib.sha256(b"".join((SOURCE / name).read_bytes() for name in ("main.go", "go.sum")))
    program = cache / "test-kafka" / state.hexdigest()[:16]
    if not program.exists():
        built = program.with_suffix(f".{os.getpid()}")
        built.parent.mkdir(parents=True, exist_ok=True)
        command = ["go", "build", "-o", str(built), "."]
        subprocess.run(
            command, cwd=SOURCE, env={**os.environ, "GOTOOLCHAIN": "local"}, check=True, timeout=600
        )
        built.rename(program)
    return program


@contextlib.contextmanager
def kafka_server() -> Generator[str]:
    """Run it, with a topic "orders", and give its address."""
    with subprocess.Popen([str(_program())], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.kill()
