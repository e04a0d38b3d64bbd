"""What a check found, and what is made of what it returned. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from otel_kpi import redaction

if TYPE_CHECKING:
    from collections.abc import Mapping

Status = Literal["healthy", "degraded", "unhealthy"]
Detail = str | int | float | bool | dict[str, str]

_STATUSES: Final = frozenset(get_args(Status))
_MOST_DETAILS: Final = 10
_MOST_LOOKED_AT: Final = 100
_GREATEST: Final = 2**63
_LONGEST_TEXT: Final = 200
_RESERVED: Final = frozenset(
    {"status", "lastStatus", "age", "checkedAt", "responseTime", "critical", "error", "hangingSince"}
    | {"blockedBy", "dependencies"}
)

INVALID: Final = "InvalidResult"
"""In the place of an exception's type, where a check returned what is no result."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found.

    Attributes:
        status: `"healthy"`, `"degraded"` or `"unhealthy"`.
        details: What else is said of it, at most ten entries: text, numbers, booleans. Everybody who may ask reads it:
            no address, no user, no secret. What looks like a secret is taken out.
    """

    status: Status
    details: Mapping[str, Detail] = field(default_factory=lambda: MappingProxyType({}))


def judged(returned: object) -> Result | None:
    """Give what a check's return value says.

    `None` and `True` are healthy, `False` is unhealthy; a status as text and a `Result` say it themselves.

    Returns:
        None when the value is none of these: a check that answers nonsense is not believed, whatever it says.
    """
    if returned is None or returned is True:
        return Result("healthy")
    if returned is False:
        return Result("unhealthy")
    # By type and not by `isinstance`: a subclass may answer every comparison as it likes.
    if type(returned) is str:
        return Result(returned) if returned in _STATUSES else None  # type: ignore[arg-type] # it is one of them
    if type(returned) is Result and type(returned.status) is str and returned.status in _STATUSES:
        return Result(returned.status, _shown(returned.details))
    return None


def _shown(details: Any) -> Mapping[str, Detail]:
    shown: dict[str, Detail] = {}
    try:
        for key, value in islice(details.items(), _MOST_LOOKED_AT):
            if len(shown) == _MOST_DETAILS:
                break
            if type(key) is str and key not in _RESERVED and (detail := _detail(key, value)) is not None:
                shown[key[:_LONGEST_TEXT]] = detail
    except Exception:
        return MappingProxyType({})  # not a mapping, or one that raises
    return MappingProxyType(shown)


def _detail(key: str, value: object) -> Detail | None:
    if type(value) is bool:
        return value
    if type(value) is int:
        return value if -_GREATEST < value < _GREATEST else None  # Python refuses to write one of 5000 digits
    if type(value) is float:
        return value if math.isfinite(value) else None  # JSON has no other numbers
    if type(value) is str:
        return _text(key, value)
    if type(value) is dict:
        return {
            name[:_LONGEST_TEXT]: _text(name, text)
            for name, text in islice(value.items(), _MOST_DETAILS)
            if type(name) is str and type(text) is str
        }
    return None


def _text(key: str, text: str) -> str:
    # Cut before it is looked through, too: that would stop the process for seconds if it were a hundred megabytes.
    return str(redaction.redact_value(key, text[: 10 * _LONGEST_TEXT]))[:_LONGEST_TEXT]
