"""Which spans are statements of a database, and which of them are the same one again and again (N+1)."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

REPEATS: Final = 5
"""From how many on the same below of one span is a loop that asks again and again; the number is Sentry's."""
_LITERAL: Final = re.compile(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b")
_SPACE: Final = re.compile(r"\s+")
_LONGEST: Final = 2_000
_PLUMBING: Final = frozenset(("CONNECT", "BEGIN", "COMMIT", "ROLLBACK"))
_LONGEST_WORD: Final = 40


@dataclass(frozen=True, slots=True)
class Repeat:
    """A statement that one span has made again and again.

    Attributes:
        statement: Its text without values, or its operation where the text is not known.
        times: How often.
    """

    statement: str
    times: int


def statement_of(name: str, attributes: Mapping[str, object]) -> str | None:
    """What a database was asked, values left out; None of a span that is no statement.

    Args:
        name: Of the span.
        attributes: Its attributes, by the stable names of OpenTelemetry or by the older ones.
    """
    if not is_statement(name, attributes):
        return None
    if text := _text(attributes):
        return _SPACE.sub(" ", without_values(text)).strip()
    return str(attributes.get("db.operation.name") or attributes.get("db.operation") or name)


def is_statement(name: str, attributes: Mapping[str, object]) -> bool:
    """Whether a span is a statement of a database: connecting and the bounds of transactions are nothing that is asked.

    Args:
        name: Of the span.
        attributes: Its attributes, by either generation of names.
    """
    if "db.system.name" not in attributes and "db.system" not in attributes:
        return False
    first = (_text(attributes) or name)[:_LONGEST_WORD].split(None, 1)[:1]
    return not first or first[0].rstrip(";").upper() not in _PLUMBING


def _text(attributes: Mapping[str, object]) -> str:
    return str(attributes.get("db.query.text") or attributes.get("db.statement") or "")


def without_values(text: str) -> str:
    """A statement, or its beginning, with a `?` for each value."""
    return _LITERAL.sub("?", text[:_LONGEST])


def repeats(asked: Iterable[tuple[Hashable, str]], *, at_least: int = REPEATS) -> list[Repeat]:
    """The statements that were made again and again below of one span, the most frequent first.

    Args:
        asked: The span around a statement, and the statement.
        at_least: How often is again and again.
    """
    counts = Counter(asked)
    return [Repeat(statement, times) for (_, statement), times in counts.most_common() if times >= at_least]
