"""What a person typed into the search, as a question to the traces. Pure; an address says all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_kpi.dev.views import KINDS, STATUSES, TraceQuery

if TYPE_CHECKING:
    from collections.abc import Mapping

LISTED: Final = 50
_TOKEN: Final = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_ATTRIBUTE: Final = re.compile(r'([^\s="<>]+)=(.*)', re.DOTALL)
_DURATION: Final = re.compile(r"\s*(\d+(?:[.,]\d+)?)\s*(ns|us|µs|μs|ms|s|min|m|h)?\s*")
_UNITS: Final = {
    "ns": 1, "us": 1_000, "µs": 1_000, "μs": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000,
    "m": 60_000_000_000, "h": 3_600_000_000_000,
}  # fmt: skip
_TRACE_ID: Final = re.compile(r"\s*([0-9a-fA-F]{32})\s*")
_MOST_NANOSECONDS: Final = 2**63 - 1


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
    """The trace id that somebody has pasted into the search."""
    found = _TRACE_ID.fullmatch(text)
    return found[1].lower() if found else None


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


def nanoseconds(text: str) -> int | None:
    """A duration as people write it, `250ms`, `1.5 s`; a bare number is milliseconds. None of what is none."""
    found = _DURATION.fullmatch(text)
    if not found:
        return None
    number = float(found[1].replace(",", ".")) * _UNITS[found[2] or "ms"]
    return int(number) if number <= _MOST_NANOSECONDS else None


def _number(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if 0 <= number <= _MOST_NANOSECONDS else None


def asked(query: Mapping[str, str]) -> Asked:
    """The question of an address: `service`, `operation`, `q`, `min`, `max`, `status`, `kind`, `from`, `to`, `before`."""
    wrong: list[str] = []

    def read(key: str, how: type[int] | None = None) -> int | None:
        text = query.get(key, "").strip()
        if not text:
            return None
        number = _number(text) if how else nanoseconds(text)
        if number is None:
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
            min_duration_ns=read("min"),
            max_duration_ns=read("max"),
            start_ns=read("from", int),
            end_ns=read("to", int),
            attributes=attributes,
            text=text,
            limit=LISTED,
            before=read("before", int),
        ),
        wrong,
    )
