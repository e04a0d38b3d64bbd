"""The three processes that the example consists of: how they start, when they are ready, how they end."""

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

from coaching_ia.clubs import HOUSE, MEMBERS

SITE, API, PROVIDER = "coaching-site", "coaching-api", "model-provider"
VERSION = "1.0.0"
READY_WITHIN = 60.0  # seconds
STOPPED_WITHIN = 45.0  # seconds


def _keys() -> str:
    return ",".join(f"{club}=sk-{club}-{secrets.token_hex(12)}" for club in (*MEMBERS, HOUSE))


@dataclass(frozen=True, slots=True)
class System:
    """What is to be started.

    Attributes:
        workers: Processes that serve the API.
        environment: Value of `deployment.environment.name`.
        port: The site's; API, OpenAI and Anthropic have the next three.
        data: Folder of the database and of the logs.
        password: Of every member; a new one for each start, as are the two that follow.
        signing_key: Signs the members' tokens.
        provider_keys: Each club's key at the provider.
        extra: Variables for site and API, for example the Collector's address.
    """

    workers: int = 1
    environment: str = "demo"
    port: int = 8201
    data: Path = Path("coaching-data")
    password: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    signing_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    provider_keys: str = field(default_factory=_keys)
    extra: dict[str, str] = field(default_factory=dict[str, str])

    def url(self, number: int = 0) -> str:
        return f"http://127.0.0.1:{self.port + number}"

    @property
    def provider_url(self) -> str:
        return self.url(2)

    def variables(self, service: str) -> dict[str, str]:
        """The environment of a service.

        `OTEL_KPI_GENAI_PROVIDERS` says who answers at the two addresses: what stands at 127.0.0.1 has no price
        otherwise. With the real addresses it is not needed, and `OTEL_KPI_GENAI_STREAM_USAGE` is `on`.
        """
        who = f"127.0.0.1:{self.port + 2}=openai,127.0.0.1:{self.port + 3}=anthropic"
        return {
            **os.environ,
            "OTEL_SERVICE_NAME": service,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version={VERSION},deployment.environment.name={self.environment}",
            "OTEL_KPI_GENAI_PROVIDERS": who,
            # The API asks no stream for its usage: without this line a streamed answer would have no price.
            "OTEL_KPI_GENAI_STREAM_USAGE": f"127.0.0.1:{self.port + 2}",
            "COACHING_DATA": str(self.data.resolve()),
            "COACHING_API_URL": self.url(1),
            "COACHING_OPENAI_URL": f"{self.url(2)}/v1",
            "COACHING_ANTHROPIC_URL": self.url(3),
            "COACHING_PASSWORD": self.password,
            "COACHING_SIGNING_KEY": self.signing_key,
            "COACHING_PROVIDER_KEYS": self.provider_keys,
            **self.extra,
        }


@contextmanager
def running(system: System) -> Generator[dict[str, subprocess.Popen[bytes]]]:
    """Run all for the length of the block; at its end they get SIGTERM and time to finish."""
    (system.data / "logs").mkdir(parents=True, exist_ok=True)
    for old in system.data.glob("*.db*"):
        old.unlink()
    observed = (program("otel-kpi"), "run", sys.executable, "-m")
    host = ("--host", "127.0.0.1", "--no-access-log")
    conf = str(Path(__file__).parent / "site" / "gunicorn_conf.py")
    # Workers import the SDKs of three providers before they answer their parent, which gives them 5 s else.
    workers = ("--workers", str(system.workers), "--timeout-worker-healthcheck", "60")
    api = (*host, "--port", str(system.port + 1), *workers, "coaching_ia.api.app:app")
    site = ("--config", conf, "--bind", f"127.0.0.1:{system.port}", "coaching_ia.site.wsgi")
    models = (str(system.port + 2), str(system.port + 3))
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        # The models belong to somebody else: nothing of theirs is observed.
        _start(processes, system, PROVIDER, sys.executable, "-m", "model_provider", *models)
        _prepare(system)
        _start(processes, system, SITE, *observed, "gunicorn", *site)
        _await_ready(f"{system.provider_url}/health", processes[PROVIDER], system, PROVIDER)
        _start(processes, system, API, *observed, "uvicorn", *api)
        _await_ready(f"{system.url(1)}/api/health/live", processes[API], system, API)
        _await_ready(f"{system.url()}/api/health/live", processes[SITE], system, SITE)
        yield processes
    finally:
        for process in reversed(processes.values()):
            stop(process)


def _prepare(system: System) -> None:
    """Make the site's tables, as a release does: without any telemetry."""
    subprocess.run(
        [sys.executable, "-m", "coaching_ia.site.tables"],
        cwd=Path(__file__).resolve().parents[1],
        env=system.variables(SITE) | {"OTEL_SDK_DISABLED": "true"},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )


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
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed in this environment")
    return found


def _start(processes: dict[str, subprocess.Popen[bytes]], system: System, name: str, *command: str) -> None:
    with (system.data / "logs" / f"{name}.log").open("wb") as log:
        processes[name] = subprocess.Popen(
            command,
            cwd=Path(__file__).resolve().parents[1],
            env=system.variables(name),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this program, which then ends them in order
        )


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
