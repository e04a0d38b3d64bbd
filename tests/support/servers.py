"""Real database servers for tests: on a free port of loopback, in a temporary directory, as a plain user.

They are Debian's (`make services`). Where one is missing its tests are skipped, and say which package it is in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from support.children import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

READY_WITHIN = 30.0
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Server:
    """Where a server listens, and who may talk to it."""

    port: int
    user: str = "clerk"
    password: str = "hunter2"
    database: str = "shop"
    host: str = HOST

    @property
    def address(self) -> str:
        """`user:password@host:port/database` of a URL."""
        return f"{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"


def program(name: str, package: str, *patterns: str) -> str:
    """The path of a server's program; Debian keeps some off `PATH`. Skips the test where there is none."""
    found = [shutil.which(name), *(str(path) for each in patterns for path in sorted(Path("/").glob(each)))]
    path = next((each for each in reversed(found) if each), None)
    if path is None:
        pytest.skip(f"{name} is not installed; Debian has it in the package {package}")
    return path


def wait_until(ready: Callable[[], bool]) -> None:
    """Ask until it is so."""
    deadline = time.monotonic() + READY_WITHIN
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextlib.contextmanager
def _directory() -> Generator[tuple[Path, dict[str, Any]]]:
    """A directory of the user who runs the server, and how to become that user: servers refuse to be root."""
    directory = Path(tempfile.mkdtemp(prefix="otel-kpi-"))
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
        shutil.chown(directory, "nobody", "nogroup")
    try:
        yield directory, user
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _running(command: list[str], directory: Path, user: dict[str, Any], ready: Callable[[], bool],
             end: int = signal.SIGTERM) -> Generator[None]:  # fmt: skip
    """A server that answers; it is stopped by its process id."""
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, stdout=output, stderr=output, **user)
    try:
        deadline = time.monotonic() + READY_WITHIN
        while not ready():
            assert process.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(end)
        try:
            process.wait(READY_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def postgresql() -> Generator[Server]:
    """A PostgreSQL server with the database `shop`."""
    folder = "usr/lib/postgresql/*/bin/"
    initdb = program("initdb", "postgresql", f"{folder}initdb")
    postgres = program("postgres", "postgresql", f"{folder}postgres")
    with _directory() as (directory, user):
        server = Server(free_port())
        password = directory / "password"
        password.write_text(server.password)
        password.chmod(0o644)
        subprocess.run(
            [initdb, "-D", str(directory / "data"), "-A", "scram-sha-256", "-U", server.user, "-E", "UTF8",
             f"--pwfile={password}", "-N"],
            check=True, capture_output=True, cwd=directory, timeout=60, **user,
        )  # fmt: skip
        subprocess.run(
            [postgres, "--single", "-D", str(directory / "data"), "postgres"], input=b"CREATE DATABASE shop\n",
            check=True, capture_output=True, cwd=directory, timeout=60, **user,
        )  # fmt: skip
        command = [postgres, "-D", str(directory / "data"), "-p", str(server.port), "-k", str(directory),
                   "-c", f"listen_addresses={HOST}", "-c", "fsync=off"]  # fmt: skip
        # SIGINT is its "fast" shutdown: it does not wait for clients.
        with _running(command, directory, user, lambda: _postgresql_answers(server.port), signal.SIGINT):
            yield server


def _postgresql_answers(port: int) -> bool:
    """Ask for encryption, which needs no user: it answers with one byte once it listens to clients."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1) as connection:
        connection.sendall(bytes.fromhex("0000000804d2162f"))
        return connection.recv(1) in {b"N", b"S"}
    return False


@contextlib.contextmanager
def redis(*options: str) -> Generator[Server]:
    """A Redis server without persistence, with further options."""
    path = program("redis-server", "redis-server")
    with _directory() as (directory, user):
        server = Server(free_port())
        command = [path, "--port", str(server.port), "--bind", HOST, "--save", "", "--appendonly", "no",
                   "--dir", str(directory), *options]  # fmt: skip
        with _running(command, directory, user, lambda: _redis_answers(server.port)):
            yield server


@contextlib.contextmanager
def redis_sentinel(master: Server) -> Generator[Server]:
    """A sentinel that knows `master` as `shop`."""
    path = program("redis-server", "redis-server")
    with _directory() as (directory, user):
        server = Server(free_port())
        file = directory / "sentinel.conf"
        file.write_text(
            f"port {server.port}\nbind {HOST}\ndir {directory}\nsentinel monitor shop {master.host} {master.port} 1\n"
        )
        if user:  # a sentinel writes down what it learns
            shutil.chown(file, user["user"])
        with _running([path, str(file), "--sentinel"], directory, user, lambda: _redis_answers(server.port)):
            yield server


def _redis_answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(5) == b"+PONG"
    return False


@contextlib.contextmanager
def mariadb() -> Generator[Server]:
    """A MariaDB server with the database `shop`."""
    path = program("mariadbd", "mariadb-server", "usr/sbin/mariadbd")
    install = program("mariadb-install-db", "mariadb-server")
    with _directory() as (directory, user):
        server = Server(free_port())
        data = directory / "data"
        subprocess.run(
            [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
             "--skip-test-db", "--innodb-log-file-size=4M"],
            check=True, capture_output=True, cwd=directory, timeout=60, **user,
        )  # fmt: skip
        start = directory / "start.sql"
        start.write_text(
            "CREATE DATABASE shop;\n"
            f"CREATE USER '{server.user}'@'%' IDENTIFIED BY '{server.password}';\n"
            f"GRANT ALL ON *.* TO '{server.user}'@'%';\n"
        )
        start.chmod(0o644)
        command = [path, "--no-defaults", f"--datadir={data}", f"--port={server.port}", f"--bind-address={HOST}",
                   f"--socket={directory / 'socket'}", f"--init-file={start}", "--skip-name-resolve",
                   "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0",
                   f"--pid-file={directory / 'pid'}"]  # fmt: skip
        with _running(command, directory, user, lambda: _mariadb_answers(server.port)):
            yield server


def _mariadb_answers(port: int) -> bool:
    """It greets whom it lets in; the file of its start has run before."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1) as connection:
        return len(connection.recv(5)) > 0
    return False
