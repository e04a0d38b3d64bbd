"""HTTP/1.1 by uvicorn, with bounds that it leaves to a proxy in front: size of headers, and time."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from otel_kpi.dev.receiver.taking import SECONDS

if TYPE_CHECKING:
    from asyncio import TimerHandle

HEAD_BYTES: Final = 64 * 2**10
"""Of a request's first line and headers."""


class Http1(HttpToolsProtocol):
    """A connection; it is closed when a request is not there as a whole in time."""

    _head = 0
    """Bytes since the request began, while its headers are incomplete; -1 afterwards."""
    _deadline: TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless headers go on and on."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT)
        if self._head >= 0:
            self._head += len(data)
        super().data_received(data)
        if self._head > HEAD_BYTES and not self.transport.is_closing():
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its headers are here."""
        self._head = -1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """It is here as a whole."""
        self._head = 0
        self._cancel()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has gone, or we have."""
        self._cancel()
        super().connection_lost(exc)

    def _cancel(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: HTTPStatus) -> None:
        self._deadline = None
        cycle: Any = self.cycle  # uvicorn's annotation leaves out that there is none before the first request
        if cycle is None or cycle.response_complete or not cycle.response_started:
            line = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            )
            self.transport.write(line.encode())
        self.transport.close()
