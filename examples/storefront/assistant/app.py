"""`POST /v1/chat/completions` in OpenAI's shape, without a model behind it.

The same question always gets the same answer, after the same time, at the same number of tokens, so
that whoever watches this system knows beforehand what they should see.
"""

import asyncio
import hashlib
import logging
from typing import Literal

from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

LATENCY = 0.02  # seconds to an answer
MODEL = "scripted-1"
PHRASES = (
    "A quiet light for long evenings.",
    "Bright where you need it, dark where you do not.",
    "It will outlast the table it stands on.",
    "Handle with care: glass on three sides.",
)

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
log = logging.getLogger("storefront.assistant")
app = FastAPI(title="Assistant")


class Message(BaseModel):
    role: Literal["system", "user", "assistant"]
    content: str


class Question(BaseModel):
    model: str
    messages: list[Message] = Field(min_length=1)


@app.post("/v1/chat/completions")
async def complete(question: Question) -> dict[str, object]:
    """Answer after a fixed time; one log record. A word is a token here."""
    if question.model != MODEL:
        raise HTTPException(404, f"the only model here is {MODEL}")
    await asyncio.sleep(LATENCY)
    asked = " ".join(message.content for message in question.messages)
    digest = hashlib.sha256(asked.encode()).hexdigest()
    said = PHRASES[int(digest, 16) % len(PHRASES)]
    used = {"prompt_tokens": len(asked.split()), "completion_tokens": len(said.split())}
    log.info("answered with %d tokens", used["completion_tokens"])
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
        "usage": {**used, "total_tokens": sum(used.values())},
    }


@app.get("/health")
async def health() -> dict[str, str]:
    """For the launcher."""
    return {"status": "ok"}
