"""OpenAI's API, and every gateway's that speaks it: chat, completions, embeddings, responses, under any base path."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from support.llm.answers import as_events, as_json, event

if TYPE_CHECKING:
    from support.llm.answers import Answer, Asked, Reply

CREATED: Final = 1_790_000_000
_PATH: Final = re.compile(
    r"/(chat/completions|completions|embeddings|responses(?:/[^/]+(?:/cancel)?)?|models|files/[^/]+/content)$"
)
_DEPLOYMENT: Final = re.compile(r"/deployments/([^/]+)/")


def matches(asked: Asked) -> bool:
    """Whether the path ends as one of OpenAI's."""
    return _PATH.search(asked.route) is not None


def error(answer: Answer) -> object:
    """The body of a failure."""
    return {
        "error": {
            "message": answer.error,
            "type": "scripted_error",
            "param": None,
            "code": f"c{answer.status}",
        }
    }


def reply(asked: Asked, answer: Answer) -> Reply:
    """The answer of the endpoint that the path names."""
    endpoint = asked.route.rpartition("/")[2]
    if "/responses/" in asked.route and asked.method == "DELETE":
        return as_json({"id": endpoint, "object": "response", "deleted": True})
    if "/responses" in asked.route:
        return _responses(asked, answer)
    if endpoint == "models":
        return as_json(
            {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "x"}]}
        )
    if endpoint == "embeddings":
        return _embeddings(asked, answer)
    chat = asked.route.endswith("/chat/completions")
    return (
        _stream(asked, answer, chat=chat)
        if asked.json.get("stream")
        else _completion(asked, answer, chat=chat)
    )


def model_of(asked: Asked, answer: Answer) -> str:
    """The model that answers."""
    deployment = _DEPLOYMENT.search(asked.route)
    return answer.model or asked.json.get("model") or (deployment[1] if deployment else "gpt-4o-mini")


def _top(asked: Asked, answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{len(asked.body)}",
        "object": kind,
        "created": CREATED,
        "model": model_of(asked, answer),
        "system_fingerprint": "fp_scripted",
        **({"service_tier": answer.tier} if answer.tier else {}),
        **answer.more,
    }


def _usage(answer: Answer) -> dict[str, Any] | None:
    return answer.counts({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})


def _tools(answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(answer.tools)
    ]


def _completion(asked: Asked, answer: Answer, *, chat: bool) -> Reply:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if answer.tools else answer.text,
        "refusal": None,
    }
    if answer.tools:
        message["tool_calls"] = _tools(answer)
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    finish = answer.finish or ("tool_calls" if answer.tools else "stop")
    said = {"message": message} if chat else {"text": answer.text}
    choices = [
        {"index": number, **said, "finish_reason": finish, "logprobs": None}
        for number in range(asked.json.get("n") or 1)
    ]
    content = _top(asked, answer, "chat.completion" if chat else "text_completion") | {"choices": choices}
    usage = _usage(answer)
    return as_json(content if usage is None else content | {"usage": usage})


def _deltas(answer: Answer) -> list[tuple[dict[str, Any], str | None]]:
    deltas: list[tuple[dict[str, Any], str | None]] = [({"role": "assistant", "content": ""}, None)]
    if answer.reasoning:
        deltas.append(({"reasoning_content": answer.reasoning}, None))
    for number, call in enumerate(_tools(answer)):
        arguments = call["function"]["arguments"]
        first = {**call, "index": number, "function": {"name": call["function"]["name"], "arguments": ""}}
        deltas.append(({"tool_calls": [first]}, None))
        deltas.append(({"tool_calls": [{"index": number, "function": {"arguments": arguments}}]}, None))
    if not answer.tools:
        deltas += [({"content": piece}, None) for piece in answer.pieces]
    return [*deltas, ({}, answer.finish or ("tool_calls" if answer.tools else "stop"))]


