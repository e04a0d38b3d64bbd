"""A session of `otel-kpi dev`: the store, the server, the command, and what is printed; in this order, and back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO
from urllib.parse import quote

from otel_kpi.dev import terminal
from otel_kpi.dev.app import make_app
from otel_kpi.dev.environment import child_environment
from otel_kpi.dev.intake import Intake
from otel_kpi.dev.listening import GRPC_PORT, HTTP_PORT, LOOPBACK, Listening, is_loopback, listen
from otel_kpi.dev.naming import interpreter
from otel_kpi.dev.processes import Command, StartError, on_signals
from otel_kpi.dev.server import Server
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store.files import StoreError, explained
from otel_kpi.dev.store.reading.traces import StoredTraces
from otel_kpi.dev.stores import open_store

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

    from otel_kpi.dev.store import Store
    from otel_kpi.dev.terminal import Mark

_PROBE_SECONDS: Final = 5.0
_FAILED: Final = 1
_EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - compared with, never listened at


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for.

    Attributes:
        command: The program and its arguments; empty only listens.
        port: None is the standard one, or a free one where that is taken.
        host: Beyond loopback only with a token.
        token: Of requests.
        store: The file; None is the default, `.otel-kpi/dev.db`.
        memory: No file.
        keep_bytes: Of the store at most; None is its default.
        keep_seconds: Age of what is kept; None is its default.
        open_page: In the browser.
        stay: Go on when the command has ended.
        quiet: Print nothing but problems.
        as_json: Traces and the summary as lines of JSON on standard output.
    """

    command: tuple[str, ...] = ()
    port: int | None = None
    host: str = LOOPBACK
    token: str = field(default="", repr=False)
    store: Path | None = None
    memory: bool = False
    keep_bytes: int | None = None
    keep_seconds: float | None = None
    open_page: bool = False
    stay: bool = False
    quiet: bool = False
    as_json: bool = False


def run(options: Options) -> int:
    """Run a session to its end.

    Returns:
        The command's exit status, 128 and the signal where one ended it, 127 or 126 where it could not be started; 1
        where the server could not.
    """
    try:
        listening = listen(options.host, options.port)
    except OSError as error:
        return _refuse(f"{options.host}:{options.port or HTTP_PORT}: {error.strerror or error}")
    with contextlib.closing(listening):
        try:
            store, said = open_store(options)
        except (OSError, StoreError, ValueError) as error:
            return _refuse(str(error))
        try:
            return asyncio.run(_session(options, listening, store, said))
        finally:
            with _said_of(store):
                store.close()


async def _session(options: Options, listening: Listening, store: Store, said: str) -> int:
    ended = on_signals()  # before anybody is told that it runs
    store.tell(listening.address)
    intake = Intake(store)
    dev = Dev(
        traces=StoredTraces(store),
        store=store,
        intake=intake,
        address=listening.address,
        command=options.command,
        token=options.token,
    )
    server = Server(make_app(dev), listening.sockets)
    await server.start()
    # What the command writes is its own: a pipe behind it gets nothing of ours.
    out = sys.stdout if options.as_json or not options.command else sys.stderr
    since = terminal.Mark()
    with _said_of(store):
        since = terminal.mark(dev)
    following = asyncio.create_task(
        terminal.follow(dev, out=out, quiet=options.quiet, as_json=options.as_json)
    )
    try:
        if not options.quiet:
            _greet(options, listening, said)
        if options.open_page:
            await asyncio.to_thread(webbrowser.open, page(listening.address, options.token))
        status = await _until_the_end(options, listening, ended)
    finally:
        await server.stop()
        await asyncio.to_thread(intake.close)
        following.cancel()
        await asyncio.wait([following])
    _sum_up(options, dev, since, out)
    return status


