"""The same small application in every framework and in none: one statement a request, an error, a health probe."""

from __future__ import annotations

import logging
import os
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

logger = logging.getLogger("web")


def query() -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("SELECT 1").fetchall()
    connection.close()


def answer(path: str) -> bytes:
    logger.warning("answering %s", path)
    query()
    if path == "/boom":
        raise LookupError("no such thing")
    return b"ok"


# --- no framework


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if "WEB_STARTUP" in os.environ and message["type"] == "lifespan.startup":
                query()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            query()
            await send({"type": "websocket.send", "text": message["text"]})
        return
    body = answer(scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": body})


def wsgi(environ: Any, start_response: Any) -> Iterator[bytes]:
    body = answer(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Length", "2")])
    return iter([body])


# --- frameworks


def make_starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Mount, Route, WebSocketRoute

    async def handle(request: Any) -> PlainTextResponse:
        return PlainTextResponse(answer(request.url.path))

    async def stream(_request: Any) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            query()
            yield b"o"
            query()
            yield b"k"

        return StreamingResponse(parts())

    async def echo(websocket: Any) -> None:
        await websocket.accept()
        async for text in websocket.iter_text():
            query()
            await websocket.send_text(text)

    routes = [
        Route("/items/{number:int}", handle),
        Route("/boom", handle),
        Route("/health", handle),
        Route("/stream", stream),
        WebSocketRoute("/rooms/{room}", echo),
    ]
    return Starlette(routes=[*routes, Mount("/api", Starlette(routes=list(routes)))])


def make_flask() -> Any:
    import flask

    app = flask.Flask(__name__)
    shop = flask.Blueprint("shop", __name__, url_prefix="/shop")

    def handle(**_: Any) -> bytes:
        return answer(flask.request.path)

    def stream() -> Any:
        def parts() -> Iterator[bytes]:
            query()
            yield b"o"
            query()
            yield b"k"

        return flask.Response(parts())

    for rule in ("/items/<int:number>", "/boom", "/health"):
        app.add_url_rule(rule, rule, handle)
    app.add_url_rule("/stream", "stream", stream)
    shop.add_url_rule("/items/<int:number>", "item", handle)
    app.register_blueprint(shop)
    return app


def make_quart() -> Any:
    import quart

    app = quart.Quart(__name__)

    async def handle(**_: Any) -> bytes:
        return answer(quart.request.path)

    for rule in ("/items/<int:number>", "/boom", "/health"):
        app.add_url_rule(rule, rule, handle)
    return app


def make_litestar() -> Any:
    from litestar import Litestar, MediaType, Request, get

    @get(["/items/{number:int}", "/boom", "/health"], media_type=MediaType.TEXT)
    async def handle(request: Request[Any, Any, Any]) -> bytes:
        return answer(request.url.path)

    handle.fn.__annotations__["request"] = Request
    return Litestar([handle])


def make_mounted() -> Any:
    """A Flask application in a FastAPI one."""
    from a2wsgi import WSGIMiddleware
    from fastapi import FastAPI

    app = FastAPI()
    legacy: Any = WSGIMiddleware(make_flask())
    app.mount("/legacy", legacy)
    return app


def make_asgi() -> Any:
    return asgi


def make_wsgi() -> Any:
    return wsgi


MAKERS = {
    "asgi": make_asgi,
    "wsgi": make_wsgi,
    "starlette": make_starlette,
    "flask": make_flask,
    "quart": make_quart,
    "litestar": make_litestar,
    "mounted": make_mounted,
}

# Servers name the object that they import; which one it is, the test says.
application = MAKERS[os.environ["WEB_APPLICATION"]]() if "WEB_APPLICATION" in os.environ else None
