"""The supervisor: its configuration, its process and its remote interface on a Unix socket."""

from __future__ import annotations

import http.client
import importlib.util
import os
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from otel_kpi.stack import credentials
from otel_kpi.stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from otel_kpi.stack.directories import Home
    from otel_kpi.stack.services import Service

# Marks every process of a stack, so that none is overlooked when the supervisor itself has died.
MARK = "OTEL_KPI_STACK_MEMBER_OF"
# A service inherits no more of the caller's environment than this: no OTEL_*, SENTRY_* or PYTHON* of an application.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE")
_START_SECONDS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the supervisor says about a service.

    Attributes:
        name: The service.
        state: In the supervisor's words: RUNNING, STARTING, BACKOFF, EXITED, FATAL, STOPPED.
        pid: 0 when it does not run.
        uptime: In seconds; 0 when it does not run.
        remark: Why it ended, when it ended.
    """

    name: str
    state: str
    pid: int
    uptime: int
    remark: str


def _quoted(value: str) -> str:
    return '"{}"'.format(value.replace("%", "%%").replace('"', '\\"'))


def _program(service: Service, home: Home) -> str:
    environment = ",".join(f"{name}={_quoted(value)}" for name, value in service.environment.items())
    return f"""
[program:{service.name}]
command={shlex.join(service.command).replace("%", "%%")}
environment={environment}
directory={str(home.data / service.name).replace("%", "%%")}
priority={service.priority}
autostart=true
autorestart=true
startsecs=1
startretries=3
stopwaitsecs={service.stop_seconds}
stopasgroup=false
killasgroup=true
redirect_stderr=true
stdout_logfile={str(home.logs / service.name).replace("%", "%%")}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=2
"""


def configuration(services: Iterable[Service], home: Home) -> str:
    """The supervisor's configuration file. It holds no secret, and is for the owner's eyes all the same."""

    def path(value: Path) -> str:
        return str(value).replace("%", "%%")

    # Said in so many words, or the supervisor complains in its log that nobody has dropped root's privileges.
    user = "user=root\n" if os.getuid() == 0 else ""

    return f"""; Written by `otel-kpi stack up`; do not edit, it is written again at each start.
[unix_http_server]
file={path(home.socket)}
chmod=0700

[supervisord]
logfile={path(home.logs / "supervisor.log")}
logfile_maxbytes=5MB
logfile_backups=1
pidfile={path(home.run / "supervisor.pid")}
childlogdir={path(home.logs)}
umask=077
strip_ansi=true
{user}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://{path(home.socket)}
{"".join(_program(service, home) for service in services)}"""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 — the socket is the host
        return _UnixConnection(self._path)


class Supervisor:
    """Speaks with the supervisor of one home."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def _call(self, method: str, *arguments: Any) -> Any:
        server = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(self._home.socket))
        return getattr(server.supervisor, method)(*arguments)

    def is_running(self) -> bool:
        """Whether it answers."""
        if not self._home.socket.exists():
            return False
        try:
            self._call("getState")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False
        return True

    def start(self, services: Iterable[Service]) -> None:
        """Start it, and it starts the services. Returns when it answers.

        Raises:
            StackError: The package is missing, or it does not start.
        """
        if importlib.util.find_spec("supervisor") is None:
            raise StackError("supervisor is missing: pip install 'otel-kpi[stack]'")
        file = self._home.run / "supervisord.conf"
        credentials.write_private(file, configuration(services, self._home))
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        result = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(file)],
            env={**environment, MARK: str(self._home.root)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            raise StackError(f"the supervisor did not start: {(result.stderr or result.stdout).strip()}")
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running():
            if time.monotonic() > deadline:
                raise StackError(f"the supervisor does not answer; see {self._home.logs / 'supervisor.log'}")
            time.sleep(_POLL_SECONDS)

    def add(self, services: Iterable[Service]) -> None:
        """Give a running supervisor its new configuration and start what it does not yet run."""
        file = self._home.run / "supervisord.conf"
        services = list(services)
        credentials.write_private(file, configuration(services, self._home))
        self._call("reloadConfig")
        known = {state.name: state for state in self.states()}
        for service in services:
            if service.name not in known:
                self._call("addProcessGroup", service.name)
            elif known[service.name].state in {"STOPPED", "EXITED", "FATAL"}:
                self._call("startProcess", service.name, False)

    def states(self) -> list[ProcessState]:
        """Every service that it knows; empty when it does not run."""
        try:
            answers = cast("list[Mapping[str, Any]]", self._call("getAllProcessInfo"))
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return []
        return [
            ProcessState(
                name=str(answer["name"]),
                state=str(answer["statename"]),
                pid=int(answer["pid"]),
                uptime=int(answer["now"]) - int(answer["start"]) if answer["pid"] else 0,
                remark=str(answer["spawnerr"]),
            )
            for answer in answers
        ]

    def restart(self, name: str) -> None:
        """Stop a service, and start it again.

        Raises:
            StackError: It could not be started.
        """
        try:
            if any(state.name == name and state.pid for state in self.states()):
                self._call("stopProcess", name, True)
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            raise StackError(f"{name} could not be restarted: {fault.faultString}") from fault

    def shutdown(self) -> None:
        """Ask it to stop every service and then itself; does not wait."""
        try:
            self._call("shutdown")
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return
