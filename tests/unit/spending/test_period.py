"""Words for a time, at a fixed moment: Saturday 2026-11-21 12:30:15 UTC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_kpi.spending.period import period, whole

NOW = datetime(2026, 11, 21, 12, 30, 15, tzinfo=UTC).timestamp() + 0.25


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        ("24h", None, "2026-11-20 12:30:15 to 2026-11-21 12:30:15 UTC"),
        ("90m", None, "2026-11-21 11:00:15 to 2026-11-21 12:30:15 UTC"),
        ("2w", "1w", "2026-11-07 12:30:15 to 2026-11-14 12:30:15 UTC"),
        ("yesterday", None, "2026-11-20 00:00 to 2026-11-21 12:30:15 UTC"),
        ("yesterday", "today", "2026-11-20 00:00 to 2026-11-21 00:00 UTC"),
        ("2026-11-01", None, "2026-11-01 00:00 to 2026-11-21 12:30:15 UTC"),
        ("2026-11-01", "2026-11-03", "2026-11-01 00:00 to 2026-11-03 00:00 UTC"),
        ("2026-11-20T08:30", "2026-11-20T10:30+01:00", "2026-11-20 08:30 to 2026-11-20 09:30 UTC"),
        ("this-month", None, "2026-11-01 00:00 to 2026-11-21 12:30:15 UTC"),
        # What is to come is not asked for.
        ("today", "2027-01-01", "2026-11-21 00:00 to 2026-11-21 12:30:15 UTC"),
    ],
)
def test_from_one_moment_to_another(since: str, until: str | None, expected: str) -> None:
    assert str(period(since, until, NOW)) == expected


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("yesterday", "2026-11-20 00:00 to 2026-11-21 00:00 UTC"),
        ("Today", "2026-11-21 00:00 to 2026-11-21 12:30:15 UTC"),
        ("last-month", "2026-10-01 00:00 to 2026-11-01 00:00 UTC"),
        ("2026-02", "2026-02-01 00:00 to 2026-03-01 00:00 UTC"),
        ("2024-02-29", "2024-02-29 00:00 to 2024-03-01 00:00 UTC"),
    ],
)
def test_a_whole_day_or_month(what: str, expected: str) -> None:
    assert str(whole(what, NOW)) == expected


def test_the_time_before_is_as_long_and_ends_where_it_begins() -> None:
    found = whole("yesterday", NOW)
    assert str(found.before) == "2026-11-19 00:00 to 2026-11-20 00:00 UTC"


@pytest.mark.parametrize(
    "since",
    [
        "soon",
        "24",
        "-3h",
        "2026-13",
        "2026-02-30",
        "",
        "1.5h",
        "999999w",
        "9999-12-31",
        "0001-01-01T00:00+14:00",
    ],
)
def test_what_is_no_time_is_named_with_what_is(since: str) -> None:
    with pytest.raises(ValueError, match=r"is no time; write one of 24h, 30m, 7d"):
        period(since, None, NOW)


@pytest.mark.parametrize(
    ("since", "until"), [("today", "yesterday"), ("1h", "2h"), ("2027-01-01", None), ("0h", None)]
)
def test_a_time_that_ends_before_it_begins_is_none(since: str, until: str | None) -> None:
    with pytest.raises(ValueError, match="not over before it begins"):
        period(since, until, NOW)


@given(st.text(max_size=20))
def test_whatever_is_written_is_a_time_or_a_value_error(text: str) -> None:
    try:
        found = period(text, None, NOW)
    except ValueError:
        pass
    else:
        assert found.end > found.start
