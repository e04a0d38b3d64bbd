"""Handles of instruments under values that were made to break them: nothing is raised, kept, or falsified."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import tracemalloc
import weakref
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.measured import Measured, measured

from otel_kpi import _compat, record
from otel_kpi.model import Attribute, Counter, Gauge, Histogram, UpDownCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

KIND = Attribute(name="kind", brief="Kind.", budget=5)
_SERIES = {
    Counter: "kpi_hostile_counter_total",
    UpDownCounter: "kpi_hostile_updowncounter",
    Gauge: "kpi_hostile_gauge",
    Histogram: "kpi_hostile_histogram",
}


@pytest.fixture
def series() -> Generator[Measured]:
    handles = len(record.HANDLES)
    with measured() as made:
        yield made
    del record.HANDLES[handles:]


def _handle(cls: Any) -> Callable[..., None]:
    declared = cls(
        name=f"kpi.hostile.{cls.kind}",
        unit="{thing}",
        brief="Things.",
        attributes=(KIND,),
        **({"buckets": (1, 10)} if cls is Histogram else {}),
    )
    if cls is Histogram:
        return record.histogram(declared).record
    if cls is Gauge:
        return record.gauge(declared).set
    return record.counter(declared).add if cls is Counter else record.up_down_counter(declared).add


def _sum(series: Measured, cls: Any, **labels: str) -> Any:
    value = series.value(_SERIES[cls], **(labels or {"kind": "a"}))
    return value[1] if cls is Histogram and value is not None else value


class _Int(int):
    def __radd__(self, other: object) -> str:  # type: ignore[override] # it lies
        return "poison"


class _Float(float):
    def __radd__(self, other: object) -> float:
        return float("nan")


class _Object:
    def __le__(self, other: object) -> bool:
        return True

    __ge__ = __lt__ = __gt__ = __le__

    def __radd__(self, other: object) -> str:
        return "poison"


class _Unlooked:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    @__class__.setter
    def __class__(self, _value: Any) -> None:
        raise RuntimeError("no class")


@pytest.mark.parametrize("cls", list(_SERIES))
@pytest.mark.parametrize(
    "value",
    [
        *(10**400, -(10**400), "5", b"5", np.str_("5"), np.array([1, 2]), np.float64("nan"), [1], None),
        *(Decimal("sNaN"), Decimal("Infinity"), 1j, _Object(), np.timedelta64(5, "s")),
    ],
)
def test_what_is_no_number_is_dropped_and_counted_and_no_series_is_lost(
    series: Measured, cls: Any, value: Any
) -> None:
    record_in = _handle(cls)
    record_in(value, "a")
    record_in(1, "a")
    assert _sum(series, cls) == 1
    assert sum(point.value for point in series.points("otel_kpi_dropped_values_total").values()) == 1


def test_the_first_value_that_is_dropped_for_a_reason_is_said_without_it(
    series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    record_in = _handle(Counter)
    for value in ("secret", "secret", -1, -2):
        record_in(value, "a")
    assert [each.message for each in caplog.records] == [
        f"a value of kpi.hostile.counter was not recorded ({reason}); further ones are counted in otel_kpi.dropped_values"
        for reason in ("not_a_number", "negative")
    ]
    dropped = series.value(
        "otel_kpi_dropped_values_total", instrument="kpi.hostile.counter", reason="negative"
    )
    assert dropped == 2


@pytest.mark.parametrize("cls", list(_SERIES))
def test_an_object_that_cannot_be_looked_at_is_dropped_as_a_value_and_other_as_a_label(
    series: Measured, cls: Any
) -> None:
    record_in = _handle(cls)
    record_in(_Unlooked(), "a")
    record_in(1, _Unlooked())
    assert series.labels(_SERIES[cls]) == {(("kind", "other"),)}


@pytest.mark.parametrize("cls", [Counter, UpDownCounter, Histogram])
@pytest.mark.parametrize(
    ("values", "total"),
    [
        ((np.int8(100), np.int8(100)), 200),
        ((np.uint8(250), np.uint8(10)), 260),
        ((np.int32(2**31 - 1), np.int32(5)), 2**31 + 4),
        ((np.float16(60_000), np.float16(60_000)), 120_000),
        ((Decimal(1), 0.5), 1.5),
        ((Fraction(1, 2), 0.5), 1),
        ((_Int(1), _Float(1)), 2),
        ((True, np.True_), 2),
    ],
)
def test_numbers_of_other_kinds_add_up_as_numbers_do(
    series: Measured, cls: Any, values: tuple[Any, ...], total: float
) -> None:
    record_in = _handle(cls)
    for value in values:
        record_in(value, "a")
    assert _sum(series, cls) == total


def test_what_a_callback_reads_is_judged_value_by_value(series: Measured) -> None:
    declared = Gauge(
        name="kpi.hostile.gauge", unit="{thing}", brief="T.", attributes=(KIND,), minimum=0, observable=True
    )
    readings: list[Any] = [("x", "a"), (10**400, "b"), (Decimal(2), "c"), (-1, "d"), (3, ["e"])]
    record.observe(declared, lambda: readings)
    found = {dict(labels)["kind"]: p.value for labels, p in series.points("kpi_hostile_gauge").items()}
    assert found == {"c": 2, "other": 3}


class _Text(str):
    __slots__ = ()
    hashes = count()

    def __hash__(self) -> int:
        return next(self.hashes)

    def __eq__(self, other: object) -> bool:
        return True

    def __len__(self) -> int:
        raise RuntimeError("no length")


class _WithoutHash(str):
    __slots__ = ()

    def __hash__(self) -> int:
        raise RuntimeError("no hash")


@pytest.mark.parametrize("cls", list(_SERIES))
@pytest.mark.parametrize(
    ("make", "recorded"),
    [
        (lambda: _Text("mine"), "mine"),
        (lambda: _WithoutHash("mine"), "mine"),
        (lambda: _Int(7), "7"),
        (lambda: [1], "other"),
        (lambda: np.array([1, 2]), "other"),
        (lambda: 10**30, "other"),
        (lambda: "x" * 10_000_000, "other"),
        (lambda: "caf\udce9.csv", "caf?.csv"),
    ],
    ids=[str(number) for number in range(8)],
)
def test_a_label_is_a_plain_text_or_number_whatever_is_given(
    series: Measured, cls: Any, make: Callable[[], Any], recorded: str
) -> None:
    record_in, label = _handle(cls), make()
    record_in(1, label)
    record_in(1, "mine")
    record_in(1, label)
    assert _sum(series, cls, kind=recorded) is not None
    labels = {dict(each)["kind"] for each in series.labels(_SERIES[cls])}
    assert labels == {recorded, "mine"}


def test_each_value_without_room_is_counted_also_when_it_comes_again(series: Measured) -> None:
    record_in = _handle(Counter)
    for _ in range(10):
        for number in range(8):
            record_in(1, f"id-{number}")
    overflowed = series.value(
        "otel_kpi_overflowed_values_total", instrument="kpi.hostile.counter", attribute="kind"
    )
    assert (_sum(series, Counter, kind="other"), overflowed) == (30, 30)


def test_no_object_of_the_applications_is_kept(series: Measured) -> None:
    class Request:
        pass

    record_in = _handle(Counter)
    request = Request()
    gone = weakref.ref(request)
    record_in(1, request)
    del request
    gc.collect()
    assert gone() is None
    assert _sum(series, Counter, kind="other") == 1


def test_memory_stays_within_bounds_under_any_labels(
    series: Measured, caplog: pytest.LogCaptureFixture
) -> None:
    record_in = _handle(Counter)
    with caplog.at_level(logging.CRITICAL):
        for number in range(100):
            record_in(1, f"id-{number}")
        tracemalloc.start()
        try:
            for number in range(2_000):
                record_in(1, f"{number:0100000}")
                record_in(1, _Text(number))
                record_in(1, number)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert held < 100_000
    assert len(series.points(_SERIES[Counter])) == 6


def test_removing_what_was_never_set_uses_no_budget_and_raises_nothing(series: Measured) -> None:
    declared = Gauge(name="kpi.hostile.gauge", unit="{thing}", brief="Things.", attributes=(KIND,))
    gauge = record.gauge(declared)
    for number in range(1_000):
        gauge.remove(f"id-{number}")
    gauge.remove([1])  # type: ignore[arg-type] # it has no hash
    gauge.set(1, "a")
    gauge.set(1, _Text("b"))
    gauge.remove("b")
    assert series.labels("kpi_hostile_gauge") == {(("kind", "a"),)}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
@pytest.mark.parametrize("cls", [Counter, UpDownCounter, Histogram])
def test_a_signal_handler_that_records_neither_blocks_nor_loses(series: Measured, cls: Any) -> None:
    record_in = _handle(cls)
    rang = 0

    def ring(*_rest: Any) -> None:
        nonlocal rang
        rang += 1
        record_in(1, "a")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        for _ in range(50_000):
            record_in(1, "a")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert rang > 0
    assert _sum(series, cls) == 50_000 + rang


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_a_signal_handler_that_records_during_a_collection_neither_blocks_nor_loses(
    series: Measured,
) -> None:
    record_in = _handle(Histogram)
    _compat.before_collection(series.provider, record.fold)
    record.use(sums=_compat.HistogramSums(series.provider, lambda _instrument, attributes: attributes))
    rang = 0

    def ring(*_rest: Any) -> None:
        nonlocal rang
        rang += 1
        record_in(1, "a")

    record_in(1, "a")
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        for number in range(2_000):
            record_in(1, f"id-{number % 5}")
            series.reader.collect()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    total = sum(point.count for point in series.points(_SERIES[Histogram]).values())
    record.use(sums=None)
    assert rang > 0
    assert total == 2_001 + rang


class _Leaving:
    """Records when it is collected, wherever that happens."""

    def __init__(self, record_in: Callable[..., None]) -> None:
        self.record_in = record_in
        self.itself = self

    def __del__(self) -> None:
        self.record_in(1, "a")


@pytest.mark.parametrize("cls", [Counter, UpDownCounter, Histogram])
def test_what_is_recorded_by_the_garbage_collector_neither_blocks_nor_is_lost(
    series: Measured, cls: Any
) -> None:
    record_in = _handle(cls)
    gc.collect()
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    done = threading.Event()

    def work() -> None:
        for number in range(300):
            _Leaving(record_in)
            record_in(1, f"id-{number}")
            if not number % 30:
                series.reader.collect()
        done.set()

    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
        blocked = not done.wait(20)
    finally:
        gc.set_threshold(*before)
    assert not blocked
    gc.collect()
    assert _sum(series, cls) == 300
