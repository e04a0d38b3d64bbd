"""`timed`: every kind of function is timed once a call and stays what it was."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from otel_kpi import timed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from support.measured import Measured

SERIES = "kpi_code_function_duration_seconds"


def calls(series: Measured, name: str, error: str | None = None) -> int | None:
    labels = {"code_function_name": name} | ({"error_type": error} if error else {})
    value = series.value(SERIES, **labels)
    return None if value is None else value[0]


@timed
def place(amount: int = 1) -> int:
    """Place an order."""
    if amount < 0:
        raise ValueError(amount)
    return amount


@timed("orders.ship")
async def ship() -> str:
    await asyncio.sleep(0)
    return "shipped"


class Basket:
    @timed()
    def total(self) -> int:
        return 3

    @classmethod
    @timed
    def empty(cls) -> str:
        return cls.__name__

    @timed
    @staticmethod
    def size() -> int:
        return 0


def test_calls_are_timed_and_failures_have_their_type(series: Measured) -> None:
    assert [place(2), place()] == [2, 1]
    with pytest.raises(ValueError, match="-1"):
        place(-1)
    name = f"{__name__}.place"
    assert (calls(series, name), calls(series, name, "ValueError")) == (2, 1)


def test_a_function_stays_what_it_was() -> None:
    assert place.__name__ == "place"
    assert place.__doc__ == "Place an order."
    assert str(inspect.signature(place)) == "(amount: 'int' = 1) -> 'int'"
    assert inspect.iscoroutinefunction(ship)


def test_methods_of_each_kind_are_timed(series: Measured) -> None:
    assert (Basket().total(), Basket.empty(), Basket.size(), Basket().size()) == (3, "Basket", 0, 0)
    assert calls(series, f"{__name__}.Basket.total") == 1
    assert calls(series, f"{__name__}.Basket.empty") == 1
    assert calls(series, f"{__name__}.Basket.size") == 2


def test_a_coroutine_is_timed_until_it_ends_and_says_its_cancellation(series: Measured) -> None:
    @timed("orders.wait")
    async def wait() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        assert await ship() == "shipped"
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert calls(series, "orders.ship") == 1
    assert calls(series, "orders.wait", "asyncio.exceptions.CancelledError") == 1


def test_generators_keep_send_throw_and_close(series: Measured) -> None:
    @timed("orders.items")
    def items() -> Generator[Any, Any, str]:
        try:
            received = yield 1
        except KeyError:
            received = "thrown"
        yield received
        return "end"

    assert inspect.isgeneratorfunction(items)
    sending = items()
    assert (next(sending), sending.send("sent")) == (1, "sent")
    with pytest.raises(StopIteration) as ended:
        next(sending)
    assert ended.value.value == "end"
    throwing = items()
    assert (next(throwing), throwing.throw(KeyError())) == (1, "thrown")
    throwing.close()
    assert calls(series, "orders.items") == 2


def test_async_generators_keep_asend_athrow_and_aclose(series: Measured) -> None:
    closed: list[str] = []

    @timed("orders.pages")
    async def pages() -> AsyncGenerator[Any, Any]:
        try:
            received = yield 1
            while True:
                try:
                    received = yield received
                except KeyError:
                    received = "thrown"
        finally:
            closed.append("closed")

    async def main() -> None:
        each = pages()
        assert await anext(each) == 1
        assert await each.asend("sent") == "sent"
        assert await each.athrow(KeyError()) == "thrown"
        assert await each.athrow(KeyError()) == "thrown"
        await each.aclose()
        failing = pages()
        await anext(failing)
        with pytest.raises(ZeroDivisionError):
            await failing.athrow(ZeroDivisionError())

    assert inspect.isasyncgenfunction(pages)
    asyncio.run(main())
    assert closed == ["closed", "closed"]
    assert calls(series, "orders.pages") == 1
    assert calls(series, "orders.pages", "ZeroDivisionError") == 1


def test_what_has_no_name_of_its_own_is_timed_under_its_class(series: Measured) -> None:
    assert timed(functools.partial(place, 5))() == 5
    assert calls(series, "functools.partial") == 1


def test_100_000_names_stay_within_the_budget(series: Measured) -> None:
    function = place.__wrapped__  # pyright: ignore[reportFunctionMemberAccess] - what functools.wraps leaves
    for number in range(2_000):
        timed(f"orders.{number}")(function)()
    points = series.points(SERIES)
    assert len(points) == 101
    assert sum(point.count for point in points.values()) == 2_000
