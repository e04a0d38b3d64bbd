"""What callers give as kinds, reasons and names becomes labels, unless it could be somebody's address."""

from __future__ import annotations

import logging
import re
from enum import Enum
from functools import lru_cache
from typing import Final

_logger: Final = logging.getLogger("otel_kpi.security")

OTHER: Final = "other"
_LONGEST: Final = 64
_ADDRESS: Final = re.compile(
    r"@"  # of e-mail
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])"  # of IP version 4
    r"|(?:[0-9a-f]{0,4}:){2,}[0-9a-f]{0,4}",  # of IP version 6
    re.IGNORECASE,
)
_warned: set[str] = set()


def word(value: object, what: str) -> str | int | None:
    """A kind or a reason: lower case, its words parted by underscores.

    Args:
        value: What the caller gave.
        what: What it is, for the line in the log.

    Returns:
        The label; `other` for what looks like an address, which no series may have. None stays None.
    """
    name = label(value, what)
    return _word(name) if isinstance(name, str) else name


def label(value: object, what: str) -> str | int | None:
    """A name as the caller wrote it, `other` for what looks like an address. Never raises."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, int):
        return value
    # What comes may be of any type; what has no name of its own is no label.
    if not isinstance(value, str):
        _warn(what, "is no text")
        return OTHER
    if len(value) > _LONGEST or _is_address(value):
        _warn(
            what,
            f"is longer than {_LONGEST} characters" if len(value) > _LONGEST else "looks like an address",
        )
        return OTHER
    return value


@lru_cache(maxsize=512)
def _word(value: str) -> str:
    return re.sub(r"[\s-]+", "_", value.strip().lower())


@lru_cache(maxsize=512)
def _is_address(value: str) -> bool:
    return _ADDRESS.search(value) is not None


def _warn(what: str, why: str) -> None:
    if what not in _warned:
        _warned.add(what)
        _logger.warning("%s %s; it and its like are counted as %r", what, why, OTHER)
