"""Attributes and other values from protobuf; what was decoded once is found again by its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from otel_kpi.dev.wire.memory import LONGEST, Memory
from otel_kpi.dev.wire.protobuf_fields import SEVEN_BITS, double, fields, signed, text
from otel_kpi.dev.wire.values import MAX_DEPTH, TOO_DEEP, TOO_MANY, Budget, attribute

if TYPE_CHECKING:
    from otel_kpi.dev.telemetry import Attribute, Value

_KEY, _VALUE = 0x0A, 0x12
_STRING, _BOOL, _INT, _DOUBLE, _ARRAY, _MAP, _BYTES = 0x0A, 0x10, 0x18, 0x21, 0x2A, 0x32, 0x3A
_ITEM = 0x0A  # of an array or a map

known = Memory[bytes]()
_MOST_KEYS: Final = 10_000
_keys: dict[bytes, str] = {}


def learn(data: bytes, start: int, stop: int) -> Attribute:
    """A `KeyValue` that is not among the `known`.

    Raises:
        MalformedError: It is none, or one too many.
    """
    known.new()
    if stop - start > LONGEST:
        return _attribute(data, start, stop)
    raw = data[start:stop]
    result = _attribute(raw, 0, len(raw))
    known.keep(raw, len(raw), result)
    return result


def found(data: bytes, start: int, stop: int) -> Attribute:
    """The `KeyValue` between two positions.

    Raises:
        MalformedError: It is none.
    """
    return known.get(data[start:stop]) or learn(data, start, stop)


def _attribute(data: bytes, start: int, stop: int) -> Attribute:
    return attribute(*_pair(data, start, stop, 0, Budget()))


def _pair(data: bytes, start: int, stop: int, depth: int, budget: Budget) -> tuple[str, Value]:
    key = ""
    member = 0
    value: Value = None
    for tag, first, last in fields(data, start, stop):
        if tag == _KEY:
            key = _key(data[first:last])
        elif tag == _VALUE:
            member, value = _any(data, first, last, depth, budget, member, value)
    return key, value


def _key(raw: bytes) -> str:
    key = _keys.get(raw)
    if key is None:
        key = raw.decode("utf-8", "replace")
        if len(raw) <= LONGEST:
            if len(_keys) >= _MOST_KEYS:
                _keys.clear()
            _keys[raw] = key
    return key


def any_value(data: bytes, start: int, stop: int, member: int, value: Value) -> tuple[int, Value]:
    """An `AnyValue`; of several for one field protobuf makes one.

    Args:
        data: The body.
        start: Where it begins.
        stop: Where it ends.
        member: What was returned for the one before, or 0.
        value: The same, or None.
    """
    return _any(data, start, stop, 0, Budget(), member, value)


def _any(  # noqa: C901, PLR0912, PLR0913, PLR0917 - a branch for each type of value; objects would cost more than the rest
    data: bytes, start: int, stop: int, depth: int, budget: Budget, member: int, value: Value
) -> tuple[int, Value]:
    """The last member that is set, and its value; lists and maps that come twice are one."""
    if start < stop and data[start] == _STRING:  # what nearly every value is
        size = data[start + 1]
        if size < SEVEN_BITS and start + 2 + size == stop:
            return _STRING, text(data, start + 2, stop)
    for tag, first, last in fields(data, start, stop):
        if tag == _STRING:
            value = text(data, first, last)
        elif tag == _BOOL:
            value = first != 0
        elif tag == _INT:
            value = signed(first)
        elif tag == _DOUBLE:
            (value,) = double(data, first)
        elif tag == _BYTES:
            value = data[first:last]
        elif tag in {_ARRAY, _MAP}:
            if depth >= MAX_DEPTH:
                value = TOO_DEEP
            elif tag == _ARRAY:
                items = cast("list[Value]", value) if member == _ARRAY and type(value) is list else []
                _array(data, first, last, depth + 1, budget, items)
                value = items
            else:
                pairs = cast("dict[str, Value]", value) if member == _MAP and type(value) is dict else {}
                _map(data, first, last, depth + 1, budget, pairs)
                value = pairs
        else:
            continue
        member = tag
    return member, value


def _array(  # noqa: PLR0913, PLR0917 - the same
    data: bytes, start: int, stop: int, depth: int, budget: Budget, items: list[Value]
) -> None:
    for tag, first, last in fields(data, start, stop):
        if tag == _ITEM:
            budget.left -= 1
            if budget.left < 0:
                if budget.left == -1:
                    items.append(TOO_MANY)
                return
            items.append(_any(data, first, last, depth, budget, 0, None)[1])


def _map(  # noqa: PLR0913, PLR0917 - the same
    data: bytes, start: int, stop: int, depth: int, budget: Budget, pairs: dict[str, Value]
) -> None:
    for tag, first, last in fields(data, start, stop):
        if tag == _ITEM:
            budget.left -= 1
            if budget.left < 0:
                if budget.left == -1:
                    pairs[TOO_MANY] = TOO_MANY
                return
            key, value = _pair(data, first, last, depth, budget)
            pairs[key] = value
