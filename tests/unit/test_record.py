"""Handles of declared instruments: what is counted, what is dropped, and what stays bounded."""

from __future__ import annotations

import logging
import os
import threading
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from support.measured import Measured, measured

from otel_kpi import record
from otel_kpi.model import Attribute, Counter, Gauge, Histogram, UpDownCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

MODEL = Attribute(name="model_name", brief="The model.", budget=40)
STATUS = Attribute(name="kpi.test.status", brief="What became of it.", members=("valid", "invalid"))
ERROR = Attribute(name="error.type", brief="The error.", budget=5, required=False)

RECORDS = record.counter(
    Counter(name="kpi.test.records", unit="{record}", brief="Records.", attributes=(MODEL, STATUS))
)
ATTEMPTS = record.counter(
    Counter(
        name="kpi.test.attempts",
        unit="{attempt}",
        brief="Attempts.",
        attributes=(Attribute(name="kind", brief="Kind.", members=("scan", "injection")),),
        initial=(("scan",), ("injection",)),
    )
)
CONNECTIONS = record.up_down_counter(
    UpDownCounter(name="kpi.test.connections", unit="{connection}", brief="Connections.")
)
SCORE = record.gauge(
    Gauge(name="kpi.test.score", unit="{score}", brief="Score.", attributes=(MODEL,), minimum=0, maximum=100)
)
DURATION = record.histogram(
    Histogram(
        name="kpi.test.duration", unit="s", brief="Duration.", attributes=(MODEL, ERROR), buckets=(0.1, 1, 10)
    )
)
PREFIXED = record.counter(
    Counter(name="{chat}.test_messages", unit="{message}", brief="Messages.", compatibility=True)
)
OLD = record.counter(Counter(name="old.messages", unit="{message}", brief="Messages.", compatibility=True))

RECORDS_TOTAL = "kpi_test_records_total"


@pytest.fixture
def series() -> Generator[Measured]:
    with measured() as made:
        yield made


def dropped(series: Measured, instrument: str) -> dict[str, int]:
    points = series.points("otel_kpi_dropped_values_total")
    return {
        dict(labels)["reason"]: p.value
        for labels, p in points.items()
        if dict(labels)["instrument"] == instrument
    }


def test_what_is_added_is_the_value_of_the_series(series: Measured) -> None:
    RECORDS.add(3, "marketing", "valid")
    RECORDS.add(4, "marketing", "valid")
    RECORDS.bind("marketing", "invalid").add()
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="valid") == 7
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="invalid") == 1


def test_a_series_without_a_value_does_not_exist(series: Measured) -> None:
    assert series.labels(RECORDS_TOTAL) == set()
    assert series.labels("kpi_test_score") == set()
    assert series.labels("kpi_test_connections") == set()


def test_known_series_begin_at_zero_so_that_the_first_attempt_is_a_rise(series: Measured) -> None:
    assert series.value("kpi_test_attempts_total", kind="scan") == 0
    ATTEMPTS.add(1, "scan")
    assert series.value("kpi_test_attempts_total", kind="scan") == 1
    assert series.value("kpi_test_attempts_total", kind="injection") == 0


def test_connections_go_up_and_down(series: Measured) -> None:
    for amount in (1, 1, 1, -1, -1):
        CONNECTIONS.add(amount)
    assert series.value("kpi_test_connections") == 1


def test_a_gauge_says_its_last_value_until_it_is_removed(series: Measured) -> None:
    SCORE.set(50, "marketing")
    SCORE.set(97.2, "marketing")
    assert series.value("kpi_test_score", model_name="marketing") == 97.2
    SCORE.remove("marketing")
    assert series.labels("kpi_test_score") == set()
    SCORE.set(12, "marketing")
    assert series.value("kpi_test_score", model_name="marketing") == 12


def test_readings_for_later_are_worked_out_when_somebody_collects_and_only_the_newest(
    series: Measured,
) -> None:
    asked: list[int] = []

    def reading(value: float) -> Callable[[], list[tuple[float, str]]]:
        def readings() -> list[tuple[float, str]]:
            asked.append(int(value))
            return [(value, "marketing")]

        return readings

    for value in (10, 20, 30):
        SCORE.set_later("marketing", reading(value))
    assert asked == []
    assert series.value("kpi_test_score", model_name="marketing") == 30
    assert series.value("kpi_test_score", model_name="marketing") == 30
    assert asked == [30]


