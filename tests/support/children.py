"""Child processes as a person starts them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

BIN = Path(sys.executable).parent
INSTRUMENT = (str(BIN / "opentelemetry-instrument"),)
RUN = (str(BIN / "otel-kpi"), "run")


def environment(endpoint: str | None = None, **extra: str) -> dict[str, str]:
    """An environment with nothing of the tester's OpenTelemetry in it."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SENTRY_", "PYTHON"))
    }
    kept["PATH"] = f"{BIN}{os.pathsep}{kept['PATH']}"
    if endpoint is not None:
        kept["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    return kept | extra


def run(
    command: list[str], env: dict[str, str], cwd: Path | None = None, timeout: float = 30.0
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command,
        env=env,
        cwd=cwd,
        timeout=timeout,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: list[str], env: dict[str, str], cwd: Path | None = None
) -> Generator[subprocess.Popen[str]]:
    """A process in a session of its own; what is left of it at the end is killed."""
    with subprocess.Popen(
        command,
        env=env,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def stop(process: subprocess.Popen[str], number: int = signal.SIGTERM, timeout: float = 20.0) -> str:
    """Send a signal and wait for the end; returns what the process printed."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=timeout)
    return output


def get(url: str, timeout: float = 20.0) -> int:
    """The status of a GET, once the server listens; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            with urllib.request.urlopen(url, timeout=timeout) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
