"""Which ports the stack needs, and who has them."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psutil

from otel_kpi.stack.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HOST = "127.0.0.1"
_COMMAND_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Port:
    """A listening address of a service.

    Attributes:
        name: Key under which the services' definitions find it.
        service: Who listens.
        default: Number at offset 0.
        purpose: In the words of an error message.
    """

    name: str
    service: str
    default: int
    purpose: str


PORTS = (
    Port("otlp_http", "collector", 4318, "OTLP over HTTP"),
    Port("otlp_grpc", "collector", 4317, "OTLP over gRPC"),
    Port("collector_health", "collector", 13133, "health"),
    Port("collector_metrics", "collector", 8888, "its own metrics"),
    Port("jaeger_query", "jaeger", 16686, "API"),
    Port("jaeger_query_grpc", "jaeger", 16685, "API over gRPC"),
    Port("jaeger_otlp", "jaeger", 14317, "OTLP over gRPC"),
    Port("jaeger_health", "jaeger", 14133, "health"),
    Port("jaeger_metrics", "jaeger", 14888, "its own metrics"),
    Port("prometheus", "prometheus", 9090, "API"),
    Port("bugsink", "bugsink", 8123, "API"),
)
MAX_OFFSET = 65535 - max(port.default for port in PORTS)


def numbers(offset: int) -> Mapping[str, int]:
    """Port numbers by name, each ``offset`` above its default.

    Raises:
        StackError: The offset leaves the range of ports.
    """
    if not 0 <= offset <= MAX_OFFSET:
        raise StackError(f"--port-offset {offset} is out of range: 0 to {MAX_OFFSET} are accepted")
    return {port.name: port.default + offset for port in PORTS}


def _is_free(number: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # A connection in TIME_WAIT does not keep a service from listening, so it is no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, number))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise StackError(f"port {number} may not be used by this user") from error
            return False
    return True


def _listener(number: int) -> int | None:
    """The process that listens on a port, or None when the system does not say."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:
        # macOS shows other users' sockets to root only; our own processes can still be asked one by one.
        connections = None
    if connections is not None:
        for connection in connections:
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == number
            ):
                return connection.pid
        return None
    for process in psutil.process_iter():
        try:
            for connection in process.net_connections(kind="tcp"):
                if (
                    connection.status == psutil.CONN_LISTEN
                    and connection.laddr
                    and connection.laddr.port == number
                ):
                    return process.pid
        except psutil.Error:
            continue
    return None


def owner(number: int) -> str:
    """Name the process behind a port, for example ``python3 (process 123: python3 -m http.server)``."""
    pid = _listener(number)
    if pid is None:
        return "a process that this user may not see"
    try:
        process = psutil.Process(pid)
        name, command = process.name(), " ".join(process.cmdline())
    except psutil.Error:
        return f"process {pid}"
    if len(command) > _COMMAND_SHOWN:
        command = command[: _COMMAND_SHOWN - 1] + "…"
    return f"{name} (process {pid}: {command})" if command else f"{name} (process {pid})"


def require_free(services: Iterable[str], offset: int) -> None:
    """Check that every port of the services can be listened on.

    Raises:
        StackError: One or more are taken; the message names each with its owner.
    """
    wanted = set(services)
    by_name = numbers(offset)
    taken = [
        f"port {by_name[port.name]} ({port.service}, {port.purpose}) is taken by {owner(by_name[port.name])}"
        for port in PORTS
        if port.service in wanted and not _is_free(by_name[port.name])
    ]
    if taken:
        raise StackError("\n".join([*taken, "stop it, or start the stack elsewhere with --port-offset N"]))
