"""Any Python value to one that OTLP can carry.

The encoders handle the everyday types themselves. Everything else passes through here first and
comes out as a tree of exactly ``None``, ``bool``, ``str``, ``int`` (64 bits), ``float``, ``bytes``,
``list`` and ``dict`` with ``str`` keys: bounded, without cycles, and without a way to raise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

Plain: TypeAlias = "bool | str | int | float | bytes | list[Plain] | dict[str, Plain] | None"

INT64_MIN = -(1 << 63)
INT64_MAX = (1 << 63) - 1

MAX_DEPTH = 16
"""Levels of lists and maps inside one attribute or log body."""

MAX_NODES = 100_000
"""Values inside one attribute or log body: sixteen levels that share their branches still explode."""

TOO_DEEP = "<nested too deeply>"
TOO_MANY = "<too many values>"
CYCLE = "<refers to itself>"


class _Budget:
    """What one attribute may still use, and the containers that it is inside of."""

    __slots__ = ("nodes", "open")

    def __init__(self) -> None:
        self.nodes = MAX_NODES
        self.open: set[int] = set()


def text(value: object) -> str:
    """The text of any value; never raises, and the result always encodes to UTF-8.

    Surrogates that form a pair become the character they stand for; lone ones become U+FFFD.
    """
    try:
        string = str.__str__(value) if isinstance(value, str) else str(value)
    except Exception:
        return unprintable(value)
    if string.isascii():
        return string
    try:
        string.encode()
    except UnicodeEncodeError:
        return string.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return string


def pairs(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes as a dictionary; empty when there are none or when they cannot be read."""
    if not attributes:
        return {}
    if type(attributes) is dict:
        return attributes
    try:
        # BoundedAttributes hands out a copy of its dictionary at a quarter of what iterating costs.
        return attributes.copy()  # type: ignore[attr-defined] # BoundedAttributes has it, mappings need not
    except AttributeError:
        return dict(attributes)


def unprintable(value: object) -> str:
    """What stands for a value that raises when it is looked at."""
    return f"<unprintable {type(value).__name__}>".encode("ascii", "replace").decode()


def plain(value: object) -> Plain:
    """The value as OTLP can carry it.

    Args:
        value: Anything at all. Numbers of other libraries become ``float`` or ``int`` when they say
            that they are one, integers beyond 64 bits become text, as does everything unknown.
    """
    return _plain(value, _Budget())


def _plain(value: Any, budget: _Budget) -> Plain:  # noqa: PLR0911 - one for each type
    try:
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return text(value)
        if isinstance(value, int):
            number = int.__int__(value)
            return number if INT64_MIN <= number <= INT64_MAX else _digits(number)
        if isinstance(value, float):
            return float.__float__(value)
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value)
        if isinstance(value, (Mapping, Sequence)):
            return _container(value, budget)
    except Exception:
        return unprintable(value)
    return text(value)


def _digits(number: int) -> str:
    """An integer in decimal, or in hexadecimal when Python refuses to print that many digits."""
    try:
        return str(number)
    except ValueError:
        return hex(number)


def _container(value: Mapping[Any, Any] | Sequence[Any], budget: _Budget) -> Plain:
    if id(value) in budget.open:
        return CYCLE
    if len(budget.open) >= MAX_DEPTH:
        return TOO_DEEP
    budget.open.add(id(value))
    try:
        if isinstance(value, Mapping):
            return _mapping(value.items(), budget)
        return _sequence(value, budget)
    finally:
        budget.open.discard(id(value))


def _mapping(items: Iterable[tuple[Any, Any]], budget: _Budget) -> dict[str, Plain]:
    result: dict[str, Plain] = {}
    for key, item in items:
        budget.nodes -= 1
        if budget.nodes < 0:
            result[TOO_MANY] = TOO_MANY
            break
        result[text(key)] = _plain(item, budget)
    return result


def _sequence(items: Iterable[Any], budget: _Budget) -> list[Plain]:
    result: list[Plain] = []
    for item in items:
        budget.nodes -= 1
        if budget.nodes < 0:
            result.append(TOO_MANY)
            break
        result.append(_plain(item, budget))
    return result
