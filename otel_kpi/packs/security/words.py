"""What callers give as kinds, reasons and names becomes labels, unless it could be somebody's address."""

from __future__ import annotations

import logging
import re
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_logger: Final = logging.getLogger("otel_kpi.security")

OTHER: Final = "other"
_LONGEST: Final = 64
_ADDRESS: Final = re.compile(
    r"@"  # of e-mail
    r"|(?<![\d.])(?<!\bv)(?:\d{1,3}\.){3}\d{1,3}(?!\d|\.\d)"  # of IP version 4, and no version with a v
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
        The label; `other` for what looks like an address, which no series may have. None stays None. Never raises.
    """
    return _word(value, what) if type(value) is str else _foreign(value, what, _word)


def label(value: object, what: str) -> str | int | None:
    """A name as the caller wrote it, `other` for what looks like an address. Never raises."""
    return _label(value, what) if type(value) is str else _foreign(value, what, _label)


def _foreign(value: object, what: str, of_text: Callable[[str, str], str]) -> str | int | None:
    # By types and not by `isinstance`, which asks the object; a text's own methods may raise.
    if issubclass(type(value), Enum):
        value = value.value  # type: ignore[attr-defined] # it has one
    if value is None or type(value) in {int, bool}:
        return value  # type: ignore[return-value] # it is one of the two
    if issubclass(type(value), str):
        return of_text(str.__str__(value), what)  # type: ignore[arg-type] # it is one
    if issubclass(type(value), int):
        return int.__add__(value, 0)  # type: ignore[operator] # it is one
    # What has no name of its own is no label.
    _warn(what, "is no text")
    return OTHER


@lru_cache(maxsize=512)
def _word(value: str, what: str) -> str:
    return re.sub(r"[\s-]+", "_", _label(value, what).strip().lower())


@lru_cache(maxsize=512)
def _label(value: str, what: str) -> str:
    if len(value) > _LONGEST:
        _warn(what, f"is longer than {_LONGEST} characters")
        return OTHER
    if _ADDRESS.search(value) is not None:
        _warn(what, "looks like an address")
        return OTHER
    return value


def _warn(what: str, why: str) -> None:
    if what not in _warned:
        _warned.add(what)
        _logger.warning("%s %s; it and its like are counted as %r", what, why, OTHER)
