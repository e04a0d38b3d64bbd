"""Parameters as Jaeger reads them: numbers, durations and times of Go, and what Go says of those that are none."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

_UNITS: Final = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,  # U+00B5
    "μs": 10**3,  # U+03BC
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3_600 * 10**9,
}
_PART: Final = re.compile(r"(\d*)(?:\.(\d*))?([^\d.]*)", re.ASCII)
_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LEAST, _MOST = -(2**63), 2**63 - 1
_DIGITS_OF_NS: Final = 9


class ParameterError(ValueError):
    """A parameter that cannot be read; the text is Go's."""


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
    # Longer than any number that fits: not even converted.
    number = int(text) if len(text) <= 2 * _DIGITS_OF_NS + 3 else _MOST + 1
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
        if total > _MOST:
            raise ParameterError(f"time: invalid duration {quoted(text)}")
        rest = rest[part.end() :]
    return sign * total


def time(text: str) -> int:
    """A time of RFC 3339, in nanoseconds since 1970.

    Raises:
        ParameterError: It is none.
    """
    layout = '"2006-01-02T15:04:05.999999999Z07:00"'
    if (parts := _TIME.fullmatch(text)) is None:
        raise ParameterError(
            f'parsing time {quoted(text)} as {layout}: cannot parse {quoted(text)} as "2006"'
        )
    try:
        moment = datetime.fromisoformat(parts[1] + parts[3])
    except ValueError as error:
        raise ParameterError(f"parsing time {quoted(text)}: {error}") from error
    seconds = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    fraction = (parts[2] or "")[:_DIGITS_OF_NS].ljust(_DIGITS_OF_NS, "0")
    return (seconds.days * 86_400 + seconds.seconds) * 10**9 + int(fraction)


def trace_id(text: str) -> str:
    """A trace id of 32 digits, whose leading zeros may be missing.

    Raises:
        ParameterError: It is none.
    """
    if len(text) > 32:  # noqa: PLR2004 - digits of a trace id
        raise ParameterError(f"TraceID cannot be longer than 32 hex characters: {text}")
    for part in (text[:-16], text[-16:]) if len(text) > 16 else (text,):  # noqa: PLR2004 - Jaeger reads two halves
        if not re.fullmatch(r"[0-9a-fA-F]+", part, re.ASCII):
            raise ParameterError(f"strconv.ParseUint: parsing {quoted(part)}: invalid syntax")
    return text.rjust(32, "0").lower()
