"""A FastAPI application with one statement a request, a mounted API, an unhandled error and a health probe."""

from __future__ import annotations

import logging
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

engine = create_async_engine(os.environ.get("SHOP_DATABASE", "sqlite+aiosqlite://"))
logger = logging.getLogger("shop")


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
api = FastAPI()
app.mount("/api", api)


@app.get("/items/{item_id}")
@api.get("/items/{item_id}")
async def item(item_id: int) -> dict[str, int]:
    async with engine.connect() as connection:
        price = await connection.scalar(text("SELECT :id * 2"), {"id": item_id})
    logger.warning("item %d", item_id)
    return {"id": item_id, "price": price}


@app.get("/boom")
async def boom() -> None:
    raise LookupError("no such thing")


@app.get("/health")
async def health() -> str:
    return "ok"
