"""Which time a person means: `24h`, `yesterday`, `2026-11-01`, `2026-11`. UTC. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

ACCEPTS: Final = (
    "24h, 30m, 7d, 2w; today, yesterday, this-month, last-month; 2026-11-01, 2026-11, 2026-11-01T08:30 (UTC)"
)
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO: Final = re.compile(r"(\d{1,6})\s*([mhdw])")


@dataclass(frozen=True, slots=True)
class Period:
    """A time from `start` to `end`, in whole seconds since 1970; the start itself is not in it."""

    start: int
    end: int

    @property
    def seconds(self) -> int:
        """How long it is."""
        return self.end - self.start

    @property
    def before(self) -> Period:
        """The same time before it."""
        return Period(self.start - self.seconds, self.start)

    def __str__(self) -> str:
        return f"{_written(self.start)} to {_written(self.end)} UTC"


def _written(seconds: int) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%d %H:%M}" + (f":{moment.second:02}" if moment.second else "")


def period(since: str, until: str | None, now: float) -> Period:
    """From a moment to another, or to now.

    Args:
        since: As in `ACCEPTS`.
        until: The same; None is now.
        now: Seconds since 1970.

    Raises:
        ValueError: One of them is no time, or the second is not after the first; the message says what to write.
    """
    start = _span(since, now)[0]
    end = int(now) if until is None else _span(until, now)[0]
    return _checked(start, min(end, int(now)))


def whole(what: str, now: float) -> Period:
    """The whole of a day, a month or a time until now.

    Raises:
        ValueError: As `period`.
    """
    start, end = _span(what, now)
    return _checked(start, min(end, int(now)))


def _checked(start: int, end: int) -> Period:
    if end <= start:
        raise ValueError(
            "that time is not over before it begins: the first moment is the earlier one, and not to come"
        )
    return Period(start, end)


def _span(what: str, now: float) -> tuple[int, int]:
    text = what.strip().lower()
    moment = datetime.fromtimestamp(int(now), UTC)
    today = moment.replace(hour=0, minute=0, second=0)
    month = today.replace(day=1)
    last_month = (month - timedelta(days=1)).replace(day=1)
    found: tuple[datetime, datetime] | None = {
        "now": (moment, moment),
        "today": (today, moment),
        "yesterday": (today - timedelta(days=1), today),
        "this-month": (month, moment),
        "last-month": (last_month, month),
    }.get(text)
    if found is None and (ago := _AGO.fullmatch(text)) is not None:
        found = _ago(int(ago[1]) * _SECONDS[ago[2]], moment)
    if found is None:
        found = _date(text)
    if found is None:
        raise ValueError(f"{what!r} is no time; write one of {ACCEPTS}")
    return int(found[0].timestamp()), int(found[1].timestamp())


def _ago(seconds: int, moment: datetime) -> tuple[datetime, datetime] | None:
    try:
        return moment - timedelta(seconds=seconds), moment
    except OverflowError:
        return None


def _date(text: str) -> tuple[datetime, datetime] | None:
    try:
        if re.fullmatch(r"\d{4}-\d{2}", text):
            first = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
            return first, (first + timedelta(days=32)).replace(day=1)
        moment = datetime.fromisoformat(text.upper())
        moment = moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return moment, moment + timedelta(days=1)
    except (ValueError, OverflowError):
        return None
