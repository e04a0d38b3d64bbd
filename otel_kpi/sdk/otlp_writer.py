"""What the walks over spans, metrics and logs ask of an encoding.

A walk (``otlp_spans``, ``otlp_metrics``, ``otlp_logs``) knows which fields a message has and when they
are left out. A writer knows how one field looks on the wire. There are two of them: ``otlp_protobuf``
writes ``bytes`` pieces, ``otlp_json`` writes ``str`` pieces, and a walk joins whatever it is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Piece = TypeVar("Piece", bytes, str)


SEVEN_BITS = 0x80
"""What one byte of a varint holds."""


def varint(number: int) -> bytes:
    """An unsigned integer in protobuf's base 128, low groups first.

    Raises:
        ValueError: The number is negative.
    """
    if 0 <= number < len(SHORT_VARINTS):
        return SHORT_VARINTS[number]
    return _varint(number)


def _varint(number: int) -> bytes:
    result = bytearray()
    while number >= SEVEN_BITS:
        result.append(number & 0x7F | 0x80)
        number >>= 7
    result.append(number)  # a negative number raises here
    return bytes(result)


SHORT_VARINTS = [_varint(number) for number in range(2048)]
"""Nearly every size in a request."""


class Field:
    """One field of a message: its protobuf tag for each wire type, and its JSON member name."""

    __slots__ = ("as_fixed32", "as_fixed64", "as_length", "as_varint", "member")

    def __init__(self, number: int, name: str) -> None:
        """Prepare every form of the tag once.

        Args:
            number: The field number of the ``.proto`` file.
            name: The name of the ``.proto`` file; JSON uses its lowerCamelCase.
        """
        first, *others = name.split("_")
        self.member = f'"{first}{"".join(word.capitalize() for word in others)}":'
        self.as_varint = varint(number << 3)
        self.as_fixed64 = varint(number << 3 | 1)
        self.as_length = varint(number << 3 | 2)
        self.as_fixed32 = varint(number << 3 | 5)


class Memory(Generic[Piece]):
    """What an application repeats, kept encoded: attribute keys, and for each of them its common values.

    Bounded to a megabyte or two. When it is full it begins anew: what is really repeated is back within
    one batch.

    Attributes:
        keys: By attribute key, its encoded form and the encoded attributes by value, a text or an integer.
    """

    ENTRIES = 4096
    VALUES_OF_A_KEY = 32  # methods and routes repeat, paths and ids do not
    LONGEST = 256  # bytes of an encoded key or attribute; what is longer seldom repeats

    def __init__(self) -> None:
        self.keys: dict[str, tuple[Piece, dict[str | int, Piece]]] = {}
        self._entries = 0

    def key(self, key: object, encoded: Piece) -> tuple[Piece, dict[str | int, Piece]]:
        """Remember a key, unless it is not one that repeats."""
        values: dict[str | int, Piece] = {}
        if type(key) is str and len(encoded) <= self.LONGEST:
            self._count()
            self.keys[key] = (encoded, values)
        return encoded, values

    def value(self, values: dict[str | int, Piece], value: str | int, encoded: Piece) -> Piece:
        """Remember one value of a key, unless it is long or the key has many."""
        if len(values) < self.VALUES_OF_A_KEY and len(encoded) <= self.LONGEST:
            self._count()
            values[value] = encoded
        return encoded

    def _count(self) -> None:
        if self._entries >= self.ENTRIES:
            self.keys.clear()
            self._entries = 0
        self._entries += 1


class Writer(ABC, Generic[Piece]):
    """Writes single fields. A message is the ``join`` of its fields; an absent field is no piece at all.

    Numbers that do not fit their field raise: the item that they belong to is then skipped.
    """

    @abstractmethod
    def join(self, pieces: Iterable[Piece]) -> Piece:
        """The fields of one message, in any order, as its content."""

    @abstractmethod
    def document(self, content: Piece) -> bytes:
        """The content of the outermost message as the body of a request."""

    @abstractmethod
    def span_head(  # noqa: PLR0913, PLR0917 - a call for each field would cost more than the encoding
        self, name: str, trace_id: int, span_id: int, kind: int, start: int, end: int, flags: int
    ) -> Piece:
        """The fields that every span has, in one go: times in nanoseconds, ids as integers."""

    @abstractmethod
    def attributes(self, field: Field, attributes: Mapping[str, Any]) -> Piece:
        """A repeated ``KeyValue``; the mapping is not empty. Values of any type; never raises."""

    @abstractmethod
    def any_value(self, field: Field, value: object) -> Piece:
        """An ``AnyValue``. Values of any type; never raises."""

    @abstractmethod
    def message(self, field: Field, content: Piece) -> Piece:
        """A message inside a message."""

    @abstractmethod
    def messages(self, field: Field, contents: Sequence[Piece]) -> Piece:
        """A repeated message; the sequence is not empty."""

    @abstractmethod
    def string(self, field: Field, value: str) -> Piece:
        """A ``string``; other types become their text."""

    @abstractmethod
    def trace_id(self, field: Field, value: int) -> Piece:
        """Sixteen bytes."""

    @abstractmethod
    def span_id(self, field: Field, value: int) -> Piece:
        """Eight bytes."""

    @abstractmethod
    def uint32(self, field: Field, value: int) -> Piece:
        """An ``uint32`` or an ``enum``."""

    @abstractmethod
    def sint32(self, field: Field, value: int) -> Piece:
        """A ``sint32``: protobuf writes small negative numbers in few bytes."""

    @abstractmethod
    def boolean(self, field: Field, *, value: bool) -> Piece:
        """A ``bool``."""

    @abstractmethod
    def fixed32(self, field: Field, value: int) -> Piece:
        """A ``fixed32``."""

    @abstractmethod
    def fixed64(self, field: Field, value: int) -> Piece:
        """A ``fixed64``."""

    @abstractmethod
    def sfixed64(self, field: Field, value: int) -> Piece:
        """An ``sfixed64``."""

    @abstractmethod
    def double(self, field: Field, value: float) -> Piece:
        """A ``double``; NaN and the infinities included."""

    @abstractmethod
    def fixed64s(self, field: Field, values: Sequence[int]) -> Piece:
        """A packed ``repeated fixed64``."""

    @abstractmethod
    def uint64s(self, field: Field, values: Sequence[int]) -> Piece:
        """A packed ``repeated uint64``."""

    @abstractmethod
    def doubles(self, field: Field, values: Sequence[float]) -> Piece:
        """A packed ``repeated double``."""
