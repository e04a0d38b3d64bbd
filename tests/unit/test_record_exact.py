"""Money adds up to the last decimal, whatever the amounts, their order and the application's own rounding."""

from __future__ import annotations

import decimal
import threading
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from support.measured import measured

from otel_kpi import record
from otel_kpi.model import Attribute, Counter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.measured import Measured

    from otel_kpi.record import ExactCounterHandle

_CURRENCY = Attribute(name="currency", brief="ISO 4217.", budget=3, source="test")
_TENANT = Attribute(name="tenant", brief="Who.", budget=100, source="test", required=False)
_SPENT = Counter(
    name="kpi.test.spent",
    unit="{cost}",
    brief="Money.",
    attributes=(_CURRENCY, _TENANT),
    exact="currency",
    series=4,
    source="test",
)


@pytest.fixture
def seen() -> Iterator[Measured]:
    with measured() as found:
        yield found


_HANDLE = record.exact_counter(_SPENT, "test")


@pytest.fixture
def spent(seen: Measured) -> ExactCounterHandle:
    del seen
    return _HANDLE


def test_ten_thousand_small_amounts_are_their_sum_on_paper(seen: Measured, spent: ExactCounterHandle) -> None:
    for _ in range(10_000):
        spent.add(Decimal("0.0000375"), "USD")
    assert seen.value("kpi_test_spent_total", currency="USD") == 0.375
    assert sum([0.0000375] * 10_000) != 0.375  # what a float counter would say


def test_the_application_may_round_as_it_likes(seen: Measured, spent: ExactCounterHandle) -> None:
    with decimal.localcontext(decimal.Context(prec=3)):
        spent.add(Decimal(1000000), "USD")
        spent.add(Decimal("0.000001"), "USD")
    assert seen.value("kpi_test_spent_total", currency="USD") == 1000000.000001


def test_threads_lose_nothing(seen: Measured, spent: ExactCounterHandle) -> None:
    def pay() -> None:
        for _ in range(500):
            spent.add(Decimal("0.001"), "EUR")

    threads = [threading.Thread(target=pay) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert seen.value("kpi_test_spent_total", currency="EUR") == 2.0


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (Decimal(-1), "negative"),
        (Decimal("NaN"), "not_finite"),
        (Decimal("Infinity"), "not_finite"),
        ("12", "not_a_number"),
    ],
)
def test_what_is_no_amount_is_dropped_and_counted(
    seen: Measured, spent: ExactCounterHandle, amount: Decimal, reason: str
) -> None:
    spent.add(amount, "USD")
    assert seen.value("kpi_test_spent_total", currency="USD") is None
    assert seen.value("otel_kpi_dropped_values_total", instrument="kpi.test.spent", reason=reason) == 1


def test_a_currency_beyond_the_budget_is_added_to_no_other(seen: Measured, spent: ExactCounterHandle) -> None:
    for currency in ("USD", "EUR", "GBP", "CHF", "JPY"):
        spent.add(Decimal(1), currency)
    assert seen.value("kpi_test_spent_total", currency="other") is None
    lost = seen.value(
        "otel_kpi_dropped_values_total", instrument="kpi.test.spent", reason="currency_beyond_budget"
    )
    assert lost == 2


def test_tenants_beyond_the_limit_are_added_up_by_currency(seen: Measured, spent: ExactCounterHandle) -> None:
    for number in range(10):
        spent.add(Decimal("0.5"), "USD" if number % 2 else "EUR", f"tenant-{number}")
    points = seen.points("kpi_test_spent_total")
    sums: dict[str, float] = dict.fromkeys(("USD", "EUR"), 0.0)
    for labels, point in points.items():
        sums[dict(labels)["currency"]] += point.value
    assert sums == {"USD": 2.5, "EUR": 2.5}
    assert seen.value("kpi_test_spent_total", currency="USD", otel_metric_overflow="True") == 1.5
