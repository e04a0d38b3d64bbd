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
    if "db.system.name" not in attributes and "db.system" not in attributes:
        return None
    text = attributes.get("db.query.text") or attributes.get("db.statement")
    if not text:
        operation = attributes.get("db.operation.name") or attributes.get("db.operation")
        return None if _is_plumbing(name) else str(operation or name)
    text = str(text)[:_LONGEST]
    return None if _is_plumbing(text) else _SPACE.sub(" ", without_values(text)).strip()


def without_values(text: str) -> str:
    """A statement, or its beginning, with a `?` for each value."""
    return _LITERAL.sub("?", text[:_LONGEST])


def _is_plumbing(text: str) -> bool:
    """Connecting and the bounds of transactions are not what somebody asks a database."""
    return text.split(None, 1)[:1] in (["connect"], ["BEGIN"], ["COMMIT"], ["ROLLBACK"])


def repeats(asked: Iterable[tuple[Hashable, str]], *, at_least: int = REPEATS) -> list[Repeat]:
    """The statements that were made again and again below of one span, the most frequent first.

    Args:
        asked: The span around a statement, and the statement.
        at_least: How often is again and again.
    """
    counts = Counter(asked)
    return [Repeat(statement, times) for (_, statement), times in counts.most_common() if times >= at_least]
