"""Private parts of the standard library's regular expressions."""

from __future__ import annotations

import re._constants as names  # pyright: ignore[reportMissingImports] # the same as below
import re._parser as parser  # pyright: ignore[reportMissingImports] # no stubs for private modules
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_CATEGORIES = {
    names.CATEGORY_DIGIT: "0",
    names.CATEGORY_NOT_DIGIT: "a",
    names.CATEGORY_SPACE: " ",
    names.CATEGORY_NOT_SPACE: "a",
    names.CATEGORY_WORD: "a",
    names.CATEGORY_NOT_WORD: " ",
}
_REPEATS = (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT)
_LONGEST = 64  # characters of a sample
_MANY = 8  # repetitions from which on a loop can take long


def regex_loops(pattern: str) -> tuple[tuple[str, str], ...]:
    """A text that leads to each loop of a regular expression, and a text that the loop takes once.

    Nothing public tells how an expression is built; without that one cannot write the texts on which it would run for
    ever.
    """
    return tuple(_loops(parser.parse(pattern), ""))


def _loops(items: Iterable[Any], prefix: str) -> Iterator[tuple[str, str]]:
    for operation, argument in items:
        if operation in _REPEATS:
            _, most, body = argument
            if most == names.MAXREPEAT or int(most) >= _MANY:
                for sample in _samples(body):
                    yield prefix, sample
            yield from _loops(body, prefix)
        elif operation is names.SUBPATTERN:
            yield from _loops(argument[3], prefix)
        elif operation is names.BRANCH:
            for branch in argument[1]:
                yield from _loops(branch, prefix)
        elif operation in (names.ASSERT, names.ASSERT_NOT):
            yield from _loops(argument[1], prefix)
        elif operation is names.ATOMIC_GROUP:
            yield from _loops(argument, prefix)
        prefix = (prefix + _sample([(operation, argument)]))[-_LONGEST:]


def _samples(body: Any) -> Iterator[str]:
    """What a loop takes once; one text for each branch in it."""
    yield _sample(body)
    for operation, argument in body:
        if operation is names.SUBPATTERN:
            yield from _samples(argument[3])
        elif operation is names.BRANCH:
            for branch in argument[1]:
                yield _sample(branch)


def _sample(items: Iterable[Any]) -> str:
    """A short text that these items match."""
    text = ""
    for operation, argument in items:
        if operation is names.LITERAL:
            text += chr(argument)
        elif operation is names.NOT_LITERAL:
            text += "a" if argument != ord("a") else "b"
        elif operation is names.ANY:
            text += "a"
        elif operation is names.IN:
            text += _member(argument)
        elif operation in _REPEATS:
            text += _sample(argument[2]) * max(1, min(int(argument[0]), 4))
        elif operation is names.SUBPATTERN:
            text += _sample(argument[3])
        elif operation is names.BRANCH:
            text += _sample(argument[1][0])
        elif operation is names.ATOMIC_GROUP:
            text += _sample(argument)
    return text[:_LONGEST]


def _member(items: Iterable[Any]) -> str:
    members = list(items)
    if members[0][0] is names.NEGATE:
        excluded = {chr(argument) for operation, argument in members if operation is names.LITERAL}
        return next((sign for sign in "a0 A-_" if sign not in excluded), "~")
    operation, argument = members[0]
    if operation is names.LITERAL:
        return chr(argument)
    if operation is names.RANGE:
        return chr(argument[0])
    return _CATEGORIES.get(argument, "a")