def test_readings_for_later_are_bounded_and_forgotten_with_the_rest(series: Measured) -> None:
    asked: list[int] = []
    for key in range(1001):
        SCORE.set_later(key, lambda: asked.append(1) or [])
    assert len(asked) == 1001
    SCORE.set_later("marketing", lambda: [(50, "marketing")])
    record.clear()
    assert series.labels("kpi_test_score") == set()


def test_readings_for_later_that_fail_take_no_others_with_them(series: Measured) -> None:
    def failing() -> list[tuple[float, str]]:
        raise RuntimeError

    SCORE.set_later("forecast", failing)
    SCORE.set_later("marketing", lambda: [(50, "marketing")])
    assert series.value("kpi_test_score", model_name="marketing") == 50
    assert dropped(series, "kpi.test.score") == {"error": 1}


def test_a_histogram_has_the_declared_buckets(series: Measured) -> None:
    for seconds in (0.05, 0.5, 5, 50):
        DURATION.record(seconds, "marketing")
    DURATION.bind("marketing", "TimeoutError").record(2)
    points = series.points("kpi_test_duration_seconds")
    point = points[("model_name", "marketing"),]
    assert (point.explicit_bounds, list(point.bucket_counts)) == ((0.1, 1, 10), [1, 1, 1, 1])
    assert (("error_type", "TimeoutError"), ("model_name", "marketing")) in points


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "not_finite"),
        (float("inf"), "not_finite"),
        (-1, "negative"),
        (2**53, "too_large"),
        (1e300, "too_large"),
        ("many", "not_a_number"),
        (None, "not_a_number"),
        ([1], "not_a_number"),
        (1j, "not_a_number"),
        (object(), "not_a_number"),
    ],
)
def test_a_value_that_makes_no_sense_is_dropped_and_counted(
    series: Measured, value: Any, reason: str
) -> None:
    RECORDS.add(5, "marketing", "valid")
    RECORDS.add(value, "marketing", "valid")
    DURATION.record(1, "marketing")
    if reason != "too_large":  # a duration may be anything that is finite
        DURATION.record(value, "marketing")
        assert dropped(series, "kpi.test.duration") == {reason: 1}
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="valid") == 5
    assert series.value("kpi_test_duration_seconds", model_name="marketing") == (1, 1)
    assert dropped(series, "kpi.test.records") == {reason: 1}


@pytest.mark.parametrize(
    ("value", "reason"), [(101, "out_of_range"), (-0.1, "negative"), (float("nan"), "not_finite")]
)
def test_a_reading_out_of_its_range_leaves_the_last_one(series: Measured, value: float, reason: str) -> None:
    SCORE.set(70, "marketing")
    SCORE.set(value, "marketing")
    assert series.value("kpi_test_score", model_name="marketing") == 70
    assert dropped(series, "kpi.test.score") == {reason: 1}


def test_numbers_of_other_kinds_count(series: Measured) -> None:
    RECORDS.add(Decimal(3), "marketing", "valid")  # pyright: ignore[reportArgumentType] - what people hand over
    SCORE.set(Decimal("97.5"), "marketing")  # pyright: ignore[reportArgumentType] - the same
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="valid") == 3
    assert series.value("kpi_test_score", model_name="marketing") == 97.5


class Status(Enum):
    VALID = "valid"


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        (Status.VALID, "valid"),
        ("weird", "other"),
        (None, "unknown"),
        ("", "unknown"),
        (["valid"], "other"),
        ({"a": 1}, "other"),
        (b"valid", "other"),
        (object(), "other"),
        ("x" * 129, "other"),
        (1.5, "other"),
    ],
)
def test_a_value_that_is_no_member_is_counted_as_other(series: Measured, given: Any, recorded: str) -> None:
    RECORDS.add(2, "marketing", given)
    RECORDS.add(2, "marketing", given)
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status=recorded) == 4


def test_missing_and_superfluous_values_change_no_sum(series: Measured) -> None:
    RECORDS.add(1)
    RECORDS.add(1, "marketing")
    RECORDS.add(1, "marketing", "valid", "superfluous")
    assert sum(point.value for point in series.points(RECORDS_TOTAL).values()) == 3
    assert series.value(RECORDS_TOTAL, model_name="unknown", kpi_test_status="unknown") == 1


