"""A Sentry-compatible receiver over a real socket: it keeps every byte and parses every envelope."""

from __future__ import annotations

import gzip
import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

Event = dict[str, Any]


@dataclass
class Receiver:
    """What arrived, and with what the next requests are answered.

    `statuses` is the script: one HTTP status for each coming request, then 200. `delay` holds every answer back.
    """

    statuses: list[int] = field(default_factory=list[int])
    delay: float = 0.0
    bodies: list[bytes] = field(default_factory=list[bytes])
    items: list[tuple[str, Event]] = field(default_factory=list[tuple[str, Event]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                time.sleep(receiver.delay)
                status = receiver.take(body, dict(self.headers.items()))
                self.send_response(status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the standard library has it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    @property
    def dsn(self) -> str:
        assert self._server is not None
        return f"http://public@127.0.0.1:{self._server.server_port}/7"

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        with self._changed:
            status = self.statuses.pop(0) if self.statuses else 200
            self.bodies.append(body)
            self.headers.append(headers)
            if status == 200:
                self.items.extend(parse_envelope(body))
            self._changed.notify_all()
        return status

    def forget(self) -> None:
        """Begin anew with nothing received."""
        with self._changed:
            self.bodies.clear()
            self.items.clear()
            self.headers.clear()

    @property
    def events(self) -> list[Event]:
        return [payload for kind, payload in self.items if kind == "event"]

    @property
    def raw(self) -> str:
        return b"\n".join(self.bodies).decode()

    def wait(self, until: Callable[[Receiver], bool], timeout: float = 10.0) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: until(self), timeout), [summary(e) for e in self.events]

    def wait_for_events(self, count: int, timeout: float = 10.0) -> list[Event]:
        """The events, once there are as many; a moment later there must not be more."""
        self.wait(lambda r: len(r.events) >= count, timeout)
        with self._changed:
            self._changed.wait_for(lambda: len(self.events) > count, 0.3)
        assert len(self.events) == count, [summary(e) for e in self.events]
        return self.events


def parse_envelope(body: bytes) -> list[tuple[str, Event]]:
    """The items of an envelope (https://develop.sentry.dev/sdk/data-model/envelopes/)."""
    _, _, rest = body.partition(b"\n")
    items: list[tuple[str, Event]] = []
    while rest.strip():
        line, _, rest = rest.partition(b"\n")
        header = json.loads(line)
        length = header.get("length")
        if length is None:
            payload, _, rest = rest.partition(b"\n")
        else:
            payload, rest = rest[:length], rest[length:].lstrip(b"\n")
        items.append((header["type"], json.loads(payload)))
    return items


def summary(event: Event) -> str:
    """One line about an event, for a failing test."""
    values: list[Event] = event.get("exception", {}).get("values", [])
    what = (
        f"{values[-1]['type']}: {values[-1]['value']}"
        if values
        else str(event.get("logentry") or event.get("message"))
    )
    mechanism = values[-1].get("mechanism", {}).get("type") if values else event.get("logger")
    return f"{what} [{mechanism}] {event.get('transaction')}"


def error_text(event: Event) -> str:
    """The outermost exception of an event, `Type: text`."""
    value = event["exception"]["values"][-1]
    return f"{value['type']}: {value['value']}"


def trace_of(event: Event) -> tuple[str, str]:
    trace = event["contexts"]["trace"]
    return trace["trace_id"], trace["span_id"]
