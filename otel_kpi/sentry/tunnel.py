"""A way out for errors where the applications themselves may not leave the network.

An application with `OTEL_KPI_SENTRY_TUNNEL` posts its envelopes here instead of to the host of its DSN; each says
in its first line for which project it is. It is passed on as it came, to the projects that the operator named and
to no other address. The OpenTelemetry Collector has no part that forwards HTTP requests of another protocol;
this stands beside it.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from urllib.request import getproxies

import urllib3

from otel_kpi._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

_logger = logging.getLogger("otel_kpi.sentry.tunnel")

BODY = 20 * 1024 * 1024
"""Bytes of one envelope at most; Sentry itself takes no more."""

_FIRST_LINE = 64 * 1024
_ANSWER = 64 * 1024
_TIMEOUT = 10.0  # seconds for one step of a request, on either side
_AT_ONCE = 16
_CONNECTIONS = 256
_BODY_TIME = 30.0  # seconds for a body as a whole
_PIECE = 64 * 1024
_DIGITS = 12  # of a length
_PASSED_BACK = ("Retry-After", "X-Sentry-Rate-Limits", "X-Sentry-Error")


@dataclass(frozen=True, slots=True)
class Project:
    """Where one DSN points."""

    origin: str
    path: str
    key: str
    number: str

    @property
    def url(self) -> str:
        """The address that takes envelopes (https://develop.sentry.dev/sdk/foundations/envelopes/)."""
        return f"{self.origin}{self.path}/api/{self.number}/envelope/"

    @property
    def authorization(self) -> str:
        """The header `X-Sentry-Auth`."""
        return f"Sentry sentry_version=7, sentry_client=otel-kpi-tunnel/{__version__}, sentry_key={self.key}"


def project(dsn: str) -> Project:
    """Read a DSN.

    Raises:
        ValueError: It is not `https://<public key>@<host>/<project number>`.
    """
    parts = urlsplit(dsn.strip())
    path, _, number = parts.path.rstrip("/").rpartition("/")
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.username or not number:
        raise ValueError("not a DSN: https://<public key>@<host>/<project number> is accepted")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Project(f"{parts.scheme}://{host}:{port}", path, parts.username, number)


def named_project(body: bytes, encoding: str) -> Project:
    """The project that an envelope names in its first line.

    Raises:
        ValueError: There is no such line, or the body is packed in a way that is not known here.
    """
    if encoding in ("gzip", "deflate"):
        # Not the whole body: the first line is enough, and a small body may unpack to a very large one.
        start = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, _FIRST_LINE)
    elif encoding in ("", "identity"):
        start = body[:_FIRST_LINE]
    else:
        raise ValueError(f"Content-Encoding {encoding} is not known here")
    header: Any = json.loads(start.partition(b"\n")[0])
    dsn = cast("dict[str, Any]", header).get("dsn") if isinstance(header, dict) else None
    if not isinstance(dsn, str):
        raise ValueError("the envelope does not say for which project it is")  # noqa: TRY004 - of the body's value
    return project(dsn)


class Tunnel(ThreadingHTTPServer):
    """Takes envelopes on one address and passes them on.

    Args:
        address: Host and port; port 0 takes a free one.
        projects: Where envelopes may go.
    """

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], projects: Iterable[Project]) -> None:
        self.projects = frozenset(projects)
        self.answers: Counter[int] = Counter()
        self.places = threading.BoundedSemaphore(_AT_ONCE)
        """Bodies that are in memory at once."""
        self._connections = threading.BoundedSemaphore(_CONNECTIONS)
        self._failing = False
        self._pools: dict[str, urllib3.PoolManager] = {}
        super().__init__(address, _Handler)

    def forward(self, body: bytes, encoding: str, content_type: str) -> tuple[int, dict[str, str], bytes]:
        """Pass an envelope on; answers status, headers and body for the application."""
        try:
            target = named_project(body, encoding)
        except (ValueError, zlib.error, RecursionError):
            return 400, {}, b"not an envelope with the DSN of its project\n"
        if target not in self.projects:
            return 403, {}, b"this tunnel does not lead to that project\n"
        return self._send(target, body, encoding, content_type)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection on a thread of its own, while there are not too many."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread was started that would give it back
            self._connections.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The same, on that thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def _send(
        self, target: Project, body: bytes, encoding: str, content_type: str
    ) -> tuple[int, dict[str, str], bytes]:
        headers = {"Content-Type": content_type, "X-Sentry-Auth": target.authorization}
        if encoding:
            headers["Content-Encoding"] = encoding
        try:
            response = self._pool(target).request(
                "POST", target.url, body=body, headers=headers, redirect=False, preload_content=False
            )
            try:
                answer = response.read(_ANSWER)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._say(f"{target.origin} is not reached ({type(error).__name__})")
            return 502, {}, b"the server of the project is not reached\n"
        self._say(None)
        kept = {name: value for name in _PASSED_BACK if (value := response.headers.get(name))}
        return response.status, kept, answer

    def _pool(self, target: Project) -> urllib3.PoolManager:
        scheme = target.origin.partition(":")[0]
        if scheme not in self._pools:
            made: dict[str, Any] = {
                "timeout": urllib3.Timeout(_TIMEOUT),
                "retries": False,
                "maxsize": _AT_ONCE,
            }
            proxy = getproxies().get(scheme)
            self._pools[scheme] = (
                urllib3.ProxyManager(proxy, **made) if proxy else urllib3.PoolManager(**made)
            )
        return self._pools[scheme]

    def _say(self, failure: str | None) -> None:
        if failure is not None and not self._failing:
            _logger.warning("%s: envelopes are answered with 502", failure)
        elif failure is None and self._failing:
            _logger.warning("envelopes are passed on again")
        self._failing = failure is not None

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An application that went away is no event here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "otel-kpi-tunnel"
    sys_version = ""
    timeout = _TIMEOUT
    server: Tunnel  # pyright: ignore[reportIncompatibleVariableOverride] - the only server that has this handler

    def do_POST(self) -> None:  # http.server's name
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self._answer(411, {}, b"", last=True)
        elif len(length) > _DIGITS or int(length) > BODY:
            self._answer(413, {}, b"", last=True)
        elif not self.server.places.acquire(blocking=False):
            self._answer(503, {"Retry-After": "1"}, b"too many requests at once\n", last=True)
        else:
            try:
                body = self._body(int(length))
                if body is None:
                    self._answer(408, {}, b"", last=True)
                    return
                encoding = self.headers.get("Content-Encoding", "").strip().lower()
                kind = self.headers.get("Content-Type", "application/x-sentry-envelope")
                self._answer(*self.server.forward(body, encoding, kind))
            finally:
                self.server.places.release()

    def _body(self, length: int) -> bytes | None:
        """The body; None when it comes too slowly, or not as a whole."""
        deadline = time.monotonic() + _BODY_TIME
        body = bytearray()
        while len(body) < length:
            piece = self.rfile.read1(min(_PIECE, length - len(body)))
            if not piece or time.monotonic() > deadline:
                return None
            body += piece
        return bytes(body)

    def _answer(self, status: int, headers: dict[str, str], body: bytes, *, last: bool = False) -> None:
        self.server.answers[status] += 1
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if last:
            # The body was not read, so the connection cannot be used again.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the standard library has it
        """Nothing: an operator wants changes of state, not requests."""
