"""A service of AWS's protocols, scripted, for the tests of its clients."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator


class Service:
    """A service of AWS's protocols, scripted: what it was asked, and its queue."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes]] = []
        self.trace_headers: list[str] = []
        self.queue: list[dict[str, Any]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, target: str, body: bytes) -> tuple[int, bytes]:
        self.requests.append((path, target, body))
        operation = target.rpartition(".")[2]
        if operation == "SendMessage":
            self.queue.append(json.loads(body))
            return 200, b'{"MessageId": "m-1"}'
        if operation == "SendMessageBatch":
            self.queue += json.loads(body)["Entries"]
            return 200, b'{"Successful": [], "Failed": []}'
        if operation == "ReceiveMessage":
            asked = json.loads(body).get("MessageAttributeNames", [])
            messages = [
                {
                    "MessageId": "m-1",
                    "Body": sent["MessageBody"],
                    "MessageAttributes": {
                        name: value for name, value in sent["MessageAttributes"].items() if name in asked
                    },
                }
                for sent in self.queue
            ]
            return 200, json.dumps({"Messages": messages}).encode()
        if path.endswith("/missing"):
            return 404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>"
        return 200, b"{}" if target or "functions" in path else b""


@contextlib.contextmanager
def aws_service() -> Generator[Service]:
    """Run it on a free port."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            service.trace_headers.append(self.headers.get("X-Amzn-Trace-Id", ""))
            status, answer = service.answer(self.path, self.headers.get("X-Amz-Target", ""), body)
            self.send_response(status)
            self.send_header("x-amzn-RequestId", "request-1")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST  # noqa: N815 -- the standard library's name
        do_PUT = do_POST  # noqa: N815 -- the same

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as http:
        service.port = http.server_port
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield service
        finally:
            http.shutdown()
            thread.join()
