"""One persistent HTTP connection with a deadline that also a dripping server keeps.

urllib3's timeouts hold for one socket operation each: a server that sends a byte a second never meets
them. Here every operation gets only the time that is left until the deadline of the request.

This module imports urllib3, so only the first request imports this module.
"""

from __future__ import annotations

import io
import ssl
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import urllib3
from typing_extensions import override
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util import Timeout, make_headers

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from typing_extensions import Buffer
    from urllib3 import BaseHTTPResponse


class Deadline:
    """The moment by which the present request must be over, and the socket that it uses.

    Attributes:
        at: Seconds of ``time.monotonic``.
        connections: How many connections were made so far.
        socket: The newest of them.
    """

    def __init__(self) -> None:
        self.at = 0.0
        self.connections = 0
        self.socket: socket.socket | None = None

    def remaining(self) -> float:
        """Seconds that are left.

        Raises:
            TimeoutError: None are.
        """
        left = self.at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the deadline of the request has passed")
        return left


class _Reader(io.RawIOBase):
    """The reading side of a socket, bounded by the deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._socket = sock
        # The socket's own file keeps it open for as long as a response is being read.
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer, /) -> int | None:
        self._socket.settimeout(self._deadline.remaining())
        return self._file.readinto(memoryview(buffer))

    @override
    def close(self) -> None:
        self._file.close()
        super().close()


class _BoundedSocket:
    """A connected socket as ``http.client`` uses it, with each operation bounded by the deadline."""

    _CHUNK = 1 << 16  # bytes; what is sent between two looks at the clock

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._socket = sock
        self._deadline = deadline

    def sendall(self, data: Buffer, /) -> None:
        """Send everything, or raise ``TimeoutError`` at the deadline."""
        view = memoryview(data)
        while view:
            self._socket.settimeout(self._deadline.remaining())
            view = view[self._socket.send(view[: self._CHUNK]) :]

    def makefile(self, *_: object, **__: object) -> io.BufferedReader:
        """The reading side."""
        return io.BufferedReader(_Reader(self._socket, self._deadline))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


def connection_manager(
    url: str,
    deadline: Deadline,
    certificate: str | None,
    client_key: str | None,
    client_certificate: str | None,
) -> urllib3.PoolManager:
    """A pool of one connection to the origin of a URL, or to the proxy that the environment names for it.

    Args:
        url: The address of the receiver. Proxies do not count for loopback.
        deadline: Bounds every operation of the connection.
        certificate: File of the authorities that are trusted in place of the system's.
        client_key: File of the client's private key.
        client_certificate: File of the client's certificate.

    Raises:
        OSError: A certificate file cannot be read or is not one.
        ValueError: The proxy's URL cannot be used.
    """

    class Plain(HTTPConnection):
        @override
        def connect(self) -> None:
            super().connect()
            self.sock = _bounded(self.sock, deadline)

    class Encrypted(HTTPSConnection):
        @override
        def connect(self) -> None:
            super().connect()
            self.sock = _bounded(self.sock, deadline)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain  # pyright: ignore[reportAssignmentType] - as urllib3 does it itself

    class EncryptedPool(HTTPSConnectionPool):
        ConnectionCls = Encrypted  # pyright: ignore[reportAssignmentType] - as urllib3 does it itself

    parts = urlsplit(url)
    settings: dict[str, Any] = {"num_pools": 1, "maxsize": 1}
    if parts.scheme == "https":
        settings["ssl_context"] = _ssl_context(certificate, client_key, client_certificate)
    proxy = _proxy(parts.scheme, parts.hostname or "")
    if proxy is None:
        manager = urllib3.PoolManager(**settings)
    else:
        credentials = urlsplit(proxy)
        if credentials.username:
            settings["proxy_headers"] = make_headers(
                proxy_basic_auth=f"{credentials.username}:{credentials.password or ''}"
            )
        manager = urllib3.ProxyManager(proxy, **settings)
    pools: dict[str, Any] = {"http": PlainPool, "https": EncryptedPool}
    manager.pool_classes_by_scheme = pools
    return manager


def post(
    manager: urllib3.PoolManager,
    url: str,
    body: bytes,
    headers: Mapping[str, str | bytes],
    deadline: Deadline,
) -> BaseHTTPResponse:
    """Send one request and read the head of the answer. Redirects are answers like any other.

    A name may have an address of each family, tried one after the other: each gets half of the time.
    """
    remaining = deadline.remaining()
    return manager.urlopen(
        "POST",
        url,
        body=body,
        headers=headers,  # pyright: ignore[reportArgumentType] - http.client takes bytes as it takes text
        redirect=False,
        retries=False,
        preload_content=False,
        decode_content=False,
        timeout=Timeout(connect=remaining / 2, read=remaining),
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or address never leaves this machine."""
    host = host.rstrip(".").lower()
    return host in {"localhost", "::1"} or host.endswith(".localhost") or host.startswith("127.")


def _bounded(sock: Any, deadline: Deadline) -> Any:
    deadline.connections += 1
    deadline.socket = sock
    return _BoundedSocket(sock, deadline)


def _proxy(scheme: str, host: str) -> str | None:
    if is_loopback(host):
        return None
    from urllib.request import (
        getproxies_environment,
        proxy_bypass_environment,  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]
    )

    proxies = getproxies_environment()
    proxy = proxies.get(scheme) or proxies.get("all")
    if not proxy or proxy_bypass_environment(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _ssl_context(
    certificate: str | None, client_key: str | None, client_certificate: str | None
) -> ssl.SSLContext:
    for path in (certificate, client_key, client_certificate):
        if path is not None:
            Path(path).open("rb").close()  # an error that names the file, which those of ssl do not
    context = ssl.create_default_context(cafile=certificate)
    if certificate is None and not _system_has_authorities():
        import certifi

        context.load_verify_locations(certifi.where())
    if client_certificate is not None:
        context.load_cert_chain(client_certificate, client_key)
    return context


def _system_has_authorities() -> bool:
    """Minimal container images have no certificates of their own."""
    paths = ssl.get_default_verify_paths()
    cafile: str | None = paths.cafile
    capath: str | None = paths.capath  # the stub says str for both; they are None when they do not exist
    if cafile:
        return True
    try:
        return bool(capath) and any(Path(capath).iterdir())
    except OSError:
        return False
