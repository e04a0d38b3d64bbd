"""Numbers, durations, moments and ids of a request, as a person or a program may write them."""

from __future__ import annotations

import pytest

from otel_kpi.dev import literals


@pytest.mark.parametrize("text", ["0", "7", "9223372036854775807"])
def test_a_whole_number_is_one_that_the_store_has(text: str) -> None:
    assert literals.whole(text) == int(text)


@pytest.mark.parametrize(
    "text", ["", " 1", "-1", "+1", "1.0", "1_000", "\uff11", "²", "9223372036854775808", "9" * 5_000]
)
def test_everything_else_is_no_number_and_no_fault(text: str) -> None:
    assert literals.whole(text) is None
    assert literals.place(f"{text}-1") is None
    assert literals.place(f"1-{text}") is None


def test_a_place_is_a_time_and_a_row() -> None:
    assert literals.place("1795248000000000000-12") == (1_795_248_000_000_000_000, 12)
    assert literals.place("1") is None


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("250ms", 250_000_000), ("1.5 s", 1_500_000_000), ("1,5s", 1_500_000_000), ("3min", 180 * 10**9), ("10µs", 10_000),
        ("10μs", 10_000), ("2d", 172_800 * 10**9), ("4.35s", 4_350_000_000), ("0.1us", 100), ("9.007199254740993ms", 9_007_199),
        ("106751d", 106_751 * 86_400 * 10**9),
        ("", None), ("5", None), ("soon", None), ("-1s", None), ("9" * 40 + "h", None), ("106752d", None), ("1e9s", None), ("\uff11s", None),
    ],
)  # fmt: skip
def test_durations_are_exact(text: str, nanoseconds: int | None) -> None:
    assert literals.duration(text) == nanoseconds


def test_a_bare_duration_has_the_unit_that_its_place_says() -> None:
    assert literals.duration("5", "ms") == 5_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1795248000123456789", 1_795_248_000_123_456_789),
        ("2026-11-21T08:00:00.123456789Z", 1_795_248_000_123_456_789),
        ("2026-11-21T08:00:00.000001Z", 1_795_248_000_000_001_000),
        ("2026-11-21T09:00:00.5+01:00", 1_795_248_000_500_000_000),
        ("2026-11-21 08:00", 1_795_248_000_000_000_000),
        ("2026-11-21", 1_795_219_200_000_000_000),
        ("1969-12-31T23:59:59Z", -(10**9)),
        ("0001-01-01", -(2**63 - 1)), ("9999-12-31T23:59:59Z", 2**63 - 1), ("1969-12-31T23:59:59Z", -1_000_000_000),
        ("yesterday", None), ("", None), ("2026-13-01", None), ("2026-11-21T08:00:00.Z", None), ("-1", None),
    ],
)  # fmt: skip
def test_moments_are_exact_to_the_nanosecond(text: str, nanoseconds: int | None) -> None:
    assert literals.moment(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "trace_id"),
    [
        ("ABC", "0" * 29 + "abc"),
        ("f" * 32, "f" * 32),
        ("", None),
        ("f" * 33, None),
        ("0x1", None),
        ("\uff11", None),
    ],
)
def test_a_trace_id_may_lack_its_zeros(text: str, trace_id: str | None) -> None:
    assert literals.trace_id(text) == trace_id
