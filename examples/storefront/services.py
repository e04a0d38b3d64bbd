"""The processes that the system consists of: how they start, when they are ready, how they end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from storefront import settings
from storefront.etl import feed
from storefront.ledger import ASSISTANT, BACKOFFICE, SHOP
from storefront.shop import database

HERE = Path(__file__).resolve().parent
VERSION = "1.0.0"
LAUNCHERS = {
    "otel-kpi": ("otel-kpi", "run"),
    "opentelemetry-instrument": ("opentelemetry-instrument",),
    "bare": (),
}
READY_WITHIN = 60.0  # seconds
STOPPED_WITHIN = 45.0  # seconds; a service waits for the requests and jobs that it has begun


@dataclass(frozen=True, slots=True)
class System:
    """What is to be started.

    Attributes:
        workers: Processes that serve the shop.
        launcher: One of `LAUNCHERS`: what stands in front of each command.
        environment: Value of `deployment.environment.name`.
        first_port: The shop's; the back office and the assistant have the next two.
        data: Folder of databases, feeds and logs.
        extra: Variables for every process, for example the Collector's address.
    """

    workers: int = 1
    launcher: str = "otel-kpi"
    environment: str = "demo"
    first_port: int = 8001
    data: Path = Path("storefront-data")
    extra: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def shop_url(self) -> str:
        return self.url(0)

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.first_port + number}"

    def variables(self) -> dict[str, str]:
        """The environment that all processes share."""
        return {
            **os.environ,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.version={VERSION},deployment.environment.name={self.environment}",
            "STOREFRONT_DATA": str(self.data.resolve()),
            "STOREFRONT_BACKOFFICE_URL": self.url(1),
            "STOREFRONT_ASSISTANT_URL": self.url(2),
            "STOREFRONT_LAUNCHER": " ".join(launch(self.launcher)),
            **self.extra,
        }


@dataclass(frozen=True, slots=True)
class Service:
    """One service: a command in a folder, and where it says that it is ready."""

    name: str
    command: tuple[str, ...]
    folder: Path
    health: str


def launch(launcher: str) -> tuple[str, ...]:
    """Return the launcher's command, the program found beside this Python or on `PATH`."""
    if not (words := LAUNCHERS[launcher]):
        return ()
    beside = Path(sys.executable).parent / words[0]
    program = str(beside) if beside.exists() else shutil.which(words[0])
    if program is None:
        raise SystemExit(
            f"{words[0]} is not installed in this environment; --launcher bare starts without it"
        )
    return (program, *words[1:])


def services(system: System) -> list[Service]:
    """Return the services in the order in which they start; they end in the opposite one."""
    python = sys.executable
    uvicorn = (
        python,
        "-m",
        "uvicorn",
        "--host",
        "127.0.0.1",
        "--timeout-keep-alive",
        "75",
        "--no-access-log",
    )
    return [
        Service(
            ASSISTANT,
            (*uvicorn, "--port", str(system.first_port + 2), "storefront.assistant.app:app"),
            HERE.parent,
            f"{system.url(2)}/health",
        ),
        Service(
            BACKOFFICE,
            (python, "-m", "gunicorn", "--bind", f"127.0.0.1:{system.first_port + 1}", "backoffice.wsgi"),
            HERE / "backoffice",
            f"{system.url(1)}/health/",
        ),
        Service(
            SHOP,
            (
                *uvicorn,
                "--port",
                str(system.first_port),
                "--workers",
                str(system.workers),
                "storefront.shop.app:app",
            ),
            HERE.parent,
            f"{system.url(0)}/health",
        ),
    ]


def prepare(system: System) -> None:
    """Make the data folder: empty tables with their first rows, feeds. Without any telemetry."""
    data = system.data.resolve()
    (data / "logs").mkdir(parents=True, exist_ok=True)
    for old in data.glob("*.db*"):
        old.unlink()
    variables = system.variables()
    feed.write(data / "feeds")
    database.create_tables(settings.load(variables))
    with (data / "logs" / "migrate.log").open("wb") as log:
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--no-input"],
            cwd=HERE / "backoffice",
            env=variables | {"OTEL_SDK_DISABLED": "true"},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=True,
        )


@contextmanager
def running(system: System) -> Generator[dict[str, subprocess.Popen[bytes]]]:
    """Run the services for the length of the block; at its end they get SIGTERM and time to finish."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    variables = system.variables()
    _refuse_taken_ports(system)
    try:
        for service in services(system):
            with (system.data / "logs" / f"{service.name}.log").open("wb") as log:
                processes[service.name] = subprocess.Popen(
                    [*launch(system.launcher), *service.command],
                    cwd=service.folder,
                    env=variables | {"OTEL_SERVICE_NAME": service.name},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C reaches this program, which then ends them in order
                )
        for service in services(system):
            _await_ready(service, processes[service.name], system.data / "logs" / f"{service.name}.log")
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


def _refuse_taken_ports(system: System) -> None:
    # Whoever has the port might answer /health as well, and the traffic would go there.
    for port in range(system.first_port, system.first_port + 3):
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                raise SystemExit(f"port {port} is taken; --port chooses three others") from None


def _await_ready(service: Service, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"{service.name} ended with status {process.returncode}:\n{_tail(log)}")
        try:
            with urllib.request.urlopen(service.health, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.1)  # asked again until READY_WITHIN is over
    raise SystemExit(
        f"{service.name} did not answer at {service.health} within {READY_WITHIN:.0f} s:\n{_tail(log)}"
    )


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
