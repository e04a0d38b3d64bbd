"""Conditions on a name, as the table writes them: a text is the whole name, a list says how in its first place. Pure."""

from __future__ import annotations

import re
from typing import Any

Clause = Any
"""`"gpt-4o"`, `["^", "gpt-4o-"]` begins, `["$", …]` ends, `["*", …]` contains, `["/", …]` is found by an expression, of
which follow what the name then begins with and what it has in it; `["|", …]` one of these, `["&", …]` all of these."""


def matches(clause: Clause, text: str) -> bool:  # noqa: PLR0911 - one for each condition
    """Whether a name in lower case fulfils a condition; the absent condition is fulfilled by none."""
    if isinstance(clause, str):
        return clause == text
    if not clause:
        return False
    how = clause[0]
    if how == "|":
        return any(matches(each, text) for each in clause[1:])
    if how == "&":
        return all(matches(each, text) for each in clause[1:])
    wanted: str = clause[1]
    if how == "^":
        return text.startswith(wanted)
    if how == "$":
        return text.endswith(wanted)
    if how == "*":
        return wanted in text
    # Compiling an expression takes 0.2 ms: only where what is certain of it is there.
    return how == "/" and text.startswith(clause[2]) and clause[3] in text and bool(re.search(wanted, text))
