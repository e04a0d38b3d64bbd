"""A real server of `otel-kpi dev` in this process: sockets, the store and its writer; the loop on a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_kpi.dev.app import make_app
from otel_kpi.dev.intake import Intake
from otel_kpi.dev.listening import listen
from otel_kpi.dev.server import Server
from otel_kpi.dev.state import Dev
from otel_kpi.dev.store import Store
from otel_kpi.dev.store.reading.traces import StoredTraces

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Mapping
    from pathlib import Path


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Served:
    """`with served() as server`."""

    dev: Dev
    store: Store
    intake: Intake
    server: Server
    port: int
    loop: asyncio.AbstractEventLoop
    before: dict[str, int] = field(default_factory=dict[str, int])
    """Rows of a table that are of no interest."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def do(self, what: Coroutine[Any, Any, Any], timeout: float = 20.0) -> Any:
        """Run something on the server's loop."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(timeout)

    def connect(self, timeout: float = 20.0) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout)

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(
                response.status,
                {name.lower(): value for name, value in response.getheaders()},
                response.read(),
            )

    def post(self, path: str, body: bytes, kind: str = "application/x-protobuf", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, body, {"Content-Type": kind, **named})

    def names(self) -> list[str]:
        """Names of the spans that are kept, in the order of their arrival."""
        rows = self.store.reader().execute(
            "SELECT s FROM span JOIN str ON str.id = span.name ORDER BY span.id"
        )
        return [row[0] for row in rows][self.before.get("span", 0) :]

    def count(self, table: str) -> int:
        return self._rows(table) - self.before.get(table, 0)

    def begin(self) -> None:
        """Look at what comes from now on alone."""
        self.before = {table: self._rows(table) for table in ("span", "log", "point")}

    def _rows(self, table: str) -> int:
        return int(self.store.reader().execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)  # a queue of another thread


@contextlib.contextmanager
def served(
    path: Path | None = None, *, token: str = "", most_bytes: int = 64 * 2**20, receiving: bool = True
) -> Generator[Served]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> Served:
        store = Store(path)
        intake = Intake(store, most_bytes=most_bytes)
        listening = listen(port=0)
        dev = Dev(StoredTraces(store), store, intake if receiving else None, listening.address, token=token)
        server = Server(make_app(dev), listening.sockets)
        await server.start()
        return Served(dev, store, intake, server, listening.port, loop)

    try:
        running = asyncio.run_coroutine_threadsafe(start(), loop).result(20)
        try:
            yield running
        finally:
            running.do(running.server.stop())
            running.intake.close()
            running.store.close()
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
