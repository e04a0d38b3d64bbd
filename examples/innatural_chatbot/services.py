"""The two processes that the example consists of: how they start, when they are ready, how they end."""

import os
import secrets
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
from innatural_chatbot.shops import SHOPS

SERVICE, PROVIDER = "innatural-chatbot", "model-provider"
READY_WITHIN = 60.0  # seconds
STOPPED_WITHIN = 45.0  # seconds


def _keys() -> str:
    return ",".join(f"{shop}=sk-{shop}-{secrets.token_hex(12)}" for shop in SHOPS)


@dataclass(frozen=True, slots=True)
class System:
    """What is to be started.

    Attributes:
        workers: Processes that serve the chat.
        environment: Value of `deployment.environment.name`.
        port: The chat's; the provider of models has the next one.
        data: Folder of the database and of the logs.
        extra: Variables for every process, for example the Collector's address or `CHATBOT_REDIS_URL`.
        provider_keys: Each shop's key at the provider.
    """

    workers: int = 1
    environment: str = "demo"
    port: int = 8101
    data: Path = Path("chatbot-data")
    extra: dict[str, str] = field(default_factory=dict[str, str])
    provider_keys: str = field(default_factory=_keys)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def provider_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    def variables(self, name: str) -> dict[str, str]:
        """The environment of a process.

        `OTEL_KPI_GENAI_PROVIDERS` says who answers at 127.0.0.1: what stands there has no price otherwise. With the
        real address it is not needed.
        """
        return {
            **os.environ,
            "OTEL_SERVICE_NAME": name,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version=1.0.0,deployment.environment.name={self.environment}",
            "CHATBOT_DATA": str(self.data.resolve()),
            "CHATBOT_OPENAI_URL": f"{self.provider_url}/v1",
            "CHATBOT_PROVIDER_KEYS": self.provider_keys,
            "OTEL_KPI_CHAT_PREFIX": "innatural_chatbot",
            "OTEL_KPI_GENAI_PROVIDERS": f"127.0.0.1:{self.port + 1}=openai",
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
    serve = (sys.executable, "-m", "uvicorn", "--no-access-log", "--host", "127.0.0.1")
    # Workers import SDKs before they answer their parent, which gives them 5 s else.
    workers = ("--workers", str(system.workers), "--timeout-worker-healthcheck", "60")
    chat = ("--port", str(system.port), *workers, "innatural_chatbot.service.app:app")
    commands = {
        # The models belong to somebody else: nothing of theirs is observed.
        PROVIDER: (sys.executable, "-m", "model_provider", str(system.port + 1)),
        SERVICE: (program("otel-kpi"), "run", *serve, *chat),
    }
    try:
        for name, command in commands.items():
            with (system.data / "logs" / f"{name}.log").open("wb") as log:
                processes[name] = subprocess.Popen(
                    command,
                    cwd=Path(__file__).resolve().parents[1],
                    env=system.variables(name),
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches this program, which then ends them in order
                )
        _await_ready(f"{system.provider_url}/health", processes[PROVIDER], system, PROVIDER)
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
