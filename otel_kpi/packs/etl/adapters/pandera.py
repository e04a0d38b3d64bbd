"""What a validation by pandera found, counted by check: never a value, and never by checking again.

pandera raises `SchemaErrors` when it is lazy, whose `failure_cases` is a frame of pandas or polars with a row for
each value that failed, and `SchemaError` when it is not. Both say which check it was; the values stay where they are.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_kpi.packs.etl.adapters.frames import volume

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST: Final = 60
"""Characters of a check's name: beyond it is a message for people."""
_CALL: Final = re.compile(r"(?P<name><?[A-Za-z_][\w.]*>?)\s*\(.*\)\s*", re.DOTALL)
"""`str_contains('@')`, `isin(['a', 'b'])`: what stands in the parentheses may be data."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A check that did not pass.

    Attributes:
        check: Its name, without the values that it was made with.
        column: The column; None when it is about the whole frame.
        count: Values or rows that failed it.
    """

    check: str
    column: str | None
    count: int


def failed(cases: Any) -> tuple[Failed, ...]:
    """What failed, the most frequent first.

    Args:
        cases: `error.failure_cases` of pandera's `SchemaErrors`, or the error itself; or rows as mappings with
            `check` and `column`.

    Never raises; of something else it is empty.
    """
    try:
        counts = Counter(_cases(cases))
    except Exception:
        return ()
    return tuple(Failed(check, column, count) for (check, column), count in counts.most_common())


def _cases(cases: Any) -> Iterable[tuple[str, str | None]]:
    if isinstance(cases, BaseException):
        found = getattr(cases, "failure_cases", None)
        if not _has_columns(found):
            # Of one check, without columns that say which.
            column = _column(getattr(getattr(cases, "schema", None), "name", None))
            many = volume(found).records or 1
            return [(_name(getattr(cases, "check", None)), column)] * many
        cases = found
    if _has_columns(cases):
        checks = cases["check"]
        columns = cases["column"] if "column" in cases.columns else [None] * len(checks)
        return [(_name(check), _column(column)) for check, column in zip(checks, columns, strict=True)]
    return [(_name(row["check"]), _column(row.get("column"))) for row in cases]


def _has_columns(cases: Any) -> bool:
    return "check" in getattr(cases, "columns", ())


def _name(check: Any) -> str:
    text = str(getattr(check, "name", None) or check).strip()
    called = _CALL.fullmatch(text)
    return (called["name"] if called else text[:_LONGEST]) or "unknown"


def _column(column: Any) -> str | None:
    # pandas has NaN where there is none.
    return column if isinstance(column, str) and column else None
