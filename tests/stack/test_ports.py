from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi.stack import ports
from otel_kpi.stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
sys.stdin.read()
"""


def test_taken_port_is_refused_and_its_owner_is_named(stack: Any) -> None:
    number = ports.numbers(stack.offset)["otlp_http"]
    with subprocess.Popen(
        [sys.executable, "-c", LISTENER, str(number)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as listener:
        assert listener.stdout is not None
        assert listener.stdout.readline() == "listening\n"

        result = stack.run("up", "--port-offset", str(stack.offset), "--only", "collector")

        assert result.returncode == 1
        assert f"port {number} (collector, OTLP over HTTP) is taken by" in result.stderr
        assert f"process {listener.pid}" in result.stderr
        assert "--port-offset" in result.stderr
        assert "Traceback" not in result.stderr
        assert stack.pids == set()
        listener.communicate()


def test_every_taken_port_is_named_at_once(stack: Any) -> None:
    number = ports.numbers(stack.offset)
    wanted = [number[port.name] for port in ports.PORTS if port.service == "jaeger"]
    with contextlib.ExitStack() as servers:
        for one in wanted:
            servers.enter_context(socket.create_server((ports.HOST, one)))
        with pytest.raises(StackError) as caught:
            ports.require_free(["jaeger"], stack.offset)
    for one in wanted:
        assert f"port {one} (jaeger" in str(caught.value)


def test_offset_beyond_the_range_of_ports_is_refused(stack: Any) -> None:
    result = stack.run("up", "--port-offset", "60000")
    assert result.returncode == 1
    assert (
        result.stderr
        == f"otel-kpi stack: --port-offset 60000 is out of range: 0 to {ports.MAX_OFFSET} are accepted\n"
    )


def test_offset_in_the_environment_counts_like_the_option(stack: Any) -> None:
    assert "--port-offset 60000 is out of range" in stack.run("up", OTEL_KPI_PORT_OFFSET="60000").stderr
    result = stack.run("up", OTEL_KPI_PORT_OFFSET="many")
    assert (result.returncode, result.stderr) == (
        1,
        "otel-kpi stack: OTEL_KPI_PORT_OFFSET=many is not a whole number\n",
    )


def test_no_two_ports_are_the_same() -> None:
    assert len({port.default for port in ports.PORTS}) == len(ports.PORTS)


def test_listener_that_this_process_owns_is_found(eventually: Callable[..., None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        eventually(lambda: f"process {os.getpid()}" in ports.owner(number))
