"""The two processes that the example consists of: how they start, when they are ready, how they end."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from innatural_chatbot import settings
from innatural_chatbot.service import database

SERVICE, ASSISTANT = "innatural-chatbot", "innatural-assistant"
READY_WITHIN = 60.0  # seconds
STOPPED_WITHIN = 45.0  # seconds


@dataclass(frozen=True, slots=True)
class System:
    """What is to be started.

    Attributes:
        workers: Processes that serve the chat.
        environment: Value of `deployment.environment.name`.
        port: The chat's; the assistant has the next one.
        data: Folder of the database and of the logs.
        extra: Variables for every process, for example the Collector's address or `CHATBOT_REDIS_URL`.
    """

    workers: int = 1
    environment: str = "demo"
    port: int = 8101
    data: Path = Path("chatbot-data")
    extra: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def variables(self, name: str) -> dict[str, str]:
        """The environment of a process. The prefix is the chat's: the assistant is none."""
        prefix = {"OTEL_KPI_CHAT_PREFIX": "innatural_chatbot"} if name == SERVICE else {}
        return {
            **os.environ,
            "OTEL_SERVICE_NAME": name,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version=1.0.0,deployment.environment.name={self.environment}",
            "CHATBOT_DATA": str(self.data.resolve()),
            "CHATBOT_ASSISTANT_URL": f"http://127.0.0.1:{self.port + 1}",
            **prefix,
            **self.extra,
        }


def prepare(system: System) -> None:
    """Make the data folder and empty tables. Without any telemetry."""
    (system.data / "logs").mkdir(parents=True, exist_ok=True)
    for old in system.data.glob("*.db*"):
        old.unlink()
    database.create_tables(settings.load(system.variables(SERVICE)))


@contextmanager
def running(system: System) -> Generator[dict[str, subprocess.Popen[bytes]]]:
    """Run both for the length of the block; at its end they get SIGTERM and time to finish."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, port, workers, app in (
            (ASSISTANT, system.port + 1, 1, "innatural_chatbot.assistant.app:app"),
            (SERVICE, system.port, system.workers, "innatural_chatbot.service.app:app"),
        ):
            with (system.data / "logs" / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(
                    [
                        *(program("otel-kpi"), "run", sys.executable, "-m", "uvicorn", "--no-access-log"),
                        *("--host", "127.0.0.1", "--port", str(port), "--workers", str(workers), app),
                    ],
                    cwd=Path(__file__).resolve().parents[1],
                    env=system.variables(name),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches this program, which then ends them in order
                )
        _await_ready(f"http://127.0.0.1:{system.port + 1}/health", processes[ASSISTANT], system, ASSISTANT)
        _await_ready(f"{system.url}/api/health/live", processes[SERVICE], system, SERVICE)
        yield processes
    finally:
        for process in reversed(processes.values()):
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """Send SIGTERM and wait; what still runs after `STOPPED_WITHIN` is killed with its children."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def program(name: str) -> str:
    """The path of a command, beside this Python or on `PATH`."""
    beside = Path(sys.executable).parent / name
    program = str(beside) if beside.exists() else shutil.which(name)
    if program is None:
        raise SystemExit(f"{name} is not installed in this environment")
    return program


def _await_ready(url: str, process: subprocess.Popen[bytes], system: System, name: str) -> None:
    deadline = time.monotonic() + READY_WITHIN
    log = system.data / "logs" / f"{name}.log"
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)  # asked again until READY_WITHIN is over
    said = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise SystemExit(f"{name} does not answer at {url} (status {process.poll()}):\n{said}")
