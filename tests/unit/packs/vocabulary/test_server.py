"""A WebSocket server in the words of the KPI system counts in the series of the WebSocket pack."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from otel_kpi.packs.websocket import connection
from otel_kpi.packs.websocket.server import WebSocketInstrumentation

if TYPE_CHECKING:
    from support.measured import Measured

ACTIVE = "kpi_websocket_active_connections"
DELIVERY = "kpi_websocket_delivery_duration_seconds"

ws = WebSocketInstrumentation.instrument_websocket_server()


def _deliveries(series: Measured) -> tuple[int, float] | None:
    return series.value(DELIVERY, kpi_websocket_event_type="kpi_update")


def test_client_that_is_counted_already_is_not_counted_again(series: Measured) -> None:
    with connection("/feed"):
        ws.client_connected()
        assert series.value(ACTIVE) == 1
        ws.client_disconnected()
        assert series.value(ACTIVE) == 1
    ws.client_disconnected()
    assert series.value(ACTIVE) == 0


def test_delivery_is_measured_of_a_function_and_of_a_coroutine(series: Measured) -> None:
    async def deliver() -> int:
        await asyncio.sleep(0.02)  # what is measured is that it takes long
        return 3

    measure = WebSocketInstrumentation.measure_delivery_latency
    assert measure("kpi_update", lambda: 7) == 7
    assert asyncio.run(measure("kpi_update", deliver)) == 3
    assert asyncio.run(measure("kpi_update", lambda: deliver())) == 3  # noqa: PLW0108 - a function that gives a coroutine
    count, seconds = _deliveries(series) or (0, 0.0)
    assert count == 3
    assert seconds >= 0.04


def test_delivery_that_fails_is_measured_and_fails(series: Measured) -> None:
    async def broken() -> None:
        await asyncio.sleep(0)
        raise ConnectionResetError

    def at_once() -> None:
        raise ConnectionResetError

    measure = WebSocketInstrumentation.measure_delivery_latency
    with pytest.raises(ConnectionResetError):
        asyncio.run(measure("kpi_update", broken))
    with pytest.raises(ConnectionResetError):
        measure("kpi_update", at_once)
    assert (_deliveries(series) or (0, 0))[0] == 2


def test_what_else_a_server_says(series: Measured) -> None:
    ws.batch_sent(5)
    ws.set_buffer_size(12)
    ws.set_active_filters(4)
    assert series.value("kpi_websocket_batch_size") == (1, 5)
    assert series.value("kpi_websocket_buffer_size") == 12
    assert series.value("kpi_websocket_active_filters") == 4
    ws.set_buffer_size(0)
    ws.set_active_filters(0)


def test_wrong_values_never_reach_the_server(series: Measured) -> None:
    ws.event_published([], object())  # type: ignore[arg-type] # what a caller may do
    ws.event_delivered("kpi_update", "marketing", -3)
    ws.event_delivered("kpi_update", "marketing", None)  # type: ignore[arg-type] # as above
    ws.subscription_operation(7.5)  # type: ignore[arg-type] # as above
    ws.batch_sent("many")  # type: ignore[arg-type] # as above
    ws.set_buffer_size("full")  # type: ignore[arg-type] # as above
    ws.set_active_filters(None)  # type: ignore[arg-type] # as above
    assert series.labels("kpi_websocket_events_delivered_total") == set()
