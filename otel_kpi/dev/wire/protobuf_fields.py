"""Protobuf's wire format: tags, numbers, lengths, and how what is unknown is stepped over.

A message is a range of the body's bytes: nothing is copied before a leaf is read. What these functions read beyond the end of
the body raises IndexError or `struct.error`; `protobuf.decode` makes a MalformedError of them.
Source: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import TYPE_CHECKING

from otel_kpi.dev.telemetry import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VARINT, FIXED64, LENGTH, GROUP, END_GROUP, FIXED32 = range(6)
"""Wire types."""
SEVEN_BITS = 0x80
_LONGEST_VARINT = 70  # bits of ten bytes
_MAX_TAG = (1 << 32) - 1
_MAX_GROUPS = 100  # one inside of another, as deep as protobuf's own parsers go
_INT64 = 1 << 63
_UINT64 = (1 << 64) - 1

fixed64 = Struct("<Q").unpack_from
sfixed64 = Struct("<q").unpack_from
double = Struct("<d").unpack_from
fixed32 = Struct("<I").unpack_from


def varint(data: bytes, position: int) -> tuple[int, int]:
    """An unsigned number of up to 64 bits, and where the next thing begins."""
    result = shift = 0
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < SEVEN_BITS:
            return result & _UINT64, position
        shift += 7
        if shift >= _LONGEST_VARINT:
            raise MalformedError(f"byte {position}: a number of more than ten bytes")


def signed(number: int) -> int:
    """What an `int64` says."""
    return number - (1 << 64) if number >= _INT64 else number


def int32(number: int) -> int:
    """What an `int32` or an `enum` says; more bits than it has are cut off."""
    number &= 0xFFFF_FFFF
    return number - (1 << 32) if number >> 31 else number


def sint32(number: int) -> int:
    """What a `sint32` says: zigzag."""
    number &= 0xFFFF_FFFF
    return (number >> 1) ^ -(number & 1)


def text(data: bytes, start: int, stop: int) -> str:
    """A string.

    Protobuf's parsers refuse a whole request for one byte that is no UTF-8; the Collector does not look. Here the byte
    becomes U+FFFD: the rest of the request is worth more.
    """
    return data[start:stop].decode("utf-8", "replace")


def doubles(data: bytes, start: int, stop: int, most: int) -> Sequence[float]:
    """A packed `repeated double`, the first of them."""
    return unpack_from(f"<{_count(start, stop, most)}d", data, start)


def fixed64s(data: bytes, start: int, stop: int, most: int) -> Sequence[int]:
    """A packed `repeated fixed64`, the first of them."""
    return unpack_from(f"<{_count(start, stop, most)}Q", data, start)


def varints(data: bytes, start: int, stop: int, most: int) -> Sequence[int]:
    """A packed `repeated uint64`, the first of them."""
    if max(data[start:stop], default=0) < SEVEN_BITS:
        return data[start : min(stop, start + most)]
    result: list[int] = []
    while start < stop and len(result) < most:
        number, start = varint(data, start)
        result.append(number)
    if start > stop:
        raise overrun(start, stop)
    return result


def _count(start: int, stop: int, most: int) -> int:
    count, rest = divmod(stop - start, 8)
    if rest:
        raise MalformedError(f"byte {start}: {stop - start} bytes are no numbers of eight each")
    return min(count, most)


def fields(data: bytes, position: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The fields of a message.

    Yields:
        The tag (`number << 3 | wire type`), and of a `LENGTH` or fixed field where its content begins and ends; of a
        `VARINT` the number, and 0.

    Raises:
        MalformedError: It is no message.
    """
    while position < end:
        tag = data[position]
        start = position + 1
        if tag >= SEVEN_BITS:
            tag, start = varint(data, position)
        wire = tag & 7
        if tag < 8:  # noqa: PLR2004 - no number
            skip(data, tag, start)
        if wire == LENGTH:
            size = data[start]
            start += 1
            if size >= SEVEN_BITS:
                size, start = varint(data, start - 1)
            position = start + size
            if position > end:
                raise overrun(position, end, tag)
            yield tag, start, position
        elif wire == VARINT:
            number, position = varint(data, start)
            yield tag, number, 0
        else:
            position = skip(data, tag, start)
            yield tag, start, position
    if position > end:
        raise overrun(position, end)


def overrun(position: int, end: int, tag: int = 0) -> MalformedError:
    """What to say of a field that ends behind its message."""
    field = f"field {tag >> 3} " if tag else "a field "
    return MalformedError(
        f"byte {end}: {field}goes on for {position - end} more bytes, but its message ends here"
    )


def skip(  # noqa: C901, PLR0912 - a branch for each wire type
    data: bytes, tag: int, position: int
) -> int:
    """Where the content ends that follows a tag.

    Raises:
        MalformedError: There is no such tag, or a group does not end.
    """
    groups: list[int] = []
    while True:
        number, wire = tag >> 3, tag & 7
        if not number or tag > _MAX_TAG:
            raise MalformedError(f"byte {position}: there is no field number {number}")
        if wire == VARINT:
            _, position = varint(data, position)
        elif wire == LENGTH:
            size, position = varint(data, position)
            position += size
        elif wire == FIXED64:
            position += 8
        elif wire == FIXED32:
            position += 4
        elif wire == GROUP:
            groups.append(number)
            if len(groups) > _MAX_GROUPS:
                raise MalformedError(f"byte {position}: groups are nested too deeply")
        elif wire == END_GROUP:
            if not groups or groups.pop() != number:
                raise MalformedError(f"byte {position}: the end of a group {number} that did not begin")
        else:
            raise MalformedError(
                f"byte {position}: field {number} has wire type {wire}, which does not exist"
            )
        if not groups:
            if position > len(data):
                raise overrun(position, len(data), tag)
            return position
        tag, position = varint(data, position)