def _stream(asked: Asked, answer: Answer, *, chat: bool) -> Reply:
    if isinstance(answer.body, list):
        return as_events([event(each) for each in answer.body])
    top = _top(asked, answer, "chat.completion.chunk" if chat else "text_completion")
    wanted = bool((asked.json.get("stream_options") or {}).get("include_usage"))
    # OpenAI's own: asked for usage, every chunk says `usage: null`, and one more without choices has it.
    top |= {"usage": None} if wanted else {}
    chunks = [
        top
        | {
            "choices": [
                {
                    "index": number,
                    **({"delta": delta} if chat else {"text": delta.get("content") or ""}),
                    "finish_reason": finish,
                    "logprobs": None,
                }
            ]
        }
        for delta, finish in _deltas(answer)
        for number in range(asked.json.get("n") or 1)
    ]
    usage = _usage(answer)
    if wanted and usage is not None:
        chunks.append(top | {"choices": [], "usage": usage})
    events = [event(chunk) for chunk in chunks]
    if answer.error_after is not None:
        return as_events([*events[: answer.error_after], event(error(answer))])
    return as_events([*events, event("[DONE]")])


def _embeddings(asked: Asked, answer: Answer) -> Reply:
    given = asked.json.get("input")
    count = len(given) if isinstance(given, list) and given and not isinstance(given[0], int) else 1
    # 0.0, 1.0 as the SDK asks for them by default: little-endian floats in base64.
    vector = "AAAAAAAAgD8=" if asked.json.get("encoding_format") == "base64" else [0.0, 1.0]
    data = [{"object": "embedding", "index": number, "embedding": vector} for number in range(count)]
    content = {"object": "list", "data": data, "model": model_of(asked, answer), **answer.more}
    usage = answer.counts({"prompt_tokens": 10, "total_tokens": 10})
    return as_json(content if usage is None else content | {"usage": usage})


def _response(asked: Asked, answer: Answer, status: str) -> dict[str, Any]:
    output: list[dict[str, Any]] = []
    if answer.reasoning:
        output.append(
            {
                "id": "rs_1",
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": answer.reasoning}],
            }
        )
    output += [
        {
            "id": f"fc_{number}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{number}",
            "name": name,
            "arguments": json.dumps(arguments),
        }
        for number, (name, arguments) in enumerate(answer.tools)
    ]
    if not answer.tools:
        part = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        output.append(
            {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        )
    done = status in ("completed", "incomplete")
    usage = answer.counts(
        {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 15,
        }
    )
    fetched = (
        asked.route.rpartition("/responses/")[2].partition("/")[0] if "/responses/" in asked.route else ""
    )
    return {
        "id": fetched or f"resp_{len(asked.body)}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "background": bool(asked.json.get("background")),
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model_of(asked, answer),
        "output": output if done else [],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "service_tier": answer.tier or "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": asked.json.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": usage if done else None,
        "user": None,
        "metadata": {},
        **answer.more,
    }


def _responses(asked: Asked, answer: Answer) -> Reply:
    status = answer.finish or ("queued" if asked.json.get("background") else "completed")
    if not (asked.json.get("stream") or "stream=true" in asked.path):
        return as_json(_response(asked, answer, status))
    if isinstance(answer.body, list):
        return as_events([event(each, each.get("type")) for each in answer.body])
    begun, ended = _response(asked, answer, "in_progress"), _response(asked, answer, status)
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(ended["output"]):
        at = {"item_id": item["id"], "output_index": index}
        empty = {**item, "status": "in_progress"} | ({"content": []} if item["type"] == "message" else {})
        told.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        if item["type"] == "message":
            told += _spoken(item, at, answer)
        elif item["type"] == "function_call":
            arguments = item["arguments"]
            told.append({"type": "response.function_call_arguments.delta", **at, "delta": arguments})
            told.append({"type": "response.function_call_arguments.done", **at, "arguments": arguments})
        told.append({"type": "response.output_item.done", "output_index": index, "item": item})
    told.append({"type": f"response.{status}", "response": ended})
    if answer.error_after is not None:
        failure = {"type": "error", "code": "server_error", "message": answer.error, "param": None}
        told = [*told[: answer.error_after], failure]
    return as_events(
        [event({**each, "sequence_number": number}, each["type"]) for number, each in enumerate(told)]
    )


def _spoken(item: dict[str, Any], at: dict[str, Any], answer: Answer) -> list[dict[str, Any]]:
    part = item["content"][0]
    where = {**at, "content_index": 0}
    return [
        {"type": "response.content_part.added", **where, "part": {**part, "text": ""}},
        *(
            {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
            for piece in answer.pieces
        ),
        {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **where, "part": part},
    ]
