"""What a person typed into the search, as a question to the traces. Pure; an address says all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_kpi.dev import literals
from otel_kpi.dev.views import KINDS, STATUSES, TraceQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LISTED: Final = 50
_TOKEN: Final = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_ATTRIBUTE: Final = re.compile(r'([^\s="<>]+)=(.*)', re.DOTALL)
_DIGITS_OF_TRACE: Final = 32


@dataclass(slots=True)
class Asked:
    """A question and what of it could not be understood."""

    query: TraceQuery
    not_understood: list[str] = field(default_factory=list[str])

    @property
    def narrowed(self) -> bool:
        """Whether anything was asked for, so that finding nothing says nothing about what is there."""
        return self.query != TraceQuery(limit=self.query.limit, before=self.query.before)


def trace_id(text: str) -> str | None:
    """The trace id that somebody has pasted into a search: all of its digits, for a number of fewer is a word."""
    text = text.strip()
    return literals.trace_id(text) if len(text) == _DIGITS_OF_TRACE else None


def words_and_attributes(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Take `key=value` out of a text; quotes hold a value together: `db.query.text="SELECT 1" slow`."""
    words: list[str] = []
    attributes: list[tuple[str, str]] = []
    for token in _TOKEN.findall(text):
        found = _ATTRIBUTE.fullmatch(token)
        if found and not token.startswith('"'):
            attributes.append((found[1], found[2].replace('"', "")))
        else:
            words.append(token.replace('"', ""))
    return " ".join(word for word in words if word), tuple(attributes)


def milliseconds(text: str) -> int | None:
    """A duration in nanoseconds, whose unit is milliseconds where a person names none."""
    return literals.duration(text, "ms")


def asked(query: Mapping[str, str]) -> Asked:
    """The question of an address: `service`, `operation`, `q`, `min`, `max`, `status`, `kind`, `from`, `to`, `before`."""
    wrong: list[str] = []

    def read(key: str, reading: Callable[[str], int | None]) -> int | None:
        text = query.get(key, "").strip()
        number = reading(text) if text else None
        if text and number is None:
            wrong.append(f"{key}={text[:40]}")
        return number

    status, kind = query.get("status", ""), query.get("kind", "")
    if status and status not in STATUSES:
        wrong.append(f"status={status[:40]}")
    if kind and kind not in KINDS:
        wrong.append(f"kind={kind[:40]}")
    text, attributes = words_and_attributes(query.get("q", ""))
    return Asked(
        TraceQuery(
            service=query.get("service") or None,
            operation=query.get("operation") or None,
            status=status if status in STATUSES else None,
            kind=kind if kind in KINDS else None,
            min_duration_ns=read("min", milliseconds),
            max_duration_ns=read("max", milliseconds),
            start_ns=read("from", literals.moment),
            end_ns=read("to", literals.moment),
            attributes=attributes,
            text=text,
            limit=LISTED,
            before=read("before", literals.whole),
        ),
        wrong,
    )
