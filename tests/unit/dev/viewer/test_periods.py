"""The time that a page shows."""

from __future__ import annotations

import pytest

from otel_kpi.dev.viewer.periods import SECOND, period

NOW = 1_795_248_123_456_789_012


@pytest.mark.parametrize("asked", ["15m", "1h", "6h", "24h", "7d", "all", None, "nonsense"])
@pytest.mark.parametrize(
    "extent",
    [
        None,
        (NOW, NOW),
        (NOW - 10 * SECOND, NOW),
        (NOW - 10**15, NOW + 10**12),
        (0, NOW),
        (-(2**62), 2**63 - 1),
    ],
)
def test_any_time_has_few_steps_that_cover_it(asked: str | None, extent: tuple[int, int] | None) -> None:
    found = period(asked, extent, NOW)
    assert found.name == (asked if asked in {"15m", "1h", "6h", "24h", "7d"} else "all")
    assert 2 <= len(found.steps) <= 52
    assert found.start_ns % found.step_ns == 0
    assert found.end_ns % found.step_ns == 0
    if found.name == "all" and extent is not None:
        assert found.start_ns <= extent[0]
        assert extent[1] < found.end_ns


def test_the_last_quarter_of_an_hour_ends_now() -> None:
    found = period("15m", (NOW - 10**15, NOW - 10**14), NOW)
    assert found.start_ns <= NOW - 900 * SECOND < found.start_ns + found.step_ns
    assert found.end_ns - found.step_ns <= NOW <= found.end_ns
