"""The calls of gRPC that are answered, and how a message stands in a stream: pure functions.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

from __future__ import annotations

import base64
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.receiver.status import INTERNAL, INVALID_ARGUMENT, RefusedError, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.dev.telemetry import Signal

_COLLECTOR: Final = "/opentelemetry.proto.collector"
EXPORTS: Final[Mapping[str, Signal]] = {
    f"{_COLLECTOR}.trace.v1.TraceService/Export": "traces",
    f"{_COLLECTOR}.metrics.v1.MetricsService/Export": "metrics",
    f"{_COLLECTOR}.logs.v1.LogsService/Export": "logs",
}
HEALTH: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = b"\x08\x01"
"""The answer of the health check."""

PREFIX: Final = 5
"""Bytes before a message: whether it is packed, and its length."""

Headers = list[tuple[str, str]]

_BEGIN: Final[Headers] = [(":status", "200"), ("content-type", "application/grpc")]


def message(received: bytes | bytearray, encoding: str) -> tuple[bytes, str]:
    """The one message of a call, and how it is packed.

    Args:
        received: All that the stream carried.
        encoding: The header `grpc-encoding`.

    Raises:
        RefusedError: There is none, more than one, or a part of one.
    """
    if len(received) < PREFIX or len(received) - PREFIX != int.from_bytes(received[1:PREFIX], "big"):
        raise _refuse(INVALID_ARGUMENT, "one whole message is expected in a call")
    if received[0] > 1:
        raise _refuse(INTERNAL, "the flags of the message are not known")
    packed = received[0] == 1
    if packed and encoding in ("", "identity"):
        raise _refuse(INTERNAL, "the message is packed, and grpc-encoding does not say how")
    return bytes(memoryview(received)[PREFIX:]), encoding if packed else ""


def framed(content: bytes) -> bytes:
    """A message as it stands in a stream."""
    return b"\0" + len(content).to_bytes(4, "big") + content


def begin() -> Headers:
    """Headers before a message."""
    return [*_BEGIN, ("grpc-accept-encoding", "identity,deflate,gzip")]


def done() -> Headers:
    """Trailers after it."""
    return [("grpc-status", "0")]


def refused(status: Status) -> Headers:
    """Headers that are the whole answer; when to come again is in the details."""
    headers = [
        *_BEGIN,
        ("grpc-status", str(status.code)),
        ("grpc-message", _escaped(status.text)),
        ("grpc-accept-encoding", "identity,deflate,gzip"),
    ]
    if status.retry_after is not None:
        details = base64.b64encode(status.protobuf()).decode().rstrip("=")
        headers.append(("grpc-status-details-bin", details))
    return headers


def not_grpc(status: HTTPStatus) -> Headers:
    """Headers for who speaks HTTP/2 and no gRPC."""
    return [(":status", str(status.value)), ("content-type", "text/plain; charset=utf-8")]


def _escaped(text: str) -> str:
    return "".join(
        chr(byte) if 0x20 <= byte <= 0x7E and byte != 0x25 else f"%{byte:02X}"  # noqa: PLR2004 - printable, no %
        for byte in text.encode()
    )


def _refuse(code: int, text: str) -> RefusedError:
    return RefusedError(Status(code, HTTPStatus.BAD_REQUEST, text))
