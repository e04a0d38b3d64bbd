"""Brings the stack up and down."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from otel_kpi.stack import bugsink, build, credentials, members, ports, services, urls
from otel_kpi.stack.errors import StackError
from otel_kpi.stack.http import is_ready
from otel_kpi.stack.locks import locked
from otel_kpi.stack.modules import MODULES
from otel_kpi.stack.settings import SERVICES, StackSettings
from otel_kpi.stack.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otel_kpi.stack.directories import Cache, Home
    from otel_kpi.stack.progress import Progress
    from otel_kpi.stack.services import Service

_READY_SECONDS = 60.0
_POLL_SECONDS = 0.1
_DOWN_SECONDS = 20.0
_LINES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One line of ``otel-kpi stack status``.

    Attributes:
        name: The service.
        state: The supervisor's word for it, or DOWN.
        ready: Whether its health address answers.
        pid: None when it does not run.
        uptime: In seconds; None when it does not run.
        memory: Resident bytes with its children; None when it does not run.
        url: Its health address.
    """

    name: str
    state: str
    ready: bool
    pid: int | None
    uptime: int | None
    memory: int | None
    url: str


def up(home: Home, cache: Cache, wanted: Sequence[str], offset: int | None, progress: Progress) -> urls.Urls:
    """Start services that do not run yet, and wait until all are ready.

    Args:
        home: State of the stack.
        cache: Binaries and environments.
        wanted: Services by name; those that run already stay.
        offset: Added to every default port; None keeps what a running stack has, else 0.
        progress: Told what takes long.

    Raises:
        StackError: A port is taken, something could not be built, or a service does not become ready.
            What this call has started is stopped again.
    """
    home.create()
    with locked(home.lock, lambda: progress.tick("waiting for another otel-kpi that works on this stack")):
        supervisor = Supervisor(home)
        running = {state.name for state in supervisor.states() if state.pid}
        saved = StackSettings.load(home)
        settings = _settle(wanted, offset, saved if running else None, running)
        _end_strays(home, supervisor)
        missing = [name for name in settings.services if name not in running]
        ports.require_free(missing, settings.port_offset)
        password = None
        servers: dict[str, Path] = {
            **build.executables(
                [MODULES[name] for name in settings.services if name in MODULES], cache, progress
            )
        }
        installation = bugsink.install(cache, progress) if "bugsink" in settings.services else None
        if installation is not None:
            servers["bugsink"] = installation.interpreter
            password = bugsink.prepare(home, installation)
        # Building may have taken minutes: ask again, so that the answer is an owner's name and not a failed start.
        ports.require_free(missing, settings.port_offset)
        defined = services.define(settings, home, servers)
        settings.save(home)
        if missing:
            progress.begin(f"starting {', '.join(missing)}")
        try:
            if not supervisor.is_running():
                supervisor.start(defined)
            elif missing:
                supervisor.add(defined)
            if installation is not None:
                bugsink.create_administrator(home, installation)
            _await_ready(home, supervisor, defined, missing, progress)
            if installation is not None:
                _remember_dsn(home, settings)
        except BaseException:
            if not running:
                _stop(home, supervisor)
            raise
        if password is not None:
            progress.say(
                f"Bugsink: sign in as {bugsink.ADMINISTRATOR} with {password} "
                f"(shown once; kept in {home.secrets / 'bugsink_admin_password'})"
            )
        return urls.load(home)


def _settle(
    wanted: Sequence[str], offset: int | None, saved: StackSettings | None, running: set[str]
) -> StackSettings:
    """Join what is asked for with what runs."""
    if saved is not None and offset not in {None, saved.port_offset}:
        raise StackError(
            f"this stack is up with --port-offset {saved.port_offset}; "
            "take it down first, or give the second one its own OTEL_KPI_STACK_HOME"
        )
    return StackSettings(
        services=tuple(name for name in SERVICES if name in wanted or name in running),
        port_offset=saved.port_offset if saved is not None else offset or 0,
        sentry_dsn=saved.sentry_dsn if saved is not None else None,
    )


def _end_strays(home: Home, supervisor: Supervisor) -> None:
    """Services whose supervisor was killed hold their ports and nobody watches them."""
    if not supervisor.is_running() and (strays := members.members(home)):
        members.end(strays, _DOWN_SECONDS)


def _remember_dsn(home: Home, settings: StackSettings) -> None:
    token = credentials.read(home.secrets / "bugsink_token")
    dsn = bugsink.project_dsn(urls.load(home).bugsink_api, token)
    StackSettings(settings.services, settings.port_offset, dsn).save(home)


