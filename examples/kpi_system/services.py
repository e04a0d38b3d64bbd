"""The processes of the system: the server and the office, and what runs once."""

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
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

VERSION = "1.0.0"
SERVER, OFFICE = "kpi-system", "kpi-system-office"
JOB, FIREWALL = "kpi-system-job", "kpi-system-firewall"
READY_WITHIN = 60.0  # seconds
STOPPED_WITHIN = 30.0  # seconds


@dataclass(frozen=True, slots=True)
class System:
    """What is to be started.

    Attributes:
        environment: Value of `deployment.environment.name`.
        port: The server's; the next one is the office's.
        data: Folder of the databases and the logs.
        key: What lets a client in; a new one for each start.
        extra: Variables for every process, for example the Collector's address.
    """

    environment: str = "demo"
    port: int = 8011
    data: Path = Path("kpi-data")
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    extra: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def office_url(self) -> str:
        return f"http://127.0.0.1:{self.port + 1}"

    def variables(self, service: str) -> dict[str, str]:
        """The environment of a service."""
        return {
            **os.environ,
            "OTEL_SERVICE_NAME": service,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version={VERSION},deployment.environment.name={self.environment}",
            "KPI_DATA": str(self.data.resolve()),
            "KPI_API_KEY": self.key,
            "PYTHONPATH": os.pathsep.join(
                each for each in (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")) if each
            ),
            **self.extra,
        }


@contextmanager
def running(system: System) -> Generator[None]:
    """Run server and office for the length of the block; at its end they get SIGTERM and time to finish."""
    system.data.mkdir(parents=True, exist_ok=True)
    bind = ("--host", "127.0.0.1", "--port", str(system.port))
    server = ("uvicorn", *bind, "--no-access-log", "kpi_system.server:app")
    conf = str(Path(__file__).parent / "office" / "gunicorn_conf.py")
    bind = ("--bind", f"127.0.0.1:{system.port + 1}")
    office = ("gunicorn", "--config", conf, *bind, "kpi_system.office.wsgi")
    _prepare(system)
    with ExitStack() as stack:
        begun = [
            (stack.enter_context(_begun(system, SERVER, server)), system.url, SERVER),
            (stack.enter_context(_begun(system, OFFICE, office)), system.office_url, OFFICE),
        ]
        for process, url, service in begun:
            _await_ready(url, process, _log(system, service))
        yield


def _prepare(system: System) -> None:
    """Make the office's tables, as a release does: without any telemetry."""
    subprocess.run(
        [sys.executable, "-m", "kpi_system.office.tables"],
        env=system.variables(OFFICE) | {"OTEL_SDK_DISABLED": "true"},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    )


def run_job(system: System) -> str:
    """Run the job to its end, and return what it printed.

    Raises:
        subprocess.CalledProcessError: It ended with another status than 0.
    """
    return _run_once(system, JOB, "kpi_system.job", "--data", str(system.data))


def run_sweep(system: System) -> str:
    """Run the firewall's sweep as `run_job` runs the job."""
    return _run_once(system, FIREWALL, "kpi_system.firewall")


@contextmanager
def _begun(system: System, service: str, module: tuple[str, ...]) -> Generator[subprocess.Popen[bytes]]:
    with _log(system, service).open("wb") as output:
        process = subprocess.Popen(
            [*launcher(), sys.executable, "-m", *module],
            env=system.variables(service),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def _run_once(system: System, service: str, *module: str) -> str:
    command = [*launcher(), sys.executable, "-m", *module]
    ended = subprocess.run(command, env=system.variables(service), capture_output=True, text=True, check=True)
    return ended.stdout


def _log(system: System, service: str) -> Path:
    return system.data / f"{service}.log"


def stop(process: subprocess.Popen[bytes]) -> int:
    """Send SIGTERM and wait; what still runs after `STOPPED_WITHIN` is killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def launcher() -> tuple[str, ...]:
    """Return what stands in front of each command, found beside this Python or on `PATH`."""
    beside = Path(sys.executable).parent / "otel-kpi"
    program = str(beside) if beside.exists() else shutil.which("otel-kpi")
    if program is None:
        raise SystemExit("otel-kpi is not installed in this environment")
    return (program, "run")


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{log.stem} ended with status {process.returncode}:\n{log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"{url}/api/health/live", timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)  # asked again until READY_WITHIN is over
    raise SystemExit(f"{log.stem} did not answer within {READY_WITHIN:.0f} s:\n{log.read_text()[-2000:]}")
