"""`/v1/messages` as Anthropic answers it."""

import json
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from model_provider import gate
from model_provider.answers import answer, tokens
from model_provider.calls import Call
from model_provider.memory import SHORTEST, Memory
from model_provider.rates import MODELS

router = APIRouter(prefix="/v1")


@router.post("/messages")
async def message(request: Request) -> Response:
    """Answer the last message out of the instructions and the messages before it."""
    body: dict[str, Any] = await request.json()
    caller, model = gate.caller(request), str(body["model"])
    if caller is None:
        return gate.unknown()
    if model not in MODELS:
        return gate.no_such_model(model)
    *known, asked = [_text(each["content"]) for each in body["messages"]]
    system = _blocks(body.get("system") or [])
    if gate.refuses(request, asked):
        request.app.state.ledger.of(caller.project, model).refused += 1
        return gate.refusal(_limits(remaining=0))
    text = answer([*(each["text"] for each in system), *known], asked)
    used = _used(request.app.state.memory, caller.project, model, system, [*known, asked])
    used["output"] = tokens(text)
    frame = {
        "id": f"msg_{uuid.uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": MODELS[model].version,
    }
    call = Call(request.app.state.ledger, caller.project, model, text, used, request.app.state.pace)
    if body.get("stream"):
        return StreamingResponse(_stream(call, frame), media_type="text/event-stream", headers=_limits())
    await call.whole()
    said = {"content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "stop_sequence": None}
    return JSONResponse(frame | said | {"usage": _usage(used, used["output"])}, headers=_limits())


def _used(
    memory: Memory, project: str, model: str, system: list[dict[str, Any]], messages: list[str]
) -> dict[str, int]:
    """Tokens of the prompt: what is marked is remembered the first time and cheap from then on."""
    marked = [index for index, each in enumerate(system) if each.get("cache_control")]
    beginning = "\n".join(each["text"] for each in system[: marked[-1] + 1]) if marked else ""
    rest = sum(tokens(each["text"]) for each in system[marked[-1] + 1 if marked else 0 :])
    rest += sum(map(tokens, messages))
    length = tokens(beginning)
    if length < SHORTEST:
        return {"input": length + rest, "cached": 0, "written": 0}
    known = memory.recall(project, model, beginning)
    return {"input": rest, "cached": length if known else 0, "written": 0 if known else length}


async def _stream(call: Call, frame: dict[str, Any]) -> AsyncGenerator[str]:
    begun = frame | {"content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(call.used, 1)}
    yield _event("message_start", message=begun)
    yield _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    async with aclosing(call.words()) as words:
        async for each in words:
            yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": each})
    yield _event("content_block_stop", index=0)
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event("message_delta", delta=ended, usage={"output_tokens": call.used["output"]})
    yield _event("message_stop")


def _blocks(system: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": system}] if isinstance(system, str) else list(system)


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "\n".join(each.get("text", "") for each in content)


def _event(kind: str, **data: Any) -> str:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"


def _usage(used: dict[str, int], output: int) -> dict[str, Any]:
    return {
        "input_tokens": used["input"],
        "cache_creation_input_tokens": used["written"],
        "cache_read_input_tokens": used["cached"],
        "cache_creation": {"ephemeral_5m_input_tokens": used["written"], "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "service_tier": "standard",
    }


def _limits(remaining: int = gate.LIMIT - 1) -> dict[str, str]:
    reset = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="seconds")
    return {
        "anthropic-ratelimit-requests-limit": str(gate.LIMIT),
        "anthropic-ratelimit-requests-remaining": str(remaining),
        "anthropic-ratelimit-requests-reset": reset,
        "request-id": f"req_{uuid.uuid4().hex[:24]}",
    }
