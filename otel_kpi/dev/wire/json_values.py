"""Attributes and other values from OTLP/JSON; what came before is found again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_kpi.dev.wire.json_fields import Message, binary, boolean, double, int64, items, members, string
from otel_kpi.dev.wire.memory import Memory
from otel_kpi.dev.wire.values import MAX_DEPTH, TOO_DEEP, TOO_MANY, Budget, attribute

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_kpi.dev.telemetry import Attribute, Value

_REMEMBERED: Final = frozenset((str, int))
"""Types of values."""
known = Memory[tuple[Any, ...]]()


def attributes(message: Message, name: str = "attributes") -> tuple[Attribute, ...]:
    """The attributes of a message.

    Raises:
        MalformedError: They are none.
    """
    find = known.get
    result: list[Attribute] = []
    for pair in items(message, name):
        try:
            key = pair["key"]
            document = pair["value"]
            value = document.get("stringValue")
            place = key, value
            if value is None:
                value = document.get("intValue")
                place = key, "intValue", value  # it may be written as a text, too
        except (KeyError, TypeError, AttributeError):  # not as it mostly is
            key = value = None
            place = ()
        # Only of these types: a memory would find True and 1.0 under 1.
        if type(key) is str and type(value) in _REMEMBERED:
            result.append(find(place) or _learn(place, pair))
        else:
            known.new()
            result.append(attribute(*_pair(pair, 0, Budget())))
    return tuple(result)


def _learn(place: tuple[Any, ...], pair: object) -> Attribute:
    """An attribute that is not among the known."""
    known.new()
    result = attribute(*_pair(pair, 0, Budget()))
    known.keep(place, sum([len(str(each)) for each in place]), result)
    return result


def _pair(pair: object, depth: int, budget: Budget) -> tuple[str, Value]:
    message = members(pair)
    return string(message, "key"), any_value(message.get("value"), depth, budget)


def any_value(document: object, depth: int = 0, budget: Budget | None = None) -> Value:
    """An `AnyValue`.

    Raises:
        MalformedError: It is none.
    """
    if document is None:
        return None
    for member, value in members(document).items():
        if value is None:
            continue
        if member in _SCALARS:
            return _SCALARS[member](member, value)
        if member in {_ARRAY, _MAP}:
            if depth >= MAX_DEPTH:
                return TOO_DEEP
            return _container(member, items(members(value), "values"), depth + 1, budget or Budget())
    return None


def _container(member: str, found: Any, depth: int, budget: Budget) -> Value:
    listed: list[Value] = []
    mapped: dict[str, Value] = {}
    for each in found:
        budget.left -= 1
        if budget.left < 0:
            if budget.left == -1:
                listed.append(TOO_MANY)
                mapped[TOO_MANY] = TOO_MANY
            break
        if member == _ARRAY:
            listed.append(any_value(each, depth, budget))
        else:
            key, value = _pair(each, depth, budget)
            mapped[key] = value
    return listed if member == _ARRAY else mapped


_ARRAY, _MAP = "arrayValue", "kvlistValue"
_SCALARS: Final[dict[str, Callable[[str, object], Value]]] = {
    "stringValue": lambda member, value: string({member: value}, member),
    "intValue": int64,
    "doubleValue": double,
    "boolValue": boolean,
    "bytesValue": binary,
}
