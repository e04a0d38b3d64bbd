"""The server: a thread for each connection, the next answer of the script for each request."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

from support.llm.answers import Answer, Asked, Reply, as_json
from support.llm.formats import format_of, formats

if TYPE_CHECKING:
    from collections.abc import Callable


class ScriptedProvider:
    """A provider of language models that says what the test wants it to say.

    `with ScriptedProvider() as provider:` listens on a free port of loopback until the block ends. The answers
    given to `next()` are used in the order of arrival; after them `rule(asked)` is asked, and where that is
    missing or returns `None` the answer is a sensible one.

    Args:
        rule: Answers by request, for tests whose order of arrival is not known. Called in threads.
    """

    def __init__(self, rule: Callable[[Asked], Answer | None] | None = None) -> None:
        # In this thread: pytest rewrites what is imported, and CPython 3.11 cannot do that in two (python/cpython#106905).
        formats()
        self.requests: list[Asked] = []
        self.rule = rule
        self._script: deque[Answer] = deque()
        self._arrived = threading.Condition()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        """Where it listens, without a path and without a slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def last(self) -> Asked:
        return self.requests[-1]

    def next(self, *answers: Answer) -> None:
        """Answer the next requests so, one after the other."""
        self._script.extend(answers)

    def wait_for(self, count: int, timeout: float = 10.0) -> None:
        """Return when so many requests have arrived.

        Raises:
            TimeoutError: They have not, within `timeout` seconds.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self.requests) >= count, timeout):
                message = f"{len(self.requests)} of {count} requests"
                raise TimeoutError(message)

    def answer(self, asked: Asked) -> Answer:
        """Take note of a request and choose its answer."""
        with self._arrived:
            self.requests.append(asked)
            chosen = self._script.popleft() if self._script else None
            self._arrived.notify_all()
        if chosen is None and self.rule is not None:
            chosen = self.rule(asked)
        return chosen or Answer()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, provider: ScriptedProvider) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.provider = provider
        self._open: set[socket.socket] = set()

    def process_request(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        if isinstance(request, socket.socket):
            self._open.add(request)
        super().process_request(request, client_address)  # pyright: ignore[reportArgumentType] -- loosely typed above

    def shutdown_request(self, request: socket.socket | tuple[bytes, socket.socket]) -> None:
        if isinstance(request, socket.socket):
            self._open.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        # Clients keep their connections; the threads that wait for the next request end with this.
        for connection in tuple(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that hangs up is part of the tests


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride] -- the only one that makes it

    def _answer(self) -> None:
        at = time.monotonic()
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body, at)
        answer = self.server.provider.answer(asked)
        if answer.hang_up:
            self._break()
            return
        reply = _reply(asked, answer)
        if isinstance(reply.content, bytes):
            self._send(reply, reply.content, answer)
        else:
            self._stream(reply, answer)

    do_GET = _answer  # noqa: N815 -- the standard library's name
    do_POST = _answer  # noqa: N815 -- the same
    do_DELETE = _answer  # noqa: N815 -- the same
    do_PUT = _answer  # noqa: N815 -- the same

    def _head(self, reply: Reply, answer: Answer) -> None:
        self.send_response(reply.status)
        headers = {"content-type": reply.content_type, **reply.headers}
        headers.update({name.lower(): value for name, value in answer.headers.items()})
        for name, value in headers.items():
            self.send_header(name, value)

    def _send(self, reply: Reply, content: bytes, answer: Answer) -> None:
        self._wait(answer, 0)
        self._head(reply, answer)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if answer.break_after is not None:
            self.wfile.write(content[: answer.break_after])
            self._break()
            return
        self.wfile.write(content)

    def _stream(self, reply: Reply, answer: Answer) -> None:
        self._head(reply, answer)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        for number, piece in enumerate(reply.content):
            if number == answer.break_after:
                self._break()
                return
            self._wait(answer, number)
            assert isinstance(piece, bytes)
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def _wait(self, answer: Answer, number: int) -> None:
        if answer.delay:
            time.sleep(answer.delay)  # a provider that takes its time is what the test asked for
        if answer.hold is not None and number >= answer.hold_from:
            answer.hold.wait(60)

    def _break(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the standard library's name
        pass


def _reply(asked: Asked, answer: Answer) -> Reply:
    found = format_of(asked)
    if found is None:
        return as_json({"error": {"message": f"nobody answers {asked.method} {asked.route}"}}, 404)
    if answer.status >= 400:
        content = answer.body if answer.body is not None else found.error(answer)
        return (
            Reply(content, status=answer.status)
            if isinstance(content, bytes)
            else as_json(content, answer.status)
        )
    if isinstance(answer.body, bytes):
        return Reply(answer.body, status=answer.status)
    if isinstance(answer.body, dict):
        return as_json(answer.body, answer.status)  # pyright: ignore[reportUnknownArgumentType] -- any JSON
    return found.reply(asked, answer)
