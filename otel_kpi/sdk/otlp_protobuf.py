"""OTLP fields as protobuf, written directly: no protobuf package, no descriptors, no message objects.

Wire format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from otel_kpi.sdk.otlp_values import INT64_MAX, INT64_MIN, plain, text
from otel_kpi.sdk.otlp_writer import SEVEN_BITS, Field, Memory, Writer, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_UINT32 = Struct("<I").pack
_UINT64 = Struct("<Q").pack
_INT64 = Struct("<q").pack
_DOUBLE = Struct("<d").pack

# The fields of a span that are always there and of fixed size, in one call:
# trace_id, span_id, kind, start_time_unix_nano, end_time_unix_nano, flags.
_SPAN_HEAD = Struct("<2s16s2s8ssBsQsQ2sI").pack

# A KeyValue is `key 12 <size> value`, a value that is a text `0a <size> text`.
_VALUE_HEAD = [bytes((0x12, size)) for size in range(SEVEN_BITS)]
_TEXT_HEAD = [bytes((0x0A, size)) for size in range(SEVEN_BITS)]

_WORD = (1 << 64) - 1


class ProtobufWriter(Writer[bytes]):
    """Writes ``http/protobuf``."""

    def __init__(self) -> None:
        self._memory = Memory[bytes]()

    @override
    def join(self, pieces: Iterable[bytes]) -> bytes:
        return b"".join(pieces)

    @override
    def document(self, content: bytes) -> bytes:
        return content

    @override
    def span_head(
        self, name: str, trace_id: int, span_id: int, kind: int, start: int, end: int, flags: int
    ) -> bytes:
        try:
            label = name.encode() if type(name) is str else text(name).encode()
        except UnicodeEncodeError:
            label = text(name).encode()
        size = len(label)
        return (
            _SPAN_HEAD(
                b"\x0a\x10",
                trace_id.to_bytes(16, "big"),
                b"\x12\x08",
                span_id.to_bytes(8, "big"),
                b"0",
                kind,
                b"9",
                start,
                b"A",
                end,
                b"\x85\x01",
                flags,
            )
            + b"*"
            + varint(size)
            + label
        )

    @override
    def attributes(self, field: Field, attributes: Mapping[str, Any]) -> bytes:
        pieces: list[bytes] = []
        keys = self._memory.keys
        for key, value in attributes.items():
            encoded_key, values = keys.get(key) or self._remember(key)
            kind = type(value)
            if kind is str or kind is int:  # by type: True and 1.0 would be found under 1
                piece = values.get(value)
                if piece is None:
                    content = _text(value) if kind is str else _any_value(value)
                    piece = self._memory.value(values, value, _key_value(encoded_key, content))
            else:
                piece = _key_value(encoded_key, _any_value(value))
            pieces.append(piece)
        tag = field.as_length
        return tag + tag.join(pieces)

    def _remember(self, key: object) -> tuple[bytes, dict[str | int, bytes]]:
        label = text(key).encode()
        return self._memory.key(key, b"\x0a" + varint(len(label)) + label)

    @override
    def any_value(self, field: Field, value: object) -> bytes:
        return self.message(field, _any_value(value))

    @override
    def message(self, field: Field, content: bytes) -> bytes:
        return field.as_length + varint(len(content)) + content

    @override
    def messages(self, field: Field, contents: Sequence[bytes]) -> bytes:
        tag = field.as_length
        return b"".join([tag + varint(len(content)) + content for content in contents])

    @override
    def string(self, field: Field, value: str) -> bytes:
        content = text(value).encode()
        return field.as_length + varint(len(content)) + content

    @override
    def trace_id(self, field: Field, value: int) -> bytes:
        return field.as_length + b"\x10" + value.to_bytes(16, "big")

    @override
    def span_id(self, field: Field, value: int) -> bytes:
        return field.as_length + b"\x08" + value.to_bytes(8, "big")

    @override
    def uint32(self, field: Field, value: int) -> bytes:
        return field.as_varint + varint(value)

    @override
    def sint32(self, field: Field, value: int) -> bytes:
        return field.as_varint + varint(value << 1 if value >= 0 else (-value << 1) - 1)

    @override
    def boolean(self, field: Field, *, value: bool) -> bytes:
        return field.as_varint + (b"\x01" if value else b"\x00")

    @override
    def fixed32(self, field: Field, value: int) -> bytes:
        return field.as_fixed32 + _UINT32(value)

    @override
    def fixed64(self, field: Field, value: int) -> bytes:
        return field.as_fixed64 + _UINT64(value)

    @override
    def sfixed64(self, field: Field, value: int) -> bytes:
        return field.as_fixed64 + _INT64(value)

    @override
    def double(self, field: Field, value: float) -> bytes:
        return field.as_fixed64 + _DOUBLE(value)

    @override
    def fixed64s(self, field: Field, values: Sequence[int]) -> bytes:
        return self.message(field, Struct(f"<{len(values)}Q").pack(*values))

    @override
    def uint64s(self, field: Field, values: Sequence[int]) -> bytes:
        return self.message(field, b"".join([varint(value) for value in values]))

    @override
    def doubles(self, field: Field, values: Sequence[float]) -> bytes:
        return self.message(field, Struct(f"<{len(values)}d").pack(*values))


def _key_value(encoded_key: bytes, content: bytes) -> bytes:
    """The size and content of a ``KeyValue``, from its key field and the content of its value."""
    size = len(content)
    head = _VALUE_HEAD[size] if size < SEVEN_BITS else b"\x12" + varint(size)
    return varint(len(encoded_key) + len(head) + size) + encoded_key + head + content


def _text(value: str) -> bytes:
    try:
        content = value.encode()
    except UnicodeEncodeError:
        content = text(value).encode()
    size = len(content)
    return (_TEXT_HEAD[size] if size < SEVEN_BITS else b"\x0a" + varint(size)) + content


def _any_value(value: Any) -> bytes:
    """The content of an ``AnyValue``, from a value of any type."""
    kind = type(value)
    if kind is int and INT64_MIN <= value <= INT64_MAX:
        return b"\x18" + varint(value & _WORD)
    if kind is float:
        return b"\x21" + _DOUBLE(value)
    return _plain_value(plain(value))


def _plain_value(value: Any) -> bytes:  # noqa: C901, PLR0911 - one for each type
    if value is None:
        return b""
    if value is True:
        return b"\x10\x01"
    if value is False:
        return b"\x10\x00"
    kind = type(value)
    if kind is str:
        content = value.encode()
        return b"\x0a" + varint(len(content)) + content
    if kind is int:
        return b"\x18" + varint(value & _WORD)
    if kind is float:
        return b"\x21" + _DOUBLE(value)
    if kind is bytes:
        return b"\x3a" + varint(len(value)) + value
    pieces: list[bytes] = []
    if kind is list:
        for item in value:
            content = _plain_value(item)
            pieces += (b"\x0a", varint(len(content)), content)
        tag = b"\x2a"
    else:
        for key, item in value.items():
            label = key.encode()
            content = _plain_value(item)
            content = b"".join((b"\x0a", varint(len(label)), label, b"\x12", varint(len(content)), content))
            pieces += (b"\x0a", varint(len(content)), content)
        tag = b"\x32"
    content = b"".join(pieces)
    return tag + varint(len(content)) + content
