"""The shop's service: its parts put together."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from storefront import settings
from storefront.shop import database, imports, orders, products

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
logging.getLogger("httpx").setLevel(logging.WARNING)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the database and the two HTTP clients; at the end wait for jobs that this process started."""
    now = settings.load()
    app.state.settings = now
    app.state.engine = database.open_async(now)
    app.state.jobs = imports.Jobs(now)
    async with (
        httpx.AsyncClient(base_url=now.backoffice_url, timeout=10) as app.state.backoffice,
        httpx.AsyncClient(base_url=now.assistant_url, timeout=10) as app.state.assistant,
    ):
        yield
        await app.state.jobs.wait()
    await app.state.engine.dispose()


app = FastAPI(title="Storefront", lifespan=lifespan)
app.include_router(products.router)
app.include_router(orders.router)
app.include_router(imports.router)


@app.get("/health")
async def health() -> dict[str, str]:
    """For the launcher and load balancers. Not part of any count."""
    return {"status": "ok"}
