"""RabbitMQ for the tests of its clients: on free ports of loopback, in a temporary directory."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.children import free_port

if TYPE_CHECKING:
    from collections.abc import Generator

# Debian's wrapper on PATH wants to be the user rabbitmq; the program itself does not mind.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
READY_WITHIN = 60.0


@contextlib.contextmanager
def rabbitmq_server() -> Generator[int]:
    """Run it and give its port; skips the test where it is not installed."""
    if not PROGRAM.exists():
        pytest.skip("rabbitmq-server is not installed; Debian has it in the package rabbitmq-server")
    port, distribution, epmd = free_port(), free_port(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="rabbitmq-"))
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ERL_EPMD_PORT": str(epmd),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }
    # Erlang starts its port mapper as a daemon where there is none, and that would stay.
    with (
        subprocess.Popen(["epmd", "-port", str(epmd)]) as mapper,
        subprocess.Popen(
            [str(PROGRAM)],
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
    ):
        try:
            _wait_for(port, process)
            yield port
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            mapper.kill()
            shutil.rmtree(folder, ignore_errors=True)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                if connection.recv(1):
                    return
        except OSError:
            pass
        assert process.poll() is None, "RabbitMQ ended"
        assert time.monotonic() < deadline, "RabbitMQ did not answer"
        time.sleep(0.1)
