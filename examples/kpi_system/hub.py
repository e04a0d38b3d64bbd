"""Clients and events: who wants what, what waits to be sent, and sending it.

Connections and messages are counted by the instrumentation of Starlette; what the events are the application says,
here with `otel_kpi.websocket`.
"""

from dataclasses import dataclass, field
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from otel_kpi import websocket


@dataclass(eq=False, slots=True)
class Client:
    """A client and the models that it has subscribed to; none is all of them."""

    socket: WebSocket
    models: set[str] = field(default_factory=set[str])

    def wants(self, event: dict[str, Any]) -> bool:
        return not self.models or event["model"] in self.models


class Hub:
    """Pushes events to the clients that want them, all that wait in one batch."""

    def __init__(self) -> None:
        self._clients: list[Client] = []
        self._waiting: list[dict[str, Any]] = []

    async def serve(self, socket: WebSocket) -> None:
        """Serve one client until it goes away."""
        await socket.accept()
        client = Client(socket)
        self._clients.append(client)
        try:
            while True:
                await self._handle(client, await socket.receive_json())
        except WebSocketDisconnect:
            return
        finally:
            self._clients.remove(client)

    async def _handle(self, client: Client, message: dict[str, Any]) -> None:
        with websocket.message(message["op"], message):
            match message["op"]:
                case "subscribe":
                    client.models |= set(message["models"])
                case "unsubscribe":
                    client.models -= set(message["models"])
                case _:
                    raise RuntimeError("nobody knows this operation")
            websocket.subscription(message["op"])
            websocket.filters(len(client.models))
            await client.socket.send_json({"done": message["op"], "filters": sorted(client.models)})

    def publish(self, event_type: str, model: str, **what: Any) -> None:
        """Put an event into the buffer."""
        websocket.published(event_type, model)
        self._waiting.append(websocket.inject({"type": event_type, "model": model, **what}))
        websocket.buffer(len(self._waiting))

    async def flush(self) -> None:
        """Send what waits, as one batch."""
        batch, self._waiting = self._waiting, []
        if batch:
            websocket.batch(len(batch))
        for event in batch:
            recipients = [client for client in self._clients if client.wants(event)]
            with websocket.delivery(event["type"]):
                for client in recipients:
                    await client.socket.send_json(event)
            websocket.delivered(event["type"], event["model"], len(recipients))
        websocket.buffer(len(self._waiting))
