"""Numbers, durations, times and ids as Go reads them, and so Jaeger, and what Go says of those that are none."""

from __future__ import annotations

import re
from typing import Final

from otel_kpi.dev import literals
from otel_kpi.dev.api.parameters import ParameterError
from otel_kpi.dev.literals import LARGEST, NANOSECONDS

_UNITS: Final = {unit: NANOSECONDS[unit] for unit in ("ns", "us", "µs", "μs", "ms", "s", "m", "h")}
_PART: Final = re.compile(r"(\d*)(?:\.(\d*))?([^\d.]*)", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LAYOUT: Final = "2006-01-02T15:04:05.999999999Z07:00"
_MOST_DIGITS: Final = 20
"""Of a number that is converted at all: none that fits is longer."""
_DIGITS: Final = 32
"""Of a trace id."""
_HALF: Final = 16


def quoted(text: str) -> str:
    """A text as Go quotes it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def integer(text: str, *, function: str = "ParseInt", bits: int = 64) -> int:
    """A decimal integer.

    Raises:
        ParameterError: It is none, or too large.
    """
    if not re.fullmatch(r"[+-]?\d+", text, re.ASCII):
        raise ParameterError(f"strconv.{function}: parsing {quoted(text)}: invalid syntax")
    number = int(text) if len(text) <= _MOST_DIGITS else LARGEST + 1
    if not -(1 << (bits - 1)) <= number < 1 << (bits - 1):
        raise ParameterError(f"strconv.{function}: parsing {quoted(text)}: value out of range")
    return number


def boolean(text: str) -> bool:
    """A truth value.

    Raises:
        ParameterError: It is none.
    """
    if text in {"1", "t", "T", "true", "TRUE", "True"}:
        return True
    if text in {"0", "f", "F", "false", "FALSE", "False"}:
        return False
    raise ParameterError(f"strconv.ParseBool: parsing {quoted(text)}: invalid syntax")


def duration(text: str) -> int:
    """A duration like `1.5s` or `1h10m`, in nanoseconds.

    Raises:
        ParameterError: It is none.
    """
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total = 0
    if not rest:
        raise ParameterError(f"time: invalid duration {quoted(text)}")
    while rest:
        part = _PART.match(rest)
        if part is None or not (part[1] or part[2]):
            raise ParameterError(f"time: invalid duration {quoted(text)}")
        if not part[3]:
            raise ParameterError(f"time: missing unit in duration {quoted(text)}")
        if part[3] not in _UNITS:
            raise ParameterError(f"time: unknown unit {quoted(part[3])} in duration {quoted(text)}")
        unit, fraction = _UNITS[part[3]], (part[2] or "")[:18]
        total += int(part[1][:20] or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        if total > LARGEST:
            raise ParameterError(f"time: invalid duration {quoted(text)}")
        rest = rest[part.end() :]
    return sign * total


def time(text: str) -> int:
    """A time of RFC 3339, in nanoseconds since 1970.

    Raises:
        ParameterError: It is none.
    """
    found = literals.moment(text) if _TIME.fullmatch(text) else None
    if found is None:
        raise ParameterError(
            f'parsing time {quoted(text)} as "{_LAYOUT}": cannot parse {quoted(text)} as "2006"'
        )
    return found


def trace_id(text: str) -> str:
    """A trace id of 32 digits, whose leading zeros may be missing.

    Raises:
        ParameterError: It is none.
    """
    if len(text) > _DIGITS:
        raise ParameterError(f"TraceID cannot be longer than {_DIGITS} hex characters: {text}")
    if (found := literals.trace_id(text)) is None:
        # Jaeger reads two halves, and names the one that it cannot read.
        halves = (text[:-_HALF], text[-_HALF:]) if len(text) > _HALF else (text,)
        wrong = next(half for half in halves if literals.trace_id(half) is None)
        raise ParameterError(f"strconv.ParseUint: parsing {quoted(wrong)}: invalid syntax")
    return found
