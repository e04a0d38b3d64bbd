"""`otel-kpi dev` in a process of its own, and what its store has found."""

import contextlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

from otel_kpi.dev.store.files import StoreError
from otel_kpi.dev.stores import ReadStore, prepare
from otel_kpi.dev.terminal import Mark
from otel_kpi.dev.terminal.session import session

PORT = 4318
READY_WITHIN = 30.0  # seconds
ENDED_WITHIN = 20.0


class Page:
    """Runs for the length of a block.

    Args:
        store: Its file; what is in it stays.
        port: None is the standard one, or a free one where that is taken.
    """

    def __init__(self, store: Path, port: int | None) -> None:
        self._store = store
        self.port = port or _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None
        self._since = Mark()

    def __enter__(self) -> Self:
        prepare(self._store.parent)
        self._since = self._last()
        beside = Path(sys.executable).parent / "otel-kpi"
        program = str(beside) if beside.exists() else shutil.which("otel-kpi")
        if program is None:
            raise SystemExit("otel-kpi is not installed in this environment")
        # Who stays in the terminal sees each trace; a log file has no use for it.
        quiet = [] if sys.stderr.isatty() else ["--quiet"]
        self._process = subprocess.Popen(
            [program, "dev", "--port", str(self.port), "--store", str(self._store), *quiet],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,  # Ctrl-C reaches the demo, which ends the systems first
        )
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def variables(self) -> dict[str, str]:
        """What the systems are told."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.address,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "5000",
            "OTEL_KPI_TRACE_URL": f"{self.address}/traces/{{trace_id}}",
        }

    def found(self) -> dict[str, Any]:
        """What came since the block began.

        `pipelines` are runs; `cost` is a number of the one currency in which the models charge, an object where they
        are several: amounts of two are never added; null where no call has a price.
        """
        store = ReadStore(self._store)
        try:
            seen = session(store.reader(), self._since)
        finally:
            store.close()
        amounts = {currency: float(amount) for currency, amount in seen.cost.items()}
        unknown = (
            None if seen.llm_calls else 0.0
        )  # no call costs nothing, one without a price may cost anything
        return {
            "services": len(seen.services),
            "traces": seen.traces,
            "spans": seen.spans,
            "errors": seen.errors,
            "llm_calls": seen.llm_calls,
            "cost": amounts if len(amounts) > 1 else next(iter(amounts.values()), unknown),
            "pipelines": sum(runs.runs for runs in seen.pipelines),
            "stages": sum(runs.stages for runs in seen.pipelines),
        }

    def _last(self) -> Mark:
        """Where the store stands; a new one is where it begins, and one that cannot be read is told by `dev` itself."""
        store = ReadStore(self._store)
        with contextlib.suppress(StoreError, sqlite3.Error), contextlib.closing(store):
            rows = [
                store.reader().execute(f"SELECT max(id) FROM {table}").fetchone()[0] or 0
                for table in ("trace", "span", "log", "occurrence")
            ]
            return Mark(*rows)
        return Mark()

    def await_ready(self) -> None:
        """Wait until it answers."""
        deadline = time.monotonic() + READY_WITHIN
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                raise SystemExit(f"otel-kpi dev ended with status {self._process.returncode}")
            unready = contextlib.suppress(urllib.error.URLError, TimeoutError, ConnectionError)
            with unready, opener.open(f"{self.address}/api/services", timeout=5):
                return
            time.sleep(0.05)  # asked again until READY_WITHIN is over
        raise SystemExit(f"otel-kpi dev did not answer at {self.address} within {READY_WITHIN:.0f} s")


def _free_port() -> int:
    for port in (PORT, 0):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
            with contextlib.suppress(OSError):
                listener.bind(("127.0.0.1", port))
                return int(listener.getsockname()[1])
    raise SystemExit("no port is free")
