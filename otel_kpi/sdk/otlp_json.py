"""OTLP fields as JSON.

The mapping of https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding: that of proto3, except
that ids are hexadecimal and enumerations are numbers.
"""

from __future__ import annotations

from base64 import b64encode
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from otel_kpi.sdk.otlp_values import plain, text
from otel_kpi.sdk.otlp_writer import Field, Memory, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SPAN_HEAD = (
    '"traceId":"%032x","spanId":"%016x","flags":%d,"name":%s,"kind":%d,'
    '"startTimeUnixNano":"%d","endTimeUnixNano":"%d"'
)


class JsonWriter(Writer[str]):
    """Writes ``http/json``."""

    def __init__(self) -> None:
        self._memory = Memory[str]()

    @override
    def join(self, pieces: Iterable[str]) -> str:
        return ",".join(pieces)

    @override
    def document(self, content: str) -> bytes:
        return f"{{{content}}}".encode()

    @override
    def span_head(
        self, name: str, trace_id: int, span_id: int, kind: int, start: int, end: int, flags: int
    ) -> str:
        if (trace_id >> 128) | (span_id >> 64) | (start >> 64) | (end >> 64):
            raise OverflowError("a number of the span does not fit its field")
        return _SPAN_HEAD % (trace_id, span_id, flags, _quote(name), kind, start, end)

    @override
    def attributes(self, field: Field, attributes: Mapping[str, Any]) -> str:
        pieces: list[str] = []
        keys = self._memory.keys
        for key, value in attributes.items():
            opening, values = keys.get(key) or self._remember(key)
            kind = type(value)
            if kind is str or kind is int:  # by type: True and 1.0 would be found under 1
                piece = values.get(value)
                if piece is None:
                    content = f'"stringValue":{_quote(value)}' if kind is str else _plain_value(plain(value))
                    piece = self._memory.value(values, value, f"{opening}{content}}}}}")
            else:
                piece = f"{opening}{_plain_value(plain(value))}}}}}"
            pieces.append(piece)
        return f"{field.member}[{','.join(pieces)}]"

    def _remember(self, key: object) -> tuple[str, dict[str | int, str]]:
        return self._memory.key(key, f'{{"key":{encode_basestring(text(key))},"value":{{')

    @override
    def any_value(self, field: Field, value: object) -> str:
        return f"{field.member}{{{_plain_value(plain(value))}}}"

    @override
    def message(self, field: Field, content: str) -> str:
        return f"{field.member}{{{content}}}"

    @override
    def messages(self, field: Field, contents: Sequence[str]) -> str:
        return f"{field.member}[{{{'},{'.join(contents)}}}]"

    @override
    def string(self, field: Field, value: str) -> str:
        return field.member + _quote(value)

    @override
    def trace_id(self, field: Field, value: int) -> str:
        return f'{field.member}"{_fits(value, 128):032x}"'

    @override
    def span_id(self, field: Field, value: int) -> str:
        return f'{field.member}"{_fits(value, 64):016x}"'

    @override
    def uint32(self, field: Field, value: int) -> str:
        return f"{field.member}{_fits(value, 32):d}"

    @override
    def sint32(self, field: Field, value: int) -> str:
        return f"{field.member}{value:d}"

    @override
    def boolean(self, field: Field, *, value: bool) -> str:
        return field.member + ("true" if value else "false")

    @override
    def fixed32(self, field: Field, value: int) -> str:
        return f"{field.member}{_fits(value, 32):d}"

    @override
    def fixed64(self, field: Field, value: int) -> str:
        return f'{field.member}"{_fits(value, 64):d}"'

    @override
    def sfixed64(self, field: Field, value: int) -> str:
        return f'{field.member}"{value:d}"'

    @override
    def double(self, field: Field, value: float) -> str:
        return field.member + _double(value)

    @override
    def fixed64s(self, field: Field, values: Sequence[int]) -> str:
        items = ",".join([f'"{_fits(value, 64):d}"' for value in values])
        return f"{field.member}[{items}]"

    @override
    def uint64s(self, field: Field, values: Sequence[int]) -> str:
        return self.fixed64s(field, values)

    @override
    def doubles(self, field: Field, values: Sequence[float]) -> str:
        return f"{field.member}[{','.join([_double(value) for value in values])}]"


def _fits(value: int, bits: int) -> int:
    """The unsigned number itself; a receiver would refuse the whole request for one that is too large."""
    if value >> bits:
        raise OverflowError(f"{value} does not fit {bits} bits")
    return value


def _quote(value: str) -> str:
    """A JSON string; other types as their text, lone surrogates replaced."""
    if type(value) is str and value.isascii():
        return encode_basestring(value)
    return encode_basestring(text(value))


def _double(value: float) -> str:
    """A JSON number, or the name that proto3 gives to what JSON cannot say."""
    number = float(value)
    if number != number:  # noqa: PLR0124 - NaN is the one value that differs from itself
        return '"NaN"'
    if number in (float("inf"), float("-inf")):
        return '"Infinity"' if number > 0 else '"-Infinity"'
    return float.__repr__(number)


def _plain_value(value: Any) -> str:  # noqa: PLR0911 - one for each type
    """The one member of an ``AnyValue``, or none at all, from a value that ``plain`` returned."""
    if value is None:
        return ""
    if value is True:
        return '"boolValue":true'
    if value is False:
        return '"boolValue":false'
    kind = type(value)
    if kind is str:
        return f'"stringValue":{encode_basestring(value)}'
    if kind is int:
        return f'"intValue":"{value}"'
    if kind is float:
        return f'"doubleValue":{_double(value)}'
    if kind is bytes:
        return f'"bytesValue":"{b64encode(value).decode()}"'
    if kind is list:
        items = ",".join([f"{{{_plain_value(item)}}}" for item in value])
        return f'"arrayValue":{{"values":[{items}]}}'
    items = ",".join(
        [
            f'{{"key":{encode_basestring(key)},"value":{{{_plain_value(item)}}}}}'
            for key, item in value.items()
        ]
    )
    return f'"kvlistValue":{{"values":[{items}]}}'
