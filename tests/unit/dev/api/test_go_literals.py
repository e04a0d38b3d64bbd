"""Texts are read as Go reads them; the same words are compared with a real Jaeger's in tests/stack."""

from __future__ import annotations

import pytest

from otel_kpi.dev.api import go_literals
from otel_kpi.dev.api.parameters import ParameterError


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0), ("-0", 0), ("1ns", 1), ("1.5us", 1_500), ("2µs", 2_000), ("2μs", 2_000), ("1h10m0.5s", 4_200_500_000_000),
        (".5s", 500_000_000), ("-3ms", -3_000_000), ("+3ms", 3_000_000), ("1.s", 10**9), ("0.1ms", 100_000),
    ],
)  # fmt: skip
def test_durations_are_gos(text: str, nanoseconds: int) -> None:
    assert go_literals.duration(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "-", "5", "s", "1y", "1 s", ".s", "1s2", "9" * 40 + "h", "1e3s", "\uff11s", "3000000h"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="time: "):
        go_literals.duration(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-21T08:00:00.123456789Z", 1_795_248_000_123_456_789),
        ("2026-11-21T09:00:00.5+01:00", 1_795_248_000_500_000_000),
        ("1969-12-31T23:59:59Z", -(10**9)),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: str, nanoseconds: int) -> None:
    assert go_literals.time(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "now", "2026-11-21", "2026-13-01T00:00:00Z", "2026-11-21T08:00:00", "2026-11-21 08:00:00Z"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="parsing time"):
        go_literals.time(text)


@pytest.mark.parametrize("text", ["", "1.0", "0x1", "1_000", "\uff11", "9223372036854775808", "9" * 5_000])
def test_what_is_no_integer_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match=r"strconv\.ParseInt: "):
        go_literals.integer(text)


def test_integers_may_be_as_large_as_they_can_be() -> None:
    assert go_literals.integer("9223372036854775807") == 2**63 - 1
    assert go_literals.integer("-9223372036854775808") == -(2**63)
    assert go_literals.integer("+7") == 7


@pytest.mark.parametrize(
    ("text", "trace_id"),
    [
        ("1", "0" * 31 + "1"),
        ("ABC", "0" * 29 + "abc"),
        ("f" * 32, "f" * 32),
        ("1" + "0" * 16, "0" * 15 + "1" + "0" * 16),
    ],
)
def test_trace_ids_may_lack_zeros(text: str, trace_id: str) -> None:
    assert go_literals.trace_id(text) == trace_id


@pytest.mark.parametrize("text", ["", "g", "f" * 33, "0x1", "\uff11", "-1", "g" + "0" * 16])
def test_what_is_no_trace_id_is_refused(text: str) -> None:
    with pytest.raises(ParameterError):
        go_literals.trace_id(text)
