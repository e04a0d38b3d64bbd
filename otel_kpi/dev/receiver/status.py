"""What a sender is told: the answers of OTLP and `google.rpc.Status`, as protobuf and as JSON.

Four messages of a few fields each, so they are written here and no protobuf is needed:
https://github.com/open-telemetry/opentelemetry-proto and https://github.com/googleapis/googleapis/tree/master/google/rpc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import orjson

if TYPE_CHECKING:
    from http import HTTPStatus

    from otel_kpi.dev.telemetry import Request, Signal

Form = Literal["protobuf", "json"]
"""How a body is written."""

INVALID_ARGUMENT: Final = 3
DEADLINE_EXCEEDED: Final = 4
RESOURCE_EXHAUSTED: Final = 8
UNIMPLEMENTED: Final = 12
INTERNAL: Final = 13
UNAVAILABLE: Final = 14
UNAUTHENTICATED: Final = 16

_REJECTED: Final[dict[Signal, str]] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}
_RETRY_INFO: Final = b"type.googleapis.com/google.rpc.RetryInfo"
_TEXT: Final = 1_000
"""Characters of a message at most: it travels in a header of gRPC."""


@dataclass(frozen=True, slots=True)
class Status:
    """Why a request was refused.

    Attributes:
        code: As gRPC numbers them.
        http: The same for HTTP.
        message: For the person who reads the sender's log.
        retry_after: Seconds after which it may come again; None where it should not.
    """

    code: int
    http: HTTPStatus
    message: str
    retry_after: int | None = None

    def protobuf(self) -> bytes:
        """As `google.rpc.Status`; when to come again is in its details as `RetryInfo`."""
        details = b""
        if self.retry_after is not None:
            duration = _number(1, self.retry_after)
            details = _bytes(3, _bytes(1, _RETRY_INFO) + _bytes(2, _bytes(1, duration)))
        return _number(1, self.code) + _bytes(2, self.text.encode()) + details

    def json(self) -> bytes:
        """As the JSON of `google.rpc.Status`."""
        content: dict[str, Any] = {"code": self.code, "message": self.text}
        if self.retry_after is not None:
            content["details"] = [{"@type": _RETRY_INFO.decode(), "retryDelay": f"{self.retry_after}s"}]
        return orjson.dumps(content)

    @property
    def text(self) -> str:
        """The message, cut, and without what UTF-8 has no form for."""
        return self.message[:_TEXT].encode("utf-8", "replace").decode()


class RefusedError(Exception):
    """A request that is not taken.

    Args:
        status: Why.
        counted: It is among what became of what was sent.
    """

    def __init__(self, status: Status, *, counted: bool = False) -> None:
        super().__init__(status.message)
        self.status = status
        self.counted = counted


def accepted(request: Request[Any], form: Form) -> bytes:
    """The answer to a request that was taken, with how many of it could not be kept and why."""
    if not request.rejected and not request.problem:
        return b"{}" if form == "json" else b""
    problem = request.problem[:_TEXT].encode("utf-8", "replace").decode()
    if form == "json":
        # 64-bit numbers are text in the JSON of protobuf.
        said = {_REJECTED[request.signal]: str(request.rejected), "errorMessage": problem}
        return orjson.dumps({"partialSuccess": said})
    return _bytes(1, _number(1, request.rejected) + _bytes(2, problem.encode()))


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits a byte
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)


def _number(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number) if number else b""


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content
