"""A server that takes whatever is sent to it, in a process of its own, so that its work is nobody else's."""

from __future__ import annotations

import contextlib
import multiprocessing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from multiprocessing.connection import Connection


class _Take(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _take(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        else:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
        # An OTLP receiver answers with an empty message, an agent of ddtrace's with JSON.
        body = b"" if self.path.startswith("/v1/") else b"{}"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET = _take  # noqa: N815 - as the standard library calls them

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the standard library has it
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a measured program ends with its connection open."""


def _serve(ready: Connection) -> None:
    server = _Server(("127.0.0.1", 0), _Take)
    ready.send(server.server_address[1])
    server.serve_forever()


@contextlib.contextmanager
def sink() -> Generator[str]:
    """Start the server; yields its address."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()
