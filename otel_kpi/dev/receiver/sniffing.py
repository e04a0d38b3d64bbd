"""What a new connection speaks: HTTP/2 begins with a line that no other does; the rest is HTTP/1.1."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_TLS: Final = b"\x16\x03"
SECONDS: Final = 30.0
"""A connection has so long to say something; browsers open some before they need them."""

_logger = logging.getLogger("otel_kpi.dev.receiver")
_told_of_tls: set[bool] = set()


class Sniffing(asyncio.Protocol):
    """The protocol of a connection until its first bytes have come; then that of what it speaks.

    Args:
        http1: Makes the protocol for HTTP/1.1.
        http2: Makes the one for HTTP/2.
        open_connections: Those that have not yet spoken; they are closed when the server ends.
        is_full: Says whether there are too many connections, this one counted.
    """

    def __init__(
        self,
        http1: Callable[[], asyncio.Protocol],
        http2: Callable[[], asyncio.Protocol],
        open_connections: set[asyncio.Transport],
        is_full: Callable[[], bool],
    ) -> None:
        self._http1 = http1
        self._http2 = http2
        self._open = open_connections
        self._is_full = is_full
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for what it says."""
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self._transport)
        self._deadline = asyncio.get_running_loop().call_later(SECONDS, self._transport.abort)
        if self._is_full():
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio has it
        """It ended without a word."""
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Decide, and hand over to the protocol that fits with what has come so far."""
        self._received += data
        received = self._received
        if len(received) < len(_PREFACE) and _PREFACE.startswith(received):
            return
        if received.startswith(_TLS):
            self._refuse_tls()
            return
        self._leave()
        protocol = self._http2() if received.startswith(_PREFACE) else self._http1()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(received)

    def _refuse_tls(self) -> None:
        if not _told_of_tls:
            _told_of_tls.add(True)
            _logger.warning(
                "a sender speaks TLS, which is not spoken here: http:// in its endpoint, "
                "or OTEL_EXPORTER_OTLP_INSECURE=true"
            )
        # The alert `handshake_failure`: it ends at once, instead of after its timeout.
        self._transport.write(b"\x15\x03\x01\x00\x02\x02\x28")
        self._transport.close()

    def _leave(self) -> None:
        self._deadline.cancel()
        self._open.discard(self._transport)
