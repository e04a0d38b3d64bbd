"""Rooms in Django Channels: an asynchronous consumer, one that is not, and events of the channel layer."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="rooms",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["channels"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
django.setup()

from channels.db import database_sync_to_async  # noqa: E402 - after the settings
from channels.generic.websocket import AsyncJsonWebsocketConsumer, WebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse  # noqa: E402
from django.urls import path, re_path  # noqa: E402

from otel_kpi import websocket  # noqa: E402


def query() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 42")
        row = cursor.fetchone()
        return int(row[0]) if row else 0


class RoomConsumer(AsyncJsonWebsocketConsumer):
    async def connect(self) -> None:
        await self.channel_layer.group_add("rooms", self.channel_name)
        await self.accept()

    async def receive_json(self, content: Any, **_options: Any) -> None:
        await database_sync_to_async(query)()
        if content["type"] == "boom":
            raise LookupError("no such room")
        await self.channel_layer.group_send(
            "rooms", websocket.inject({"type": "room.event", "text": content["text"]})
        )

    async def room_event(self, event: Any) -> None:
        await database_sync_to_async(query)()
        await self.send_json({"text": event["text"]})

    async def disconnect(self, code: int) -> None:
        del code
        await self.channel_layer.group_discard("rooms", self.channel_name)


class EchoConsumer(WebsocketConsumer):
    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        del bytes_data
        query()
        self.send(text_data=text_data)


def health(_request: Any) -> HttpResponse:
    return HttpResponse(b"ok")


urlpatterns = [path("health", health)]
# Channels' stubs know no pattern of Django's.
routes: Any = [path("<int:number>/", RoomConsumer.as_asgi())]
# Channels 4.0 knows no path() before another router.
outer: Any = [
    re_path(r"^rooms/", URLRouter(routes)),
    re_path(r"^echo/(?P<name>\w+)/$", EchoConsumer.as_asgi()),
]
application = ProtocolTypeRouter({"http": get_asgi_application(), "websocket": URLRouter(outer)})
