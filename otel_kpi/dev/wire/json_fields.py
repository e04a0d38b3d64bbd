"""Single fields of OTLP/JSON, and a document of it.

The mapping is proto3's, with ids in hexadecimal and enumerations as numbers; what proto3's own parsers also accept is accepted
(names in snake_case, names of enumerations, 64-bit numbers as text or as numbers, null for what is absent).
Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import re
from base64 import b64decode
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from otel_kpi.dev.telemetry import MalformedError
from otel_kpi.dev.wire.values import MAX_CONTAINERS, MAX_SEPARATORS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Message = dict[str, Any]

_BOM: Final = b"\xef\xbb\xbf"
_ESCAPES: Final = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_INT64: Final = 1 << 63
_UINT64: Final = 1 << 64
_DIGITS: Final = 20  # of the longest 64-bit number, with its sign
# Python reads more than these: spaces, underscores, digits of other scripts.
_WHOLE: Final = re.compile(r"-?\d+", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_DOUBLES: Final = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def document(body: bytes) -> Message:
    """The outermost message.

    Half of a pair of surrogates (JavaScript cuts texts where it likes) and bytes that are no UTF-8 become U+FFFD, as they do
    in protobuf.

    Raises:
        MalformedError: It is no JSON, or no object.
    """
    body = body.removeprefix(_BOM)
    if body.count(b"{") + body.count(b"[") > MAX_CONTAINERS or body.count(b",") > MAX_SEPARATORS:
        raise MalformedError(f"it has more than {MAX_CONTAINERS} objects and lists; send smaller batches")
    try:
        return members(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        problem = str(error)
    mended = body.decode("utf-8", "replace").encode()
    mended = _ESCAPES.sub(lambda found: rb"\ufffd" if found[1] else found[0], mended)
    try:
        if mended != body:
            return members(orjson.loads(mended))
    except orjson.JSONDecodeError as error:
        problem = str(error)
    raise MalformedError(f"it is no JSON: {problem}")


def members(message: object) -> Message:
    """The fields of a message, by the names that JSON has for them."""
    if type(message) is not dict:
        raise MalformedError(f"an object belongs here, not {shown(message)}")
    found = cast("Message", message)
    if "_" in "".join(found):
        return {_camel(name): value for name, value in found.items()}
    return found


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join([word.capitalize() for word in others])


def shown(value: object) -> str:
    """The beginning of what was sent instead, for the text of an error."""
    text = ascii(value) if type(value) in {str, int, float, bool} else ""
    return text[:60] or {"NoneType": "null", "dict": "an object", "list": "a list"}.get(
        type(value).__name__, "that"
    )


def items(message: Message, name: str) -> Sequence[Any]:
    """A repeated field."""
    value = message.get(name)
    if value is None:
        return ()
    if type(value) is not list:
        raise MalformedError(f"{name}: a list belongs here, not {shown(value)}")
    return cast("list[Any]", value)


def string(message: Message, name: str) -> str:
    """A text; empty where it is absent."""
    value = message.get(name)
    if type(value) is str:
        return value
    if value is None:
        return ""
    raise MalformedError(f"{name}: a text belongs here, not {shown(value)}")


def integer(name: str, value: object, least: int, beyond: int) -> int:
    """A number that is whole: as JSON's number, or as text because a double has no room for 64 bits."""
    number: int | None = None
    if type(value) is int:
        number = value
    elif (type(value) is str and len(value) <= _DIGITS and _WHOLE.fullmatch(value)) or (
        type(value) is float and value.is_integer()
    ):
        number = int(value)
    if number is None or not least <= number < beyond:
        raise MalformedError(
            f"{name}: a whole number of {least} to {beyond - 1} belongs here, not {shown(value)}"
        )
    return number


def uint64(message: Message, name: str) -> int:
    """A number of 64 bits; 0 where it is absent."""
    value = message.get(name)
    return 0 if value is None else integer(name, value, 0, _UINT64)


def int64(name: str, value: object) -> int:
    """A number of 64 bits with its sign."""
    return integer(name, value, -_INT64, _INT64)


def uint32(message: Message, name: str) -> int:
    """A number of 32 bits; 0 where it is absent."""
    value = message.get(name)
    return 0 if value is None else integer(name, value, 0, 1 << 32)


def sint32(message: Message, name: str) -> int:
    """A number of 32 bits with its sign; 0 where it is absent."""
    value = message.get(name)
    return 0 if value is None else integer(name, value, -(1 << 31), 1 << 31)


def double(name: str, value: object) -> float:
    """A double: a number, or as text what JSON has no number for."""
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str:
        if value in _DOUBLES:
            return _DOUBLES[value]
        if _NUMBER.fullmatch(value):
            return float(value)
    raise MalformedError(f"{name}: a number belongs here, not {shown(value)}")


def optional_double(message: Message, name: str) -> float | None:
    """A double, or None where it is absent."""
    value = message.get(name)
    return None if value is None else double(name, value)


def number(message: Message, name: str) -> float:
    """A double; 0 where it is absent."""
    value = message.get(name)
    return 0.0 if value is None else double(name, value)


def boolean(name: str, value: object) -> bool:
    """True or false; absent is false."""
    if type(value) is bool:
        return value
    if value is None:
        return False
    raise MalformedError(f"{name}: true or false belongs here, not {shown(value)}")


def enumeration(message: Message, name: str, names: Mapping[str, int]) -> int:
    """The number of a value of an enumeration; 0 where it is absent, -1 where nobody knows its name."""
    value = message.get(name)
    if type(value) is int:
        return value
    if value is None:
        return 0
    if type(value) is str and not value.lstrip("-").isdecimal():
        return names.get(value, -1)
    return integer(name, value, -(1 << 31), 1 << 31)


def identifier(message: Message, name: str) -> bytes | None:
    """An id; empty where it is absent, None where it is not hexadecimal."""
    value = string(message, name)
    try:
        return bytes.fromhex(value)
    except ValueError:
        return None


def binary(name: str, value: object) -> bytes:
    """Bytes, in either alphabet of base64, padded or not."""
    if type(value) is str:
        try:
            return b64decode(
                value.replace("-", "+").replace("_", "/").rstrip("=") + "=" * (-len(value.rstrip("=")) % 4),
                validate=True,
            )
        except ValueError:
            pass
    raise MalformedError(f"{name}: base64 belongs here, not {shown(value)}")
