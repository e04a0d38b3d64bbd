"""The service, put together."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from coaching_ia import settings
from coaching_ia.api import coach, documents, models
from coaching_ia.clubs import HOUSE
from otel_kpi import llm
from otel_kpi.endpoints.starlette import add_endpoints

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
for quiet in ("httpx", "httpx2"):
    logging.getLogger(quiet).setLevel(logging.WARNING)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the ways to the models, and read the documents: one call, which the house pays."""
    now = app.state.settings = settings.load()
    app.state.clients = models.clients(now.openai_url, now.anthropic_url, now.provider_keys)
    known = documents.read()
    with llm.context(tenant=HOUSE, feature="index"):
        vectors = await models.vectors(app.state.clients[HOUSE], [each.text for each in known])
    app.state.index = documents.Index(known, vectors)
    yield
    for each in app.state.clients.values():
        await each.close()


app = FastAPI(title="Coach", lifespan=lifespan)
app.include_router(coach.router)
add_endpoints(app)  # /metrics, /api/metrics/summary, /monitoring, /api/health …
