"""Tests of an application, as its author writes them: run by pytest in a process of its own. Some fail on purpose."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from decimal import Decimal
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from otel_kpi import etl, testing
from otel_kpi.testing import Capture  # noqa: TC001 - as an author would import it

tracer = trace.get_tracer("shop")
left_running: list[Any] = []


def ask(cost: float | None = 0.004, currency: str = "USD") -> None:
    values: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    if cost is not None:
        values |= {
            "gen_ai.usage.cost.amount": cost,
            "gen_ai.usage.cost.currency": currency,
            "gen_ai.usage.input_tokens": 40,
        }
    with tracer.start_as_current_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=values):
        pass


def query(number: int) -> None:
    values = {"db.system.name": "sqlite", "db.query.text": f"SELECT * FROM product WHERE id = {number}"}
    with tracer.start_as_current_span("SELECT product", kind=SpanKind.CLIENT, attributes=values):
        pass


def page(queries: int) -> None:
    with tracer.start_as_current_span(
        "GET /products", kind=SpanKind.SERVER, attributes={"http.route": "/products"}
    ):
        for number in range(queries):
            query(number)


def test_cost_is_a_decimal_of_the_calls_that_fit(capture: Capture) -> None:
    ask()
    ask()
    assert capture.spans("chat …").cost == Decimal("0.008")
    assert capture.spans("chat *").cost < Decimal("0.01")
    assert capture.spans("chat gpt-4o").input_tokens == 80


def test_cost_that_nobody_knows_is_not_nothing(capture: Capture) -> None:
    with pytest.raises(AssertionError, match="no call of a language model"):
        _ = capture.spans("chat …").cost
    ask()
    ask(cost=None)
    with pytest.raises(AssertionError, match="1 of 2 calls have no price"):
        _ = capture.spans("chat …").cost


def test_amounts_of_two_currencies_are_not_added(capture: Capture) -> None:
    ask(currency="USD")
    ask(currency="EUR")
    assert capture.spans("chat …").costs == {"USD": Decimal("0.004"), "EUR": Decimal("0.004")}
    with pytest.raises(AssertionError, match="two currencies"):
        _ = capture.spans("chat …").cost


def test_statements_are_counted_and_repeats_found(capture: Capture) -> None:
    page(2)
    assert len(capture.statements) == 2
    capture.statements.assert_at_most(2).assert_not_repeated()
    page(6)
    [repeat] = capture.statements.repeated()
    assert repeat.times == 6
    with pytest.raises(AssertionError, match="6× SELECT"):
        capture.statements.assert_not_repeated()
    with pytest.raises(AssertionError, match="8 statements, at most 3"):
        capture.statements.assert_at_most(3)


def test_statements_of_a_real_driver_are_seen(capture: Capture) -> None:
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE product (id INTEGER)")
        connection.execute("SELECT * FROM product").fetchall()
        assert [text.split()[0] for text in capture.statements.texts] == ["CREATE", "SELECT"]
        capture.statements.assert_not_repeated()
        for each in range(5):
            connection.execute("SELECT ?", (each,)).fetchall()
    with pytest.raises(AssertionError, match=r"5× SELECT \?"):  # no span is around them
        capture.statements.assert_not_repeated()


def test_spans_are_asked_by_all_that_they_have(capture: Capture) -> None:
    page(1)
    with tracer.start_as_current_span("job") as job:
        job.set_status(Status(StatusCode.ERROR, "late"))
    assert capture.span("job", status="error").status_message == "late"
    assert len(capture.spans(kind="server", attributes={"http.route": "/…"})) == 1
    assert not capture.spans(attributes={"http.route": None, "db.system.name": None}, kind="client")
    outer = capture.span("GET /products")
    assert capture.spans("SELECT …").below(outer, directly=True).one().parent_id == outer.span_id
    assert not capture.spans("job").below(outer)
    assert len(capture.spans().errors) == 1
    with pytest.raises(AssertionError, match="found 0 spans, not one"):
        capture.span("nothing")


def test_what_an_earlier_test_recorded_is_not_seen(capture: Capture) -> None:
    assert not capture.spans()
    assert not capture.logs()


def test_begins_a_span_and_does_not_end_it(capture: Capture) -> None:
    left_running.append(tracer.start_span("left running"))
    assert "1 spans have not ended" in str(capture)


def test_span_of_an_earlier_test_is_not_this_ones(capture: Capture) -> None:
    left_running.pop().end()
    assert not capture.spans()


def test_threads_and_tasks_are_heard(capture: Capture) -> None:
    thread = threading.Thread(target=page, args=(1,))
    thread.start()
    thread.join()

    async def work() -> None:
        await asyncio.to_thread(ask)

    asyncio.run(work())
    assert len(capture.spans("GET /products")) == 1
    assert len(capture.spans("chat …")) == 1


counter = metrics.get_meter("shop").create_counter("shop.orders")
histogram = metrics.get_meter("shop").create_histogram("shop.duration")
gauge = metrics.get_meter("shop").create_gauge("shop.stock")


@pytest.mark.parametrize("number", [1, 2])
def test_metrics_count_from_the_beginning_of_the_test(capture: Capture, number: int) -> None:
    assert not capture.metric("shop.orders")
    with pytest.raises(AssertionError, match="nothing was recorded of shop"):
        _ = capture.metric("shop.orders").value
    counter.add(number, {"shop": "a"})
    counter.add(10, {"shop": "b"})
    histogram.record(0.5)
    histogram.record(1.5)
    gauge.set(number)
    assert capture.metric("shop.orders").value == 10 + number
    assert capture.metric("shop.orders", shop="a").value == number
    assert capture.metric("shop.duration").count == 2
    assert capture.metric("shop.duration").sum == 2.0
    assert capture.metric("shop.stock").value == number


def test_gauges_are_not_added(capture: Capture) -> None:
    shelf = metrics.get_meter("shop").create_gauge("shop.shelf")
    for number, shop in enumerate("ab", 3):
        shelf.set(number, {"shop": shop})
    assert capture.metric("shop.shelf", shop="b").value == 4
    with pytest.raises(AssertionError, match="gauge of 2 series"):
        _ = capture.metric("shop.shelf").value


@pytest.mark.parametrize("records", [3, 4])
def test_metrics_of_the_packs_count_from_the_beginning_of_the_test(capture: Capture, records: int) -> None:
    with etl.run("marketing"), etl.stage("store", type="load"):
        etl.written(records)
    assert (
        capture.metric("kpi.etl.records.processed", attributes={"kpi.etl.record.status": "written"}).value
        == records
    )
    assert capture.span("run marketing").attributes["kpi.etl.records.written"] == records


def test_log_records_are_asked_by_text_and_level(capture: Capture) -> None:
    log = logging.getLogger("shop")
    log.warning("order %s is late", 7)
    log.error("order is lost")
    assert capture.logs("order 7 …").one().severity_text in {"WARN", "WARNING"}
    assert len(capture.logs(level="warning")) == 2
    assert len(capture.logs(level="error")) == 1


def test_what_is_asked_is_what_would_leave(capture: Capture) -> None:
    with tracer.start_as_current_span("login", attributes={"password": "hunter2", "user.name": "ada"}):
        pass
    assert "hunter2" not in str(capture.span("login").attributes)


def test_blocks_capture_outside_of_the_fixture() -> None:
    with testing.capture() as outer:
        page(1)
        with testing.capture() as inner:
            ask()
    assert len(outer.spans()) == 3
    assert len(inner.spans()) == 1
    page(1)
    assert len(outer.spans()) == 3


def test_clear_forgets_what_was_prepared(capture: Capture) -> None:
    page(3)
    counter.add(5)
    capture.clear()
    page(1)
    counter.add(1)
    assert len(capture.statements) == 1
    assert capture.metric("shop.orders").value == 1


def test_fails_and_shows_what_was_recorded(otel_kpi_capture: Capture) -> None:
    page(7)
    logging.getLogger("shop").warning("password=hunter2 is wrong")
    assert len(otel_kpi_capture.statements) <= 3


def test_fails_without_the_fixture() -> None:
    page(1)
    raise RuntimeError("the shop is closed")


@pytest.mark.skip(reason="nothing to keep")
def test_skipped() -> None:
    page(1)


@pytest.mark.xfail(reason="known", strict=True)
def test_fails_as_expected(capture: Capture) -> None:
    page(1)
    assert not capture.spans()
