"""A difference of cost is split so that its parts add up; what is new, gone or without tokens is so by its calls."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from otel_kpi.spending.report import Change, Counts, split
from otel_kpi.spending.source import _risen  # pyright: ignore[reportPrivateUsage]  # the arithmetic alone
from otel_kpi.spending.text import money

amounts = st.decimals(min_value=0, max_value=10**6, places=9)
counts = st.integers(min_value=0, max_value=10**9)


def of(cost: Decimal, calls: int, tokens: int) -> Counts:
    return Counts(calls=calls, tokens={"input": tokens}, cost={"USD": cost})


@given(st.tuples(amounts, counts, counts), st.tuples(amounts, counts, counts))
def test_the_parts_add_up_to_the_difference(
    before: tuple[Decimal, int, int], now: tuple[Decimal, int, int]
) -> None:
    change = split(of(*before), of(*now), "USD")
    assert change.calls + change.tokens + change.price == change.total == now[0] - before[0]


def test_each_part_is_what_it_says() -> None:
    dear = of(Decimal(10), 10, 1_000)
    assert split(dear, of(Decimal(20), 20, 2_000), "USD") == Change(
        Decimal(10), Decimal(10), Decimal(0), Decimal(0)
    )
    assert split(dear, of(Decimal(20), 10, 2_000), "USD") == Change(
        Decimal(10), Decimal(0), Decimal(10), Decimal(0)
    )
    assert split(dear, of(Decimal(20), 10, 1_000), "USD") == Change(
        Decimal(10), Decimal(0), Decimal(0), Decimal(10)
    )
    assert split(Counts(), dear, "USD").calls == 10
    assert split(dear, Counts(), "USD").calls == -10


@given(st.lists(st.lists(st.decimals(min_value=0, max_value=1000, places=3), min_size=1), min_size=1))
def test_processes_that_begin_at_zero_add_up_wherever_they_end(processes: list[list[Decimal]]) -> None:
    samples: list[Decimal] = []
    spent = Decimal(0)
    for amounts_of_one in processes:
        total = Decimal(0)
        samples.append(total)
        for amount in amounts_of_one:
            total += amount
            samples.append(total)
        spent += total
    assert _risen(None, samples) == spent
    assert _risen(Decimal(5), samples) == spent


def test_small_amounts_keep_their_digits_and_are_never_shown_as_nothing() -> None:
    assert [
        money(Decimal(text)) for text in ("1234.5678", "0.01", "0.00123456", "0.000000123", "-0.002")
    ] == [
        "1,234.5678",
        "0.0100",
        "0.00123",
        "0.000000123",
        "-0.002",
    ]
