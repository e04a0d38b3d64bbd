"""The same numbers with the example's databases on a real PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from storefront.audit import round as rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from storefront.audit.stores import Addresses
    from storefront.services import System

READY_WITHIN = 30.0


def _programs() -> Path | None:
    """Return the folder of the newest server: Debian keeps it off PATH."""
    if beside := shutil.which("initdb"):
        return Path(beside).resolve().parent
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    """Start a server on loopback, with a generated password; it refuses to run as root, so root lends it a user."""
    if (programs := _programs()) is None:
        pytest.skip("no PostgreSQL server here: apt install postgresql")
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="storefront-pg-"))
    password = secrets.token_urlsafe(16)
    (folder / "password").write_text(password)
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(folder / "password", user)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = user or pwd.getpwuid(os.geteuid()).pw_name
    server: subprocess.Popen[bytes] | None = None
    try:
        subprocess.run(
            [programs / "initdb", "-D", folder / "data", "-U", name, "-A", "scram-sha-256", "-E", "UTF8",
             f"--pwfile={folder / 'password'}", "--no-sync"],
            user=user, cwd=folder, check=True, capture_output=True,
        )  # fmt: skip
        options = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data", *(f"--{k}={v}" for k, v in options.items())],
            user=user, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + READY_WITHIN
        while subprocess.run(
            [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)], check=False
        ).returncode:
            assert server.poll() is None, "the server ended at once"
            assert time.monotonic() < deadline, "the server does not become ready"
            time.sleep(0.1)
        yield f"postgresql://{name}:{password}@127.0.0.1:{port}/postgres"
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)  # "fast": does not wait for clients
            server.wait(READY_WITHIN)
        shutil.rmtree(folder)


@pytest.mark.proof
def test_every_number_is_found_with_postgresql(
    stack: Addresses, new_system: Callable[[int], System], database_url: str
) -> None:
    system = new_system(2)
    system = replace(system, extra=system.extra | {"STOREFRONT_DATABASE_URL": database_url})
    played = rounds.play(system, stack, rate=50, duration=6)
    assert not played.unplanned
    wrong = [f"{finding.store}: {line}" for finding in played.findings for line in finding.differences]
    assert not wrong, "\n".join(wrong)