def _await_ready(
    home: Home, supervisor: Supervisor, defined: Sequence[Service], started: Sequence[str], progress: Progress
) -> None:
    waiting = {service.name: service for service in defined}
    deadline = time.monotonic() + _READY_SECONDS
    while waiting:
        states = {state.name: state for state in supervisor.states()}
        for service in list(waiting.values()):
            state = states.get(service.name)
            if state is None or state.state in {"FATAL", "EXITED", "BACKOFF"}:
                raise StackError(_told(home, service.name, "does not start", state.remark if state else ""))
            if state.state == "RUNNING" and is_ready(service.ready_url):
                del waiting[service.name]
            elif time.monotonic() > deadline:
                raise StackError(_told(home, service.name, f"is not ready after {_READY_SECONDS:.0f} s", ""))
        if waiting:
            progress.tick(f"waiting for {', '.join(waiting)}")
            time.sleep(_POLL_SECONDS)
    if started:
        progress.say(f"started {', '.join(started)} in {progress.seconds:.1f} s")
    else:
        progress.say("already up")


def _told(home: Home, name: str, what: str, remark: str) -> str:
    """An error that ends with the service's own last words."""
    file = home.logs / f"{name}.log"
    lines: list[str] = []
    if file.exists():
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()[-_LINES_SHOWN:]
    return "\n".join([f"{name} {what} ({remark or f'its log: {file}'}):", *lines])


def down(home: Home, progress: Progress) -> int:
    """Stop every process of the stack.

    Returns:
        How many there were.

    Raises:
        StackError: One of them could not be ended.
    """
    if not home.root.exists():
        return 0
    home.create()
    with locked(home.lock, lambda: progress.tick("waiting for another otel-kpi that works on this stack")):
        return _stop(home, Supervisor(home))


def _stop(home: Home, supervisor: Supervisor) -> int:
    found = members.members(home)
    alive = found
    if supervisor.is_running():
        supervisor.shutdown()
        _, alive = psutil.wait_procs(found, timeout=_DOWN_SECONDS)
    # Looked up again: a service may have been restarted in the moment between.
    left = members.end([*alive, *(process for process in members.members(home) if process not in alive)], 5.0)
    if left:
        raise StackError(
            f"these processes could not be ended: {', '.join(str(process.pid) for process in left)}"
        )
    home.socket.unlink(missing_ok=True)
    (home.run / "supervisor.pid").unlink(missing_ok=True)
    return len(found)


def status(home: Home) -> list[ServiceStatus]:
    """How each service of the last ``up`` is."""
    settings = StackSettings.load(home)
    if settings is None:
        return []
    states = {state.name: state for state in Supervisor(home).states()}
    number = ports.numbers(settings.port_offset)
    health = {
        "collector": f"http://{ports.HOST}:{number['collector_health']}",
        "jaeger": f"http://{ports.HOST}:{number['jaeger_health']}/status",
        "prometheus": f"http://{ports.HOST}:{number['prometheus']}/-/ready",
        "bugsink": f"http://{ports.HOST}:{number['bugsink']}/health/ready",
    }
    statuses: list[ServiceStatus] = []
    for name in settings.services:
        state = states.get(name)
        runs = state is not None and state.pid > 0
        statuses.append(
            ServiceStatus(
                name=name,
                state=state.state if state is not None else "DOWN",
                ready=runs and is_ready(health[name]),
                pid=state.pid if state is not None and runs else None,
                uptime=state.uptime if state is not None and runs else None,
                memory=_memory(state.pid) if state is not None and runs else None,
                url=health[name],
            )
        )
    return statuses


def _memory(pid: int) -> int | None:
    try:
        process = psutil.Process(pid)
        return sum(member.memory_info().rss for member in (process, *process.children(recursive=True)))
    except psutil.Error:
        return None


def restart(home: Home, name: str, progress: Progress) -> None:
    """Restart one service and wait until it is ready.

    Raises:
        StackError: The stack does not run, has no such service, or the service does not come back.
    """
    home.create()
    with locked(home.lock, lambda: progress.tick("waiting for another otel-kpi that works on this stack")):
        supervisor = Supervisor(home)
        known = [state.name for state in supervisor.states()]
        if not known:
            raise StackError("the stack is not up; start it with: otel-kpi stack up")
        if name not in known:
            raise StackError(f"{name} is not part of this stack: {', '.join(known)} are")
        supervisor.restart(name)
        deadline = time.monotonic() + _READY_SECONDS
        progress.begin(f"restarting {name}")
        while not any(entry.ready for entry in status(home) if entry.name == name):
            if time.monotonic() > deadline:
                raise StackError(_told(home, name, f"is not ready after {_READY_SECONDS:.0f} s", ""))
            progress.tick(f"waiting for {name}")
            time.sleep(_POLL_SECONDS)
        progress.say(f"restarted {name} in {progress.seconds:.1f} s")


def clean(home: Home, cache: Cache | None, progress: Progress) -> None:
    """Stop the stack and delete its state, and the cache too when it is given."""
    down(home, progress)
    home.remove()
    if cache is not None:
        cache.remove()