def test_ids_stay_within_the_budget_with_one_line(series: Measured, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "otel_kpi.record"):
        for number in range(100_000):
            RECORDS.add(1, f"tenant-{number}", "valid")
    points = series.points(RECORDS_TOTAL)
    assert len(points) == 41
    assert sum(point.value for point in points.values()) == 100_000
    assert series.value(RECORDS_TOTAL, model_name="other", kpi_test_status="valid") == 99_960
    overflowed = series.value(
        "otel_kpi_overflowed_values_total", instrument="kpi.test.records", attribute="model_name"
    )
    assert overflowed is not None
    assert overflowed > 99_000
    assert len(caplog.records) == 1
    assert "model_name" in caplog.text
    assert len(RECORDS._came) < 300


def test_attribute_sets_over_the_series_of_an_instrument_are_one_series(series: Measured) -> None:
    declared = Counter(
        name="kpi.test.pairs",
        unit="{pair}",
        brief="Pairs.",
        attributes=(MODEL, Attribute(name="kpi.test.other", brief="Other.", budget=40)),
        series=10,
    )
    pairs = record.counter(declared)
    for number in range(100):
        pairs.add(1, f"a{number % 10}", f"b{number // 10}")
    points = series.points("kpi_test_pairs_total")
    assert len(points) == 11
    assert series.value("kpi_test_pairs_total", otel_metric_overflow="True") == 90


def test_threads_lose_no_count(series: Measured) -> None:
    def count() -> None:
        for _ in range(20_000):
            RECORDS.add(1, "marketing", "valid")

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="valid") == 160_000


def test_a_forked_child_begins_with_nothing(series: Measured) -> None:
    RECORDS.add(5, "marketing", "valid")
    CONNECTIONS.add(1)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        found = series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="valid")
        RECORDS.add(2, "marketing", "valid")
        os.write(writing, f"{found} {RECORDS._series['marketing', 'valid'].value}".encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(reading, 100) == b"None 2"
    os.close(reading)
    os.close(writing)
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="valid") == 5


def test_sums_beyond_64_bits_are_still_reported(series: Measured) -> None:
    for _ in range(1025):
        RECORDS.add(2**53 - 1, "marketing", "valid")
    assert series.value(RECORDS_TOTAL, model_name="marketing", kpi_test_status="valid") >= 2**63


def test_compatibility_series_can_be_switched_off() -> None:
    for compatibility, expected in ((True, 1), (False, None)):
        with measured(compatibility=compatibility) as series:
            OLD.add(1)
            assert series.value("old_messages_total") == expected


def test_a_prefixed_series_has_the_prefix_that_is_set_and_is_absent_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with measured() as series:
        PREFIXED.add(1)
        assert series.value("innatural_chatbot_test_messages_total") is None
    with measured(prefixes={"chat": "innatural_chatbot"}) as series:
        PREFIXED.add(1)
        assert series.value("innatural_chatbot_test_messages_total") == 1
    monkeypatch.setenv("OTEL_KPI_CHAT_PREFIX", "shop chat")
    with measured() as series:
        PREFIXED.add(1)
        assert series.labels("shop chat_test_messages_total") == set()


def test_a_callback_is_asked_and_what_it_raises_is_counted(series: Measured) -> None:
    answers: list[Any] = [[(3, "marketing"), (float("nan"), "sales"), (4, "crm")], ZeroDivisionError()]

    def readings() -> list[Any]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    record.observe(
        Gauge(name="kpi.test.lag", unit="s", brief="Lag.", attributes=(MODEL,), observable=True), readings
    )
    points = series.points("kpi_test_lag_seconds")
    assert {dict(labels)["model_name"]: point.value for labels, point in points.items()} == {
        "marketing": 3,
        "crm": 4,
    }
    assert series.points("kpi_test_lag_seconds") == {}
    assert dropped(series, "kpi.test.lag") == {"not_finite": 1, "error": 1}
    record.HANDLES.pop()


def test_clear_begins_anew_with_unused_budgets(series: Measured) -> None:
    for number in range(50):
        RECORDS.add(1, f"m{number}", "valid")
    record.clear()
    RECORDS.add(1, "marketing", "valid")
    assert series.labels(RECORDS_TOTAL) == {(("kpi_test_status", "valid"), ("model_name", "marketing"))}
    assert series.value("kpi_test_attempts_total", kind="scan") == 0


def test_the_counters_of_losses_do_not_count_themselves(series: Measured) -> None:
    for number in range(1_000):
        record.counter(
            Counter(name=f"kpi.test.c{number}", unit="{thing}", brief="Things.", attributes=(STATUS,))
        ).add(1, "weird")
    del record.HANDLES[-1_000:]
    points = series.points("otel_kpi_overflowed_values_total")
    assert len(points) == 201
    assert sum(point.value for point in points.values()) == 1_000
