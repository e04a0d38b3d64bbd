"""Which time a page shows: what its address says (`?range=1h`), else all that there is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

SECOND: Final = 1_000_000_000
RANGES: Final = {"15m": 900, "1h": 3600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
"""Seconds before now."""
ALL: Final = "all"
_STEPS: Final = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 604_800,
)  # fmt: skip
_BARS: Final = 48
_SHORTEST: Final = 30 * SECOND


@dataclass(frozen=True, slots=True)
class Period:
    """A time that is shown.

    Attributes:
        name: Of `RANGES`, or `all`.
        start_ns: Its begin, at a round moment.
        end_ns: Its end, which is not in it.
        step_ns: How long a bar lasts.
    """

    name: str
    start_ns: int
    end_ns: int
    step_ns: int

    @property
    def steps(self) -> list[int]:
        """Where its bars begin."""
        return list(range(self.start_ns, self.end_ns, self.step_ns))


def period(asked: str | None, extent: tuple[int, int] | None, now_ns: int) -> Period:
    """The time that an address asks for.

    Args:
        asked: Of `RANGES`; anything else is all.
        extent: From when to when there is something; None where there is nothing.
        now_ns: Now.
    """
    name = asked if asked in RANGES else ALL
    if name in RANGES:
        start, end = now_ns - RANGES[name] * SECOND, now_ns
        if extent is not None and extent[1] > now_ns:  # a clock that is ahead
            end = min(extent[1] + 1, now_ns + RANGES[name] * SECOND)
    else:
        start, end = extent or (now_ns - RANGES["1h"] * SECOND, now_ns)
        end += 1
    end = max(end, start + _SHORTEST)
    wanted = (end - start) / SECOND / _BARS
    step = next((each for each in _STEPS if each >= wanted), None)
    step_ns = SECOND * (step if step is not None else int(wanted / _STEPS[-1] + 1) * _STEPS[-1])
    start -= start % step_ns
    end += -end % step_ns
    return Period(name, start, end, step_ns)
