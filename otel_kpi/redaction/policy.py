"""What a process lets out, as its user decided it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_kpi.redaction.rules import Rule


@dataclass(frozen=True, slots=True)
class Policy:
    """The decisions of a user; everything else is built in.

    Attributes:
        keys: Names whose values never leave, beside those that are known. Compared by words, whatever their
            spelling; with `*` or `?` compared as a whole.
        patterns: Regular expressions; what they match (or their group `secret`) is replaced in every text.
        allow: Names whose values leave as they are, whatever is in them. Wins over everything.
        content: Whether prompts, completions and the arguments of tools may leave.
        hash_key: Key of the hash that stands for an e-mail address; up to 64 bytes are used.
        rules: Rules in code. One that raises drops the value that it was given.
    """

    keys: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    content: bool = False
    hash_key: str = ""
    rules: tuple[Rule, ...] = ()
