"""What comes as a value becomes a number of Python's own, or is none. Pure.

The sums are plain additions. One of an object that overloads them would leave something in a series that the SDK
cannot add, compare or send, and its collection gives up all series of the process for one.
"""

from __future__ import annotations

import math
import operator
from typing import Any, Final

MOST: Final = 2**53
"""Above it neighbouring whole numbers are one double: nothing that is counted one by one gets there."""


def number(value: Any) -> int | float:
    """Give an `int` or a `float`, and nothing that is derived from them.

    Args:
        value: Of any type: a Decimal, a number of numpy's (whose sums would wrap at the width of its type), a boolean.

    Raises:
        TypeError: It is no number; text is none, whatever is written there.
        ValueError: Its own conversion says no.
    """
    # By the methods of the two types themselves: a subclass may have its own.
    kind = type(value)
    if issubclass(kind, int):
        return int.__add__(value, 0)
    if issubclass(kind, float):
        return float.__add__(value, 0.0)
    if issubclass(kind, str | bytes | bytearray):
        raise TypeError("text is no number")
    try:
        return operator.index(value)
    except TypeError:
        return float(value)


def reason(value: Any) -> str:
    """Say why a value was not recorded; never raises."""
    # By its type and not by `isinstance`, which asks the object.
    kind = type(value)
    if kind is bool or not issubclass(kind, int | float):
        return "not_a_number"
    plain = number(value)
    if isinstance(plain, float) and not math.isfinite(plain):
        return "not_finite"
    return "too_large" if not -MOST < plain < MOST else "negative" if plain < 0 else "out_of_range"
