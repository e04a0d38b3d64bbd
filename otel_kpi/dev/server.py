"""The server: HTTP/1.1 and HTTP/2 on each socket, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from otel_kpi.dev.receiver.grpc import Http2
from otel_kpi.dev.receiver.http1 import Http1
from otel_kpi.dev.receiver.sniffing import Sniffing

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Sequence

    from starlette.applications import Starlette

    from otel_kpi.dev.live import Live
    from otel_kpi.dev.receiver.taking import Receiver

CONNECTIONS: Final = 512
"""At once; a process may often have no more than 1,024 files open."""
KEPT_SECONDS: Final = 75
"""A connection over which nothing comes is kept so long: senders come each few seconds."""
DRAIN_SECONDS: Final = 5.0
"""What has been received is given so long to be committed when the server ends."""
_END_SECONDS: Final = 0.5
_COLLECT_AFTER: Final = 50_000
"""Objects more than were freed, after which the collector looks for circles; Python's own is 700."""


class Server:
    """Serves an application of `app.make_app` on sockets that listen.

    Args:
        app: The application.
        sockets: Where; they are closed with the server.
    """

    def __init__(self, app: Starlette, sockets: Sequence[socket.socket]) -> None:
        self._app = app
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []
        self._receiver: Receiver = app.state.receiver
        self._token: str = app.state.dev.token
        self._silent: set[asyncio.Transport] = set()
        self._http2: set[Http2] = set()
        self._http1 = ServerState()
        self._lifespan = contextlib.AsyncExitStack()
        self._collecting = gc.get_threshold()
        self._config = Config(
            app,
            http=Http1,
            ws="none",
            lifespan="off",  # entered here
            log_config=None,
            access_log=False,
            proxy_headers=False,
            timeout_keep_alive=KEPT_SECONDS,
        )
        self._config.load()

    async def start(self) -> None:
        """Serve from now on."""
        # A request makes tens of thousands of objects, none of them in circles: the collector finds nothing among them, and
        # took some 4 % of the time. What is there by now stays as long as the process does; it need not look at it again.
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER, *self._collecting[1:])
        loop = asyncio.get_running_loop()
        await self._lifespan.enter_async_context(self._app.router.lifespan_context(self._app))
        for each in self._sockets:
            self._servers.append(await loop.create_server(self._connection, sock=each))

    async def stop(self) -> None:
        """Take no more, commit what has been received, and end."""
        for server in self._servers:
            server.close()
        for transport in list(self._silent):
            transport.abort()
        await self._receiver.drain(DRAIN_SECONDS)
        told: Live | None = getattr(self._app.state, "live", None)
        if told is not None:
            told.close()
        for connection in list(self._http2):
            connection.close()
        http1: Iterable[Any] = list(self._http1.connections)
        for connection in http1:
            connection.shutdown()
        await self._finish(self._http1.tasks, _END_SECONDS)
        # What is left is a page that takes long, or a browser that does not listen.
        for task in list(self._http1.tasks):
            task.cancel()
        await self._finish(self._http1.tasks, _END_SECONDS)
        for connection in list(self._http2):
            connection.abort()
        await self._lifespan.aclose()
        gc.set_threshold(*self._collecting)
        gc.unfreeze()

    @staticmethod
    async def _finish(tasks: Iterable[asyncio.Task[None]], seconds: float) -> None:
        if waiting := list(tasks):
            await asyncio.wait(waiting, timeout=seconds)

    def _connection(self) -> asyncio.Protocol:
        return Sniffing(self._http1_connection, self._http2_connection, self._silent, self._is_full)

    def _is_full(self) -> bool:
        return len(self._silent) + len(self._http1.connections) + len(self._http2) > CONNECTIONS

    def _http1_connection(self) -> asyncio.Protocol:
        return Http1(self._config, self._http1, {})

    def _http2_connection(self) -> asyncio.Protocol:
        return Http2(self._receiver, self._http2, self._token)
