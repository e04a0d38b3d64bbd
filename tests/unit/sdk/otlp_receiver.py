"""A receiver that does what a test scripts: real sockets, one thread, no HTTP library.

Each connection is handled in a thread of its own. A script is called with the connection and the request
that was read from it; it writes whatever bytes it likes, or closes, or waits.
"""

from __future__ import annotations

import socket
import threading
import time
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from otel_kpi.sdk.transport import Endpoint, Outcome, Transport

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import TracebackType


PROTOBUF = "application/x-protobuf"


@dataclass(frozen=True)
class Request:
    """What came in: header names in lower case, the body as it was sent."""

    line: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> bytes:
        if self.headers.get("content-encoding") == "gzip":
            return zlib.decompress(self.raw, wbits=31)
        return self.raw


def answer(status: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a whole response; header names with `_` for `-`."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass
class Connection:
    """One accepted connection."""

    socket: socket.socket
    receiver: Receiver

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.socket.close()

    def wait(self, seconds: float) -> bool:
        """Wait, but no longer than the receiver lives; true when it ends."""
        return self.receiver.ending.wait(seconds)


@dataclass
class Receiver:
    """Accepts connections on loopback and follows its script.

    Attributes:
        script: What to do with a request; by default it answers 200.
        requests: Every request that was read, in order.
        connections: How many connections were accepted.
    """

    script: Callable[[Connection, Request], object] = lambda connection, _: connection.send(answer("200 OK"))
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list[Request])
    connections: int = 0
    ending: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    _open: list[Connection] = field(default_factory=list[Connection])
    _threads: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ending.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in list(self._open):
            connection.close()
        for thread in self._threads:
            thread.join(5)

    def url(self, path: str = "/v1/traces", host: str = "127.0.0.1") -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{host}:{self.port}{path}"

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.ending.is_set():
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._start(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        connection = Connection(accepted, self)
        self._open.append(connection)
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                connection.socket = self.tls.wrap_socket(accepted, server_side=True)
            with connection.socket.makefile("rb") as stream:
                while (request := _read(stream.readline, stream.read)) is not None:
                    self.requests.append(request)
                    self.script(connection, request)
        except (OSError, ValueError):
            pass  # the other side went away, or the script closed the connection
        finally:
            connection.close()
            self.closed.set()


def _read(readline: Callable[[], bytes], read: Callable[[int], bytes]) -> Request | None:
    line = readline().decode("latin-1").strip()
    if not line:
        return None
    headers: dict[str, str] = {}
    while head := readline().decode("latin-1").strip():
        name, _, value = head.partition(":")
        headers[name.lower()] = value.strip()
    return Request(line, headers, read(int(headers.get("content-length", "0"))))


def send(
    transport: Transport, endpoint: Endpoint | str, body: bytes = b"payload", *, within: float = 5.0
) -> Outcome:
    if isinstance(endpoint, str):
        endpoint = Endpoint(endpoint)
    return transport.send(endpoint, body, PROTOBUF, deadline=time.monotonic() + within)


def replies(data: bytes) -> Receiver:
    return Receiver(lambda connection, _: connection.send(data))


def drip(data: bytes) -> Receiver:
    def script(connection: Connection, _: Request) -> None:
        for byte in data:
            connection.send(bytes((byte,)))
            if connection.wait(0.05):
                return

    return Receiver(script)
