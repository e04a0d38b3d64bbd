"""`/v1/chat/completions` and `/v1/embeddings` as OpenAI answers them."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from model_provider import gate
from model_provider.answers import SLOW, answer, embedding, is_endless, prompt_tokens, tokens
from model_provider.calls import Call
from model_provider.rates import MODELS

FOREVER = 5.0  # seconds

router = APIRouter(prefix="/v1")


@router.post("/chat/completions")
async def complete(request: Request) -> Response:
    """Answer the last message out of those before it."""
    body: dict[str, Any] = await request.json()
    *known, asked = [str(each["content"]) for each in body["messages"]]
    caller, model = gate.caller(request), str(body["model"])
    if caller is None:
        return gate.unknown()
    if model not in MODELS:
        return gate.no_such_model(model)
    if gate.refuses(request, asked):
        request.app.state.ledger.of(caller.project, model).refused += 1
        return gate.refusal(_limits(remaining=0))
    if asked.startswith(SLOW):
        await asyncio.sleep(FOREVER)
        if await request.is_disconnected():
            request.app.state.ledger.of(caller.project, model).abandoned += 1
            return Response(status_code=499)
    text = answer(known, asked)
    prompt = prompt_tokens((*known, asked))
    cached = request.app.state.memory.read(caller.project, model, known)
    used = {"input": prompt - cached, "cached": cached, "output": tokens(text)}
    frame = {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "created": int(time.time()),
        "model": MODELS[model].version,
        "service_tier": "default",
        "system_fingerprint": "fp_b376dfbbd5",
    }
    endless = is_endless(asked)
    call = Call(request.app.state.ledger, caller.project, model, text, used, request.app.state.pace, endless)
    if body.get("stream"):
        wants_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        stream = _stream(call, frame, wants_usage=wants_usage)
        return StreamingResponse(stream, media_type="text/event-stream", headers=_limits())
    await call.whole()
    said = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "message": said, "finish_reason": "stop", "logprobs": None}
    whole = {"object": "chat.completion", **frame, "choices": [choice], "usage": _usage(used)}
    return JSONResponse(whole, headers=_limits())


@router.post("/embeddings")
async def embed(request: Request) -> Response:
    """Vectors of texts."""
    body: dict[str, Any] = await request.json()
    caller, model = gate.caller(request), str(body["model"])
    if caller is None:
        return gate.unknown()
    if model not in MODELS:
        return gate.no_such_model(model)
    given = body["input"]
    texts: list[str] = [given] if isinstance(given, str) else given
    count = sum(map(tokens, texts))
    request.app.state.ledger.answered(caller.project, model, {"input": count})
    vectors = [
        {"object": "embedding", "index": index, "embedding": embedding(text)}
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return JSONResponse(
        {"object": "list", "data": vectors, "model": model, "usage": usage}, headers=_limits()
    )


async def _stream(call: Call, frame: dict[str, Any], *, wants_usage: bool) -> AsyncGenerator[str]:
    frame = {"object": "chat.completion.chunk", **frame}
    async with aclosing(call.words()) as words:
        async for each in words:
            yield _event(frame | {"choices": [_delta({"content": each})]})
    yield _event(frame | {"choices": [_delta({}, "stop")]})
    if wants_usage:
        yield _event(frame | {"choices": [], "usage": _usage(call.used)})
    yield "data: [DONE]\n\n"


def _delta(delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _usage(used: dict[str, int]) -> dict[str, Any]:
    prompt = used["input"] + used["cached"]
    return {
        "prompt_tokens": prompt,
        "completion_tokens": used["output"],
        "total_tokens": prompt + used["output"],
        "prompt_tokens_details": {"cached_tokens": used["cached"], "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def _limits(remaining: int = gate.LIMIT - 1) -> dict[str, str]:
    return {
        "x-ratelimit-limit-requests": str(gate.LIMIT),
        "x-ratelimit-remaining-requests": str(remaining),
        "x-ratelimit-reset-requests": "12ms",
    }
