"""Parsers of setting values: text in, value out, `ValueError` when it is not what the setting accepts.

Pure functions. Each parser carries the words for what it accepts, so that a message to a person and the
documentation say the same.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_EXCHANGE = re.compile(r"[A-Za-z]{3}:[A-Za-z]{3}=[0-9]+(\.[0-9]+)?(@\d{4}-\d{2}-\d{2})?")


@dataclass(frozen=True, slots=True)
class Parser(Generic[T]):
    """How one kind of value is read.

    Attributes:
        accepts: What a person may write, as it is printed in a message and in the documentation.
        parse: Text to value; raises `ValueError`.
    """

    accepts: str
    parse: Callable[[str], T]


def _text(raw: str) -> str:
    return raw


def _boolean(raw: str) -> bool:
    # The specification knows "true" and nothing else; anything but these two words is worth a line.
    lowered = raw.lower()
    if lowered not in {"true", "false"}:
        raise ValueError(raw)
    return lowered == "true"


def _whole(minimum: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        value = int(raw)
        if value < minimum:
            raise ValueError(raw)
        return value

    return parse


def _names(raw: str) -> tuple[str, ...]:
    return tuple(name for part in raw.split(",") if (name := part.strip()))


def _patterns(raw: str) -> tuple[str, ...]:
    if raw.startswith("["):
        # A list in JSON, unless it is a set of characters that only looks like one.
        try:
            listed: Any = json.loads(raw)
        except ValueError:
            listed = None
        if isinstance(listed, list) and all(isinstance(each, str) for each in cast("list[Any]", listed)):
            return tuple(cast("list[str]", listed))
    return tuple(line.strip() for line in raw.splitlines() if line.strip())


def _url(raw: str) -> str:
    parts = urlsplit(raw)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(raw)
    _ = parts.port  # raises ValueError when it is not a number
    return raw


def _trace_url(raw: str) -> str:
    if "{trace_id}" not in raw:
        raise ValueError(raw)
    return _url(raw)


def _pairs(raw: str) -> tuple[tuple[str, str], ...]:
    pairs: list[tuple[str, str]] = []
    for part in raw.split(","):
        if not part.strip():
            continue
        key, separator, value = part.partition("=")
        if not separator or not key.strip():
            raise ValueError(raw)
        pairs.append((key.strip(), unquote(value.strip())))
    return tuple(pairs)


def _counts(raw: str) -> tuple[tuple[str, int], ...]:
    return tuple((name, _whole(0)(count)) for name, count in _pairs(raw))


def _prefix(raw: str) -> str:
    if not (raw.isascii() and raw[:1].isalpha() and raw.replace("_", "").replace(".", "").isalnum()):
        raise ValueError(raw)
    return raw


def _currency(raw: str) -> str:
    if not (len(raw) == 3 and raw.isascii() and raw.isalpha()):  # noqa: PLR2004 - ISO 4217
        raise ValueError(raw)
    return raw.upper()


def _exchanges(raw: str) -> tuple[str, ...]:
    for name in _names(raw):
        if _EXCHANGE.fullmatch(name) is None:
            raise ValueError(raw)
    return _names(raw)


def _headers(raw: str) -> tuple[tuple[str, str], ...]:
    pairs = _pairs(raw)
    for name, value in pairs:
        # RFC 9110: a header name is a token, a value has no control characters.
        legal_name = name.isascii() and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in name)
        if not legal_name or not value.isprintable():
            raise ValueError(raw)
    return tuple((name.lower(), value) for name, value in pairs)


def _fraction(raw: str) -> float:
    value = float(raw)
    if not 0.0 <= value <= 1.0:
        raise ValueError(raw)
    return value


def one_of(*choices: str) -> Parser[str]:
    """A word out of a closed list; upper and lower case are the same."""

    def parse(raw: str) -> str:
        if raw.lower() not in choices:
            raise ValueError(raw)
        return raw.lower()

    return Parser("one of " + ", ".join(choices), parse)


def whole(unit: str, minimum: int = 0) -> Parser[int]:
    """A whole number of `unit`, at least `minimum`."""
    return Parser(f"a whole number of {unit}, {minimum} or more", _whole(minimum))


TEXT = Parser("any text", _text)
BOOLEAN = Parser("true or false", _boolean)
NAMES = Parser("names separated by commas", _names)
PATTERNS = Parser("a regular expression, or several: one a line, or a list in JSON", _patterns)
URL = Parser("an http:// or https:// address", _url)
TRACE_URL = Parser("an http:// or https:// address with {trace_id} in it", _trace_url)
PAIRS = Parser("key=value pairs separated by commas, percent-encoded", _pairs)
COUNTS = Parser("name=whole number pairs separated by commas", _counts)
HEADERS = Parser("name=value pairs separated by commas, percent-encoded", _headers)
PREFIX = Parser("letters, digits, underscores and dots, a letter first", _prefix)
CURRENCY = Parser("the three letters of ISO 4217", _currency)
EXCHANGES = Parser("FROM:TO=rate separated by commas, each with @YYYY-MM-DD from when", _exchanges)
FRACTION = Parser("a number from 0 to 1", _fraction)
LEVEL = one_of("notset", "debug", "info", "warn", "warning", "error", "fatal", "critical")