async def _until_the_end(options: Options, listening: Listening, ended: asyncio.Event) -> int:
    status = 0
    if options.command:
        here = os.getcwd()  # noqa: PTH109 - a string, as it goes into the environment
        environment, notes = child_environment(
            os.environ, _inside(listening), options.token, here, options.command
        )
        for note in (*notes, *_missing(options.command, environment)):
            _say(note)
        try:
            command = await Command.start(options.command, environment)
        except StartError as error:
            _say(str(error))
            return error.status
        early = asyncio.create_task(_pass_on_early(ended, command))
        status = await command.wait()
        early.cancel()
        if not options.stay:
            return status
        _say(f"the command has ended with status {status}; Ctrl-C ends this, too")
        ended = on_signals()  # those of the command's time were its own
    await ended.wait()
    return status


async def _pass_on_early(ended: asyncio.Event, command: Command) -> None:
    """Tell the command of a signal that came before there was anybody to pass it on to."""
    await ended.wait()
    command.pass_on(signal.SIGTERM)


def page(address: str, token: str) -> str:
    """The address of the page, with the token that a browser then keeps."""
    return f"{address}/?token={quote(token, safe='')}" if token else f"{address}/"


def _inside(listening: Listening) -> str:
    """The address for the command, which is on this machine."""
    host = listening.sockets[0].getsockname()[0]
    return f"http://{LOOPBACK}:{listening.port}" if host == _EVERYWHERE else listening.address


def _greet(options: Options, listening: Listening, store: str) -> None:
    grpc = f", gRPC on {GRPC_PORT} too" if listening.grpc_port == GRPC_PORT else ""
    taken = f" ({HTTP_PORT} is taken)" if options.port is None and listening.port != HTTP_PORT else ""
    _say(f"{page(listening.address, options.token)}{taken} takes OTLP over HTTP and gRPC{grpc}; {store}")
    if not options.command:
        _say(f"send here with OTEL_EXPORTER_OTLP_ENDPOINT={listening.address}; Ctrl-C ends")


def _missing(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """What to install where the command's Python has no otel_kpi."""
    import shutil

    path = environment.get("PATH")
    found = interpreter(shutil.which(command[0], path=path) or command[0])
    python = shutil.which(found, path=path) if found is not None else None
    if python is None or Path(python) == Path(sys.executable):
        return ()
    try:
        probe = subprocess.run(  # noqa: S603 - the command's own Python
            [python, "-c", "import sys, importlib.util as u; sys.exit(u.find_spec('otel_kpi') is None)"],
            env={name: value for name, value in environment.items() if not name.startswith("PYTHON")},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if probe.returncode != 1:
        return ()
    missing = f"{python} has no otel_kpi, so nothing of the command is recorded unless it does so itself"
    return (f"{missing}: {python} -m pip install otel-kpi",)


def _sum_up(options: Options, dev: Dev, since: Mark, out: TextIO) -> None:
    if options.quiet and not options.as_json:
        return
    assert dev.store is not None  # noqa: S101 - a session has one
    with _said_of(dev.store), contextlib.suppress(BrokenPipeError):  # as after `| head`
        terminal.summary(dev, since, out=out, as_json=options.as_json, started=bool(options.command))
        out.flush()


@contextlib.contextmanager
def _said_of(store: Store) -> Generator[None]:
    """Say what is wrong with the store's file, and go on: the status that the command ended with is not to be lost."""
    try:
        yield
    except StoreError as error:
        _say(str(error))
    except sqlite3.Error as error:
        _say(str(explained(store.path, error)))


def _say(text: str) -> None:
    print(f"otel-kpi dev: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a command prints


def _refuse(text: str) -> int:
    _say(text)
    return _FAILED


def configure_logging() -> None:
    """Have what goes wrong in the server said in one line."""
    logging.basicConfig(format="otel-kpi dev: %(message)s", level=logging.WARNING)
    # Of requests that are none it has a line each; whoever sent them gets an answer.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def needs_token(host: str) -> bool:
    """Say whether others on the network would reach it."""
    return not is_loopback(host)
