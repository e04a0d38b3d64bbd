"""The language model, as the chat service calls it; measured with two lines."""

import time

import httpx

from innatural_chatbot.assistant.answers import MODEL
from otel_kpi import chat

WAITS = 0.5  # seconds


async def complete(client: httpx.AsyncClient, question: str) -> str:
    """Ask the model.

    Raises:
        TimeoutError: It takes longer than anybody waits.
    """
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
    start = time.perf_counter()
    try:
        response = await client.post("/v1/chat/completions", json=body, timeout=WAITS)
        said = response.raise_for_status().json()
    except httpx.TimeoutException:
        chat.track_ai_request(MODEL, start, False, provider="innatural", error_type="TimeoutError")
        raise TimeoutError("the model takes too long") from None
    used = said["usage"]
    chat.track_ai_request(
        MODEL, start, True, used["prompt_tokens"], used["completion_tokens"], provider="innatural"
    )
    return said["choices"][0]["message"]["content"]
