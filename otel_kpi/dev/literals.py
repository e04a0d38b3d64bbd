"""How a request writes numbers, durations, moments and ids: one reading for pages, APIs and streams. Pure.

None is what cannot be read: each caller says so in its own way. Jaeger's API reads as Go does, see `api/go_literals.py`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

LARGEST: Final = 2**63 - 1
"""The largest integer that SQLite has: of a row, of a number of nanoseconds."""
NANOSECONDS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # U+00B5
    "μs": 10**3,  # U+03BC
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
    "d": 86_400 * 10**9,
}
"""Of each unit of time."""
DURATION: Final = rf"(\d{{1,19}}(?:[.,]\d{{1,30}})?)\s*({'|'.join(NANOSECONDS)})"
"""What `duration` reads."""
_DURATION: Final = re.compile(rf"{DURATION}?", re.ASCII)
_DIGITS: Final = re.compile(r"\d{1,19}", re.ASCII)
_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)(?:[.,](\d{1,30}))?(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_TRACE_ID: Final = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS_OF_SECOND: Final = 9


def whole(text: str) -> int | None:
    """A whole number that SQLite has, in decimal digits."""
    return number if _DIGITS.fullmatch(text) and (number := int(text)) <= LARGEST else None


def place(text: str) -> tuple[int, int] | None:
    """`<nanoseconds>-<row>`: where a list that is ordered by time goes on."""
    first, _, last = text.partition("-")
    time_ns, row = whole(first), whole(last)
    return None if time_ns is None or row is None else (time_ns, row)


def duration(text: str, unit: str = "") -> int | None:
    """A duration like `250ms` or `1.5 s`, in nanoseconds.

    Args:
        text: As it was written.
        unit: Of a bare number; without one there has to be a unit.
    """
    found = _DURATION.fullmatch(text.strip())
    factor = NANOSECONDS.get(found[2] or unit) if found else None
    if found is None or factor is None:
        return None
    nanoseconds = int(Decimal(found[1].replace(",", ".")) * factor)
    return nanoseconds if nanoseconds <= LARGEST else None


def moment(text: str) -> int | None:
    """Nanoseconds since 1970, or a moment of ISO 8601, which is in UTC where it does not say; to the nanosecond."""
    if (number := whole(text)) is not None:
        return number
    if (parts := _MOMENT.fullmatch(text)) is None:
        return None
    try:
        found = datetime.fromisoformat(parts[1] + (parts[3] or ""))
    except ValueError:
        return None
    since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH
    fraction = (parts[2] or "")[:_DIGITS_OF_SECOND].ljust(_DIGITS_OF_SECOND, "0")
    return within(since // timedelta(seconds=1) * NANOSECONDS["s"] + int(fraction))


def within(nanoseconds: int) -> int:
    """The nearest moment that SQLite has: from 1677 to 2262, and nothing is kept outside of it."""
    return max(-LARGEST, min(nanoseconds, LARGEST))


def trace_id(text: str) -> str | None:
    """A trace id in 32 lower-case digits; its leading zeros may be missing."""
    return text.lower().zfill(32) if _TRACE_ID.fullmatch(text) else None
