"""Requests as a server makes them: in a context of their own, with no client span around."""

from __future__ import annotations

import asyncio
import contextvars
import io
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Answer:
    """What came back; `status` is 0 when nothing did."""

    status: int = 0
    body: bytes = b""
    sent: list[Any] = field(default_factory=list[Any])


def scope_of(path: str, method: str = "GET", kind: str = "http", **headers: str) -> dict[str, Any]:
    """An ASGI scope."""
    bare, _, query = path.partition("?")
    sent = [(b"host", b"shop.test"), *((name.encode(), text.encode()) for name, text in headers.items())]
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http" if kind == "http" else "ws",
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": sent,
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 1),
    } | ({"subprotocols": []} if kind == "websocket" else {})


def ask(app: Any, path: str, method: str = "GET", **headers: str) -> Answer:
    """Make one HTTP request of an ASGI application; an error of the application is raised."""
    return converse(app, scope_of(path, method, **headers), [{"type": "http.request", "body": b""}])


def converse(app: Any, scope: dict[str, Any], incoming: list[dict[str, Any]]) -> Answer:
    """Call an ASGI application with the messages of a client."""
    answer = Answer()
    messages = list(incoming)

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await asyncio.Event().wait()
        return None

    async def send(message: Any) -> None:
        answer.sent.append(message)
        if message["type"] == "http.response.start":
            answer.status = message["status"]
        elif message["type"] == "http.response.body":
            answer.body += message.get("body", b"")

    async def call() -> None:
        await app(scope, receive, send)

    contextvars.Context().run(asyncio.run, call())
    return answer


def environ_of(path: str, method: str = "GET", **headers: str) -> dict[str, Any]:
    """A WSGI environment."""
    bare, _, query = path.partition("?")
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": bare,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "shop.test",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    } | {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}


def ask_wsgi(app: Any, path: str, method: str = "GET", **headers: str) -> Answer:
    """Make one request of a WSGI application, to the end of its response."""
    answer = Answer()

    def start_response(status: str, _headers: Any, _error: Any = None) -> None:
        answer.status = int(status.split(maxsplit=1)[0])

    def call() -> None:
        response = app(environ_of(path, method, **headers), start_response)
        try:
            answer.body = b"".join(response)
        finally:
            close = getattr(response, "close", None)
            if close is not None:
                close()

    contextvars.Context().run(call)
    return answer
