"""Names from elsewhere, as a terminal may have them. Pure.

A tenant, a feature and a model are what an application was given: a line break makes a second row of a table, an escape
moves the cursor, and a control of writing direction turns the rest of a line around.
"""

from __future__ import annotations

import re
from typing import Final

_NO_LETTER: Final = re.compile(r"[^ -~]")


def printable(text: str) -> str:
    r"""Give a text in which what cannot be seen is written out: `\n`, `\x1b`, `\u202e`."""
    return text if text.isprintable() else _NO_LETTER.sub(_written_out, text)


def printable_json(text: str) -> str:
    """Give JSON that says the same, without a character that a terminal acts upon."""
    return "\n".join(
        line if line.isprintable() else _NO_LETTER.sub(_as_json, line) for line in text.split("\n")
    )


def _written_out(found: re.Match[str]) -> str:
    letter = found[0]
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def _as_json(found: re.Match[str]) -> str:
    letter = found[0]
    if letter.isprintable():
        return letter
    units = letter.encode("utf-16-be", errors="surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
