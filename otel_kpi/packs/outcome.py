"""How a piece of work ended, from what it raised: the words of `cicd.pipeline.result`, and `error.type`."""

from __future__ import annotations

import asyncio
from typing import Final

RESULTS: Final = ("success", "failure", "error", "timeout", "cancellation", "skip")
"""`failure` when the data or a check of them were at fault, `error` when anything else was raised."""

_CANCELLED: Final = (KeyboardInterrupt, GeneratorExit, asyncio.CancelledError)
_TIMED_OUT: Final = (
    "Timeout",
    "TimeoutError",
    "TimeoutExpired",
    "SoftTimeLimitExceeded",
    "TimeLimitExceeded",
    "AirflowTaskTimeout",
)


def result_of(error: BaseException | None) -> str:
    """The result, one of `RESULTS`; the SDK alone would leave a run that `SystemExit` ended without one."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "success"
    if isinstance(error, (SystemExit, *_CANCELLED)):
        return "cancellation"
    if any(cls is TimeoutError or cls.__name__ in _TIMED_OUT for cls in type(error).__mro__):
        return "timeout"
    return "error"


def error_type(error: BaseException | None) -> str | None:
    """`error.type`: the qualified name of the class, without `builtins`; None for a success."""
    if result_of(error) == "success":
        return None
    cls = type(error)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
