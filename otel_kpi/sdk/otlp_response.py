"""What a receiver answers to an export request: ``opentelemetry.proto.collector.*.v1.Export*ServiceResponse``.

The three responses have one shape, and only two numbers of it matter: how many items were not taken and
why. A body that is not of that shape says nothing, and nothing raises.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from otel_kpi.sdk.otlp_values import text

Signal = Literal["traces", "metrics", "logs"]

_REJECTED: dict[Signal, str] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}
_LONGEST_MESSAGE = 500
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class PartialSuccess:
    """What a receiver did not take of a request that it accepted.

    Attributes:
        rejected: Spans, data points or log records that were refused; 0 with a message is a warning.
        message: The receiver's words, shortened to 500 characters, without control characters.
    """

    rejected: int
    message: str


def from_protobuf(body: bytes) -> PartialSuccess | None:
    """The partial success in a protobuf response; ``None`` when there is none or the body is garbage."""
    try:
        rejected, message = 0, ""
        for number, value in _fields(body):
            if number == 1 and isinstance(value, bytes):
                for inner, content in _fields(value):
                    if inner == 1 and isinstance(content, int):
                        rejected = content
                    elif inner == 2 and isinstance(content, bytes):  # noqa: PLR2004 - error_message
                        message = content.decode("utf-8", "replace")
    except (IndexError, ValueError):
        return None
    return _partial_success(rejected, message)


def from_json(signal: Signal, body: bytes) -> PartialSuccess | None:
    """The partial success in a JSON response; ``None`` when there is none or the body is garbage."""
    try:
        document: Any = json.loads(body)
        partial = cast("dict[str, Any]", document["partialSuccess"])
        rejected = int(partial.get(_REJECTED[signal]) or 0)
        message = text(partial.get("errorMessage") or "")
    except Exception:
        return None
    return _partial_success(rejected, message)


def _partial_success(rejected: int, message: str) -> PartialSuccess | None:
    rejected = max(0, rejected) if rejected < 1 << 63 else 0
    message = _one_line(message)
    if not rejected and not message:
        return None
    return PartialSuccess(rejected, message)


def _fields(body: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a message, by number; fixed-size ones, which no response has, are left out.

    Raises:
        IndexError: The body ends inside a field.
        ValueError: The body is not protobuf.
    """
    fields: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(body):
        tag, at = _varint(body, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(body, at)
            fields.append((tag >> 3, value))
        elif kind == _LENGTH:
            size, at = _varint(body, at)
            if at + size > len(body):
                raise IndexError("the field is longer than the body")
            fields.append((tag >> 3, body[at : at + size]))
            at += size
        elif kind in {_FIXED64, _FIXED32}:
            at += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError("no such wire type")
    return fields


def _varint(body: bytes, at: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        byte = body[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result, at
    raise ValueError("a number of more than ten bytes")


def error_message(content_type: str, body: bytes) -> str:
    """What a receiver says about a request that it refused: a ``google.rpc.Status``, or plain text.

    Args:
        content_type: Of the response.
        body: Of the response; anything at all.

    Returns:
        One line without control characters, empty when there is nothing to read.
    """
    message = ""
    if "protobuf" in content_type:
        try:
            found = [value for number, value in _fields(body) if number == 2 and isinstance(value, bytes)]  # noqa: PLR2004 - message
        except (IndexError, ValueError):
            found = []
        message = found[0].decode("utf-8", "replace") if found else ""
    elif "json" in content_type:
        try:
            document: Any = json.loads(body)
            message = text(document.get("message") or "")
        except Exception:
            message = ""
    elif "text/plain" in content_type:
        message = body.decode("utf-8", "replace")
    return _one_line(message)


def _one_line(message: str) -> str:
    message = message[:_LONGEST_MESSAGE]
    return "".join(character if character.isprintable() else " " for character in message)
