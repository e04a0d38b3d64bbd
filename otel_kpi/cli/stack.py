"""`otel-kpi stack`: the real services on this machine."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import sys
import time
from collections import deque
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from otel_kpi.stack.directories import Home
    from otel_kpi.stack.urls import Urls

SUMMARY = "run Collector, Jaeger, Prometheus and Bugsink on this machine"

_SERVICES = ("collector", "jaeger", "prometheus", "bugsink")
_OFFSET = "OTEL_KPI_PORT_OFFSET"
_FOLLOW_SECONDS = 0.2
_MIB = 1 << 20
_NOT_UP = 3  # as `systemctl status` has it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the commands below ``otel-kpi stack``."""
    commands = parser.add_subparsers(dest="stack_command", metavar="COMMAND", required=True)
    services = ",".join(_SERVICES)

    up = commands.add_parser("up", help="start the services and wait until they are ready")
    up.add_argument("--only", type=_names, metavar="NAMES", help=f"of {services}; default: all")
    up.add_argument("--without", type=_names, default=(), metavar="NAMES", help="all but these")
    up.add_argument(
        "--port-offset", type=int, metavar="N", help=f"add N to every port; default: ${_OFFSET}, else 0"
    )

    commands.add_parser("build", help="build what `up` would build, and start nothing")

    commands.add_parser("down", help="stop every process of the stack")

    status = commands.add_parser("status", help="show what runs; exit status 0 when all is ready, else 3")
    status.add_argument("--json", action="store_true", help="for programs")

    logs = commands.add_parser("logs", help="show what the services have written")
    logs.add_argument("service", nargs="?", choices=[*_SERVICES, "supervisor"], help="default: all")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with what is written from now on")
    logs.add_argument("-n", "--lines", type=int, default=20, metavar="N", help="of each service; default: 20")

    restart = commands.add_parser("restart", help="restart one service")
    restart.add_argument("service", choices=_SERVICES)

    urls = commands.add_parser("urls", help="show where to send telemetry and where to look at it")
    urls.add_argument("--json", action="store_true", help="for programs")

    clean = commands.add_parser("clean", help="stop the stack and delete its state")
    clean.add_argument("--cache", action="store_true", help="and the built binaries")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if unknown := [name for name in names if name not in _SERVICES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: {', '.join(_SERVICES)} are accepted")
    return names


def main(args: argparse.Namespace) -> int:
    """Run the command; errors are one message on standard error and exit status 1."""
    if os.name != "posix":
        print("otel-kpi stack: runs on Linux and macOS only", file=sys.stderr)
        return 1
    if importlib.util.find_spec("supervisor") is None:
        print("otel-kpi stack: supervisor is missing: pip install 'otel-kpi[stack]'", file=sys.stderr)
        return 1
    from otel_kpi.stack.errors import StackError

    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "up": _up,
        "build": _build,
        "down": _down,
        "status": _status,
        "logs": _logs,
        "restart": _restart,
        "urls": _urls,
        "clean": _clean,
    }
    # A build that is told to end takes the compilers with it.
    signal.signal(signal.SIGTERM, _exit)
    try:
        return commands[args.stack_command](args)
    except StackError as error:
        print(f"otel-kpi stack: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("otel-kpi stack: interrupted", file=sys.stderr)
        return 130


def _exit(number: int, _: object) -> None:
    sys.exit(128 + number)


def _up(args: argparse.Namespace) -> int:
    from otel_kpi.stack import launcher
    from otel_kpi.stack.directories import Cache, Home
    from otel_kpi.stack.progress import Progress

    wanted = [name for name in args.only or _SERVICES if name not in args.without]
    if not wanted:
        print("otel-kpi stack: --only and --without leave no service", file=sys.stderr)
        return 1
    offset: int | None = args.port_offset
    if offset is None and (text := os.environ.get(_OFFSET)):
        if not text.isdigit():
            print(f"otel-kpi stack: {_OFFSET}={text} is not a whole number", file=sys.stderr)
            return 1
        offset = int(text)
    home, cache = Home.from_environment(), Cache.from_environment()
    found = launcher.up(home, cache, wanted, offset, Progress(sys.stderr))
    _print_urls(found, home)
    return 0


def _build(_: argparse.Namespace) -> int:
    from otel_kpi.stack import bugsink, build
    from otel_kpi.stack.directories import Cache
    from otel_kpi.stack.modules import MODULES
    from otel_kpi.stack.progress import Progress

    cache, progress = Cache.from_environment(), Progress(sys.stderr)
    build.executables(MODULES.values(), cache, progress)
    bugsink.install(cache, progress)
    return 0


def _print_urls(found: Urls, home: Home) -> None:
    from otel_kpi.stack.settings import StackSettings

    settings = StackSettings.load(home) or StackSettings()
    lines = {
        "collector": [
            ("OTLP over HTTP", found.otlp_http),
            ("OTLP over gRPC", found.otlp_grpc),
            ("log records", found.logs_file),
        ],
        "jaeger": [("Jaeger", found.jaeger)],
        "prometheus": [("Prometheus", found.prometheus)],
        "bugsink": [
            ("Bugsink", found.bugsink),
            ("SENTRY_DSN", found.sentry_dsn or "(after the first `otel-kpi stack up`)"),
        ],
    }
    for service in settings.services:
        for title, value in lines[service]:
            print(f"{title:<16}{value}")


def _down(_: argparse.Namespace) -> int:
    from otel_kpi.stack import launcher
    from otel_kpi.stack.directories import Home
    from otel_kpi.stack.progress import Progress

    ended = launcher.down(Home.from_environment(), Progress(sys.stderr))
    print(f"stopped {ended} processes" if ended else "nothing was running")
    return 0


def _status(args: argparse.Namespace) -> int:
    from otel_kpi.stack import launcher
    from otel_kpi.stack.directories import Home
    from otel_kpi.stack.progress import elapsed

    entries = launcher.status(Home.from_environment())
    if args.json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
    elif not entries:
        print("the stack has not been started here")
    else:
        print(f"{'SERVICE':<12}{'STATE':<10}{'READY':<7}{'PID':<9}{'UP':<15}{'MEMORY':<10}HEALTH")
        for entry in entries:
            up = elapsed(entry.uptime) if entry.uptime is not None else "-"
            memory = f"{entry.memory // _MIB} MiB" if entry.memory is not None else "-"
            ready = "yes" if entry.ready else "no"
            print(
                f"{entry.name:<12}{entry.state:<10}{ready:<7}{entry.pid or '-':<9}{up:<15}{memory:<10}{entry.url}"
            )
    return 0 if entries and all(entry.ready for entry in entries) else _NOT_UP


def _logs(args: argparse.Namespace) -> int:
    from otel_kpi.stack.directories import Home

    directory = Home.from_environment().logs
    files = [directory / f"{args.service}.log"] if args.service else sorted(directory.glob("*.log"))
    files = [file for file in files if file.exists()]
    if not files:
        print(f"otel-kpi stack: there are no logs in {directory}", file=sys.stderr)
        return 1
    prefixed = len(files) > 1
    ends = {file: _print_tail(file, args.lines, prefixed=prefixed) for file in files}
    try:
        while args.follow:
            for file in files:
                ends[file] = _print_news(file, ends[file], prefixed=prefixed)
            sys.stdout.flush()
            time.sleep(_FOLLOW_SECONDS)  # as `tail -f` does where nothing tells of changes
    except KeyboardInterrupt:
        pass  # how one stops to follow
    return 0


def _print_tail(file: Path, lines: int, *, prefixed: bool) -> int:
    with file.open(encoding="utf-8", errors="replace") as stream:
        for line in deque(stream, maxlen=max(lines, 0)):
            _print_line(file, line, prefixed=prefixed)
        return stream.tell()


def _print_news(file: Path, position: int, *, prefixed: bool) -> int:
    """Print the whole lines after a position; a shorter file has been rotated and is read from its start."""
    try:
        size = file.stat().st_size
    except FileNotFoundError:
        return 0
    if size < position:
        position = 0
    with file.open("rb") as stream:
        stream.seek(position)
        news = stream.read(size - position)
    whole = news[: news.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines(keepends=True):
        _print_line(file, line, prefixed=prefixed)
    return position + len(whole)


def _print_line(file: Path, line: str, *, prefixed: bool) -> None:
    prefix = f"{file.stem:<12}" if prefixed else ""
    print(f"{prefix}{line}", end="" if line.endswith("\n") else "\n")


def _restart(args: argparse.Namespace) -> int:
    from otel_kpi.stack import launcher
    from otel_kpi.stack.directories import Home
    from otel_kpi.stack.progress import Progress

    launcher.restart(Home.from_environment(), args.service, Progress(sys.stderr))
    return 0


def _urls(args: argparse.Namespace) -> int:
    from otel_kpi.stack import urls
    from otel_kpi.stack.directories import Home

    home = Home.from_environment()
    found = urls.load(home)
    if args.json:
        print(json.dumps(asdict(found), indent=2))
    else:
        _print_urls(found, home)
    return 0


def _clean(args: argparse.Namespace) -> int:
    from otel_kpi.stack import launcher
    from otel_kpi.stack.directories import Cache, Home
    from otel_kpi.stack.progress import Progress

    home = Home.from_environment()
    cache = Cache.from_environment() if args.cache else None
    launcher.clean(home, cache, Progress(sys.stderr))
    print(f"removed {home.root}" + (f" and {cache.root}" if cache else ""))
    return 0
