"""The service: its parts put together, and what it says of what it could not do."""

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from slowapi.errors import RateLimitExceeded

from innatural_chatbot import settings
from innatural_chatbot.service import conversations, database, limits, model, products
from otel_kpi import chat
from otel_kpi.endpoints.starlette import add_endpoints

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
for quiet in ("httpx", "httpx2"):
    logging.getLogger(quiet).setLevel(logging.WARNING)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Open the database, Redis and the ways to the models."""
    now = settings.load()
    app.state.engine = database.open_engine(now)
    app.state.popularity = products.Popularity(now.redis_url)
    app.state.models = model.clients(now.openai_url, now.provider_keys)
    yield
    for client in app.state.models.values():
        await client.close()
    await app.state.popularity.close()
    await app.state.engine.dispose()


app = FastAPI(title="INnatural chatbot", lifespan=lifespan)
app.state.limiter = limits.limiter
app.include_router(conversations.router)
app.include_router(products.router)
add_endpoints(app)  # /metrics, /api/metrics/summary, /monitoring, /api/health …


@app.exception_handler(RequestValidationError)
async def invalid(request: Request, error: RequestValidationError) -> Response:
    """What a user sent cannot be accepted: counted by what is wrong with it, never with the value."""
    chat.validation_error(error.errors()[0]["type"])
    chat.record_error("ValidationError", "warning")
    return await request_validation_exception_handler(request, error)


@app.exception_handler(RateLimitExceeded)
async def too_many(_request: Request, _error: RateLimitExceeded) -> Response:
    """A sender speaks too often."""
    chat.rate_limit_hit()
    return JSONResponse({"detail": "a little slower, please"}, 429)


@app.exception_handler(Exception)
async def failed(_request: Request, error: Exception) -> Response:
    """Nobody handled it: the one place where such an error is reported."""
    chat.error(error, "critical")
    return PlainTextResponse("Internal Server Error", 500)
