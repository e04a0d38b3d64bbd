"""When the newest record was made, from what a column of times gives. Pure functions."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any, Final

_LATEST_SECONDS: Final = 1e11
"""A larger number is in milliseconds, microseconds or nanoseconds: in seconds it would be after the year 5000."""


def seconds_since_1970(moment: Any) -> float | None:
    """A moment as seconds since 1970.

    Args:
        moment: A datetime (one without a zone is UTC), a date (its midnight), a timestamp of pandas, polars or
            numpy, ISO 8601 text, or a number of seconds, milliseconds, microseconds or nanoseconds.

    Returns:
        The seconds; None when it is none of these or no moment, like NaT. Never raises.
    """
    try:
        return _seconds(moment)
    except Exception:
        return None


def _seconds(moment: Any) -> float | None:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.strip())
    elif type(moment).__module__ == "numpy" and hasattr(moment, "item"):
        # Nanoseconds become a whole number, coarser units a datetime.
        moment = moment.item()
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return _finite(aware.timestamp())
    if isinstance(moment, date):
        return datetime.combine(moment, time(), UTC).timestamp()
    if isinstance(moment, bool) or not isinstance(moment, int | float):
        return None
    seconds = float(moment)
    for _ in range(3):
        if abs(seconds) < _LATEST_SECONDS:
            break
        seconds /= 1000
    return _finite(seconds)


def _finite(seconds: float) -> float | None:
    return seconds if abs(seconds) < _LATEST_SECONDS else None


def iso(moment: Any) -> str | None:
    """A moment as ISO 8601 text, to the second where it has no more; what is text already stays. Never raises."""
    if isinstance(moment, str):
        return moment[:64]
    if isinstance(moment, datetime | date):
        try:
            return moment.isoformat()
        except Exception:
            return None
    seconds = seconds_since_1970(moment)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, OSError, ValueError):
        return None
