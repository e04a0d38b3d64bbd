"""Bodies that are packed, unpacked up to a limit: a small one may become a very large one."""

from __future__ import annotations

import zlib
from http import HTTPStatus
from typing import Final

from otel_kpi.dev.receiver.status import (
    INVALID_ARGUMENT,
    RESOURCE_EXHAUSTED,
    UNIMPLEMENTED,
    RefusedError,
    Status,
)

ENCODINGS: Final = ("gzip", "deflate")
"""What is understood beside what is not packed."""

_ANY: Final = zlib.MAX_WBITS | 32
"""Gzip or zlib, by the first bytes."""
_MOST_MEMBERS: Final = 100
"""Files in one body: what is left after each is copied, and a million empty ones would take minutes."""


def check(encoding: str) -> None:
    """Refuse a body before it is read.

    Raises:
        RefusedError: It is packed in a way that is not known here.
    """
    if encoding not in ("", "identity", "none", *ENCODINGS):
        # Quoted by `ascii`: what a sender wrote goes into a header.
        message = f"content encoding {encoding[:40]!a} is not known here: gzip, deflate or none"
        raise RefusedError(Status(UNIMPLEMENTED, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message))


def unpack(body: bytes, encoding: str, most: int) -> bytes:
    """The body as it was before it was packed.

    Args:
        body: As it came.
        encoding: Of `ENCODINGS`; any other leaves it as it is.
        most: Bytes at most.

    Raises:
        RefusedError: It is damaged or cut off, in too many parts, or there are more bytes.
    """
    if encoding not in ENCODINGS:
        return body
    unpacked: list[bytes] = []
    length = 0
    rest = body
    for _ in range(_MOST_MEMBERS):  # a file of gzip may be several, one after the other
        stream = zlib.decompressobj(_ANY)
        try:
            piece = stream.decompress(rest, most - length + 1)
        except zlib.error as error:
            raise _damaged(encoding, str(error)) from None
        length += len(piece)
        if length > most:
            raise too_large(most)
        unpacked.append(piece)
        if not stream.eof:
            raise _damaged(encoding, "it ends too early")
        rest = stream.unused_data
        if not rest:
            return b"".join(unpacked)
    raise _damaged(encoding, f"it is more than {_MOST_MEMBERS} files in one")


def too_large(most: int) -> RefusedError:
    """What is said of a body that is larger than it may be."""
    message = f"the request is larger than {most} bytes unpacked; send smaller batches"
    return RefusedError(Status(RESOURCE_EXHAUSTED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message))


def _damaged(encoding: str, why: str) -> RefusedError:
    message = f"the body is no {encoding}: {why}"
    return RefusedError(Status(INVALID_ARGUMENT, HTTPStatus.BAD_REQUEST, message))
