"""`POST /v1/chat/completions` in OpenAI's shape, without a model behind it."""

import asyncio

from fastapi import FastAPI
from pydantic import BaseModel, Field

from innatural_chatbot.assistant.answers import MODEL, SLOW, answer

LATENCY = 0.02  # seconds to an answer
FOREVER = 5.0  # seconds, longer than the chat service waits

app = FastAPI(title="Assistant")


class Message(BaseModel):
    role: str
    content: str


class Question(BaseModel):
    model: str
    messages: list[Message] = Field(min_length=1)


@app.post("/v1/chat/completions")
async def complete(question: Question) -> dict[str, object]:
    """Answer after a fixed time."""
    asked = question.messages[-1].content
    # What it stands in for takes its time.
    await asyncio.sleep(FOREVER if asked.startswith(SLOW) else LATENCY)
    found = answer(asked)
    return {
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": found.text}}],
        "usage": {"prompt_tokens": found.prompt_tokens, "completion_tokens": found.completion_tokens},
    }


@app.get("/health")
async def health() -> dict[str, str]:
    """For the launcher."""
    return {"status": "ok"}
