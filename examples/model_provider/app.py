"""The provider: both APIs, and its bill at `/ledger`. `uvicorn model_provider.app:app`, one process."""

import os
from typing import Any

from fastapi import FastAPI

from model_provider import anthropic_api, openai_api
from model_provider.ledger import Ledger
from model_provider.memory import Memory

app = FastAPI(title="Provider of models")
app.state.ledger = Ledger()
app.state.memory = Memory()
app.state.pace = float(os.environ.get("MODEL_PROVIDER_PACE", "0.004"))  # seconds for three words
app.include_router(openai_api.router)
app.include_router(anthropic_api.router)


@app.get("/ledger")
async def ledger() -> list[dict[str, Any]]:
    """The bill, a line for each project and model."""
    return app.state.ledger.lines()


@app.get("/health")
async def health() -> dict[str, str]:
    """For the launcher."""
    return {"status": "ok"}
