"""A Starlette application with a mount and a middleware, and a plain ASGI one: `uvicorn sentry_gallery:app`, `:plain`."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount, Route


async def pass_on(request: Any, call_next: Any) -> Any:
    return await call_next(request)


async def broken(_: Any) -> Any:
    raise ValueError("the frame is broken")


async def missing(_: Any) -> Any:
    raise HTTPException(404)


rooms = Starlette(routes=[Route("/broken", broken), Route("/missing", missing)])
app = Starlette(
    routes=[Mount("/rooms/{number:int}", app=rooms)],
    middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)],
)


async def plain(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    raise ValueError("the frame is broken")
