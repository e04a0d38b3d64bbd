"""The same WebSocket in every framework and in none: a statement for each message, and it is said back."""

from __future__ import annotations

import os
from typing import Any

from apps.web import query


def handle(text: str) -> str:
    query()
    if text == "boom":
        raise LookupError("no such thing")
    return text.upper()


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})
    elif scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/closed":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": handle(message["text"])})


def make_starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route, WebSocketRoute

    async def health(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def rooms(websocket: Any) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(handle(text))

    async def closed(websocket: Any) -> None:
        await websocket.close()

    return Starlette(
        routes=[
            Route("/health", health),
            WebSocketRoute("/rooms/{room}", rooms),
            WebSocketRoute("/closed", closed),
        ]
    )


def make_fastapi() -> Any:
    from fastapi import FastAPI, WebSocket

    app = FastAPI()

    async def health() -> str:
        return "ok"

    async def rooms(websocket: WebSocket, room: str) -> None:
        del room
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(handle(text))

    async def closed(websocket: WebSocket) -> None:
        await websocket.close()

    rooms.__annotations__["websocket"] = closed.__annotations__["websocket"] = WebSocket
    app.get("/health")(health)
    app.websocket("/rooms/{room}")(rooms)
    app.websocket("/closed")(closed)
    return app


def make_quart() -> Any:
    import quart

    app = quart.Quart(__name__)

    async def health() -> str:
        return "ok"

    async def rooms(room: str) -> None:
        del room
        while True:
            await quart.websocket.send(handle(str(await quart.websocket.receive())))

    async def closed() -> tuple[str, int]:
        return "no", 403

    app.get("/health")(health)
    app.websocket("/rooms/<room>")(rooms)
    app.websocket("/closed")(closed)
    return app


def make_litestar() -> Any:
    from litestar import Litestar, WebSocket, get, websocket

    async def health() -> str:
        return "ok"

    async def rooms(socket: Any, room: str) -> None:
        del room
        await socket.accept()
        while True:
            await socket.send_text(handle(await socket.receive_text()))

    async def closed(socket: Any) -> None:
        await socket.close()

    rooms.__annotations__ |= {"socket": WebSocket, "room": str, "return": None}
    closed.__annotations__ |= {"socket": WebSocket, "return": None}
    health.__annotations__ |= {"return": str}
    handlers = [get("/health")(health), websocket("/rooms/{room:str}")(rooms), websocket("/closed")(closed)]
    return Litestar(handlers)


def make_asgi() -> Any:
    return asgi


APPLICATIONS: dict[str, Any] = {
    "asgi": make_asgi,
    "starlette": make_starlette,
    "fastapi": make_fastapi,
    "quart": make_quart,
    "litestar": make_litestar,
}
application: Any = APPLICATIONS[os.environ.get("SOCKETS_APPLICATION", "starlette")]()
