"""A real HTTP server for the tests of clients: pages, a redirect, an error, a failure that passes, a slow body."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    path: str
    traceparent: str

    @property
    def span_id(self) -> str:
        return self.traceparent[36:52]


@dataclass
class HttpServer:
    """Where it listens, and what arrived."""

    port: int
    seen: list[Seen] = field(default_factory=list[Seen])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def http_server() -> Generator[HttpServer]:
    """`/path`, `/redirect` to it, `/missing`, `/once` that is unavailable the first time, `/stream` in two pieces."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            first = all(request.path != self.path for request in server.seen)
            server.seen.append(Seen(self.path, self.headers.get("traceparent", "")))
            status = {"/redirect": 302, "/missing": 404, "/once": 503 if first else 200}.get(self.path, 200)
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "/path")
            self.send_header("Content-Length", "8")
            self.end_headers()
            for piece in (b"four", b"more"):
                self.wfile.write(piece)
                self.wfile.flush()

        do_POST = do_GET  # noqa: N815 -- the standard library's name

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            pass  # a client that hangs up is part of the tests

    with Server(("127.0.0.1", 0), Handler) as http:
        server = HttpServer(http.server_port)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
