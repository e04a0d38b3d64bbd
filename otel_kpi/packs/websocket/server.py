"""A WebSocket server in the words of the KPI system: clients that come and go, events that are published.

For code that is written against those words. They count in the same series as the pack's own functions and as the
instrumentors: a client whose connection is counted already is not counted again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar, overload

from otel_kpi.packs.decoration import Scope, within
from otel_kpi.packs.websocket import events, levels, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

R = TypeVar("R")


class WebSocketServer:
    """What a server says of itself; made by `WebSocketInstrumentation.instrument_websocket_server()`."""

    __slots__ = ()

    def client_connected(self) -> None:
        """A client is there: `kpi_websocket_active_connections`."""
        serving.connected()

    def client_disconnected(self) -> None:
        """A client is gone."""
        serving.disconnected()

    def subscription_operation(self, operation: str) -> None:
        """A client did something with its subscriptions: `"subscribe"` or `"unsubscribe"`."""
        events.subscription(operation)

    def event_published(self, event_type: str, model_name: str) -> None:
        """An event is published, whoever receives it: `kpi.websocket.events.published`.

        Args:
            event_type: Its kind; at most 30 distinct values.
            model_name: The KPI model that it speaks of; at most 40.
        """
        events.published(event_type, model_name)

    def event_delivered(self, event_type: str, model_name: str, recipients: int = 1) -> None:
        """An event has reached so many clients: `kpi.websocket.events.delivered`."""
        events.delivered(event_type, model_name, recipients)

    def batch_sent(self, size: int) -> None:
        """So many events were sent together: `kpi.websocket.batch.size`."""
        events.batch(size)

    def set_buffer_size(self, size: int) -> None:
        """So many events wait to be sent: `kpi.websocket.buffer.size`."""
        levels.buffer(size)

    def set_active_filters(self, filters: int) -> None:
        """So many filters of clients are in force: `kpi.websocket.active_filters`."""
        levels.filters(filters)


class WebSocketInstrumentation:
    """Where the words come from."""

    @staticmethod
    def instrument_websocket_server() -> WebSocketServer:
        """Get what a server says of itself."""
        return WebSocketServer()

    @overload
    @staticmethod
    def measure_delivery_latency(
        event_type: str, function: Callable[[], Coroutine[Any, Any, R]]
    ) -> Coroutine[Any, Any, R]: ...

    @overload
    @staticmethod
    def measure_delivery_latency(event_type: str, function: Callable[[], R]) -> R: ...

    @staticmethod
    def measure_delivery_latency(event_type: str, function: Callable[[], Any]) -> Any:
        """Call a function that delivers an event, and measure how long that takes.

        Args:
            event_type: Its kind; at most 30 distinct values.
            function: What delivers it, without arguments.

        Returns:
            What the function returns. If that is awaitable, so is this, and the time ends when it is done.

        Exported as `kpi.websocket.delivery.duration`, also of a delivery that fails.
        """
        return within(_Delivery(event_type), function)


class _Delivery(Scope):
    """The time of one delivery."""

    __slots__ = ("_began", "_event_type")

    def __init__(self, event_type: str) -> None:
        self._event_type = event_type
        self._began = time.perf_counter()

    def end(self, error: BaseException | None = None) -> None:
        del error  # a delivery that failed has taken its time, too
        events.delivery_duration(self._event_type, time.perf_counter() - self._began)
