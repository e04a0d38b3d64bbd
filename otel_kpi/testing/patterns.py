"""Names as a test writes them: whole, or with `*` or `…` for anything."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Pattern = str | re.Pattern[str]
_ANYTHING: Final = re.compile(r"\*|…")


@lru_cache(256)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Statements have brackets and question marks in them: these two signs alone mean something.
    return re.compile(".*".join(map(re.escape, _ANYTHING.split(pattern))), re.DOTALL)


def fits(text: str, pattern: Pattern | None) -> bool:
    """Whether a text is what a pattern says, from its beginning to its end; None is any.

    Args:
        text: What is looked at.
        pattern: `*` and `…` stand for anything; a compiled expression is searched for.
    """
    if pattern is None:
        return True
    if isinstance(pattern, str):
        return _compiled(pattern).fullmatch(text) is not None
    return pattern.search(text) is not None


def has(attributes: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether attributes have all that is wanted: a value, a pattern, `...` for any value, None for no such key."""
    for key, value in wanted.items():
        if value is None:
            if key in attributes:
                return False
        elif key not in attributes or (value is not ... and not _is(attributes[key], value)):
            return False
    return True


def _is(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, re.Pattern) or (isinstance(wanted, str) and isinstance(actual, str)):
        return fits(str(actual), wanted)
    if isinstance(actual, (tuple, list)) and isinstance(wanted, (tuple, list)):
        return list(actual) == list(wanted)
    return bool(actual == wanted)
