"""Anthropic's Messages API, plain and streamed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from support.llm.answers import as_events, as_json, event

if TYPE_CHECKING:
    from support.llm.answers import Answer, Asked, Reply

_PATH: Final = re.compile(
    r"/messages(?:/count_tokens|/batches/[^/]+(?:/results)?)?$|/publishers/anthropic/models/([^/]+):(?:rawPredict|streamRawPredict)$"
)
_OF_A_DELTA: Final = (
    "input_tokens",
    "cache_creation_input_tokens",
    "cache_read_input_tokens",
    "server_tool_use",
    "output_tokens",
    "output_tokens_details",
    "iterations",
)
"""What the last delta of a stream repeats; the parts of the cache and the tier come with the start alone."""


def matches(asked: Asked) -> bool:
    """Whether the path ends as Anthropic's, or as its models' on Vertex AI."""
    return _PATH.search(asked.route) is not None


def error(answer: Answer) -> object:
    """The body of a failure, and of an `error` event."""
    return {"type": "error", "error": {"type": "scripted_error", "message": answer.error}}


def reply(asked: Asked, answer: Answer) -> Reply:
    """A message, or its events."""
    if asked.json.get("stream"):
        return _stream(asked, answer)
    usage = _usage(answer)
    return as_json(_message(asked, answer, _blocks(answer), usage))


def _usage(answer: Answer) -> dict[str, Any] | None:
    usage = answer.counts({"input_tokens": 10, "output_tokens": 5})
    if usage is not None and answer.tier:
        usage["service_tier"] = answer.tier
    return usage


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": "scripted"})
    blocks += [
        {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": dict(arguments)}
        for number, (name, arguments) in enumerate(answer.tools)
    ]
    return blocks if answer.tools else [*blocks, {"type": "text", "text": answer.text, "citations": None}]


def _stop_reason(answer: Answer) -> str:
    return answer.finish or ("tool_use" if answer.tools else "end_turn")


def _model(asked: Asked) -> str | None:
    found = _PATH.search(asked.route)
    return asked.json.get("model") or (found[1] if found is not None else None)


def _message(
    asked: Asked, answer: Answer, blocks: list[dict[str, Any]], usage: dict[str, Any] | None
) -> dict[str, Any]:
    message = {
        "id": f"msg_{len(asked.body)}",
        "type": "message",
        "role": "assistant",
        "model": answer.model or _model(asked) or "claude-sonnet-4-5",
        "content": blocks,
        "stop_reason": _stop_reason(answer) if blocks else None,
        "stop_sequence": None,
    }
    return message | ({} if usage is None else {"usage": usage}) | dict(answer.more)


def _stream(asked: Asked, answer: Answer) -> Reply:
    return as_events([event(each, each["type"]) for each in events(asked, answer)])


def events(asked: Asked, answer: Answer) -> list[dict[str, Any]]:
    """What a stream tells; other formats carry it in frames of their own."""
    if isinstance(answer.body, list):
        return answer.body  # pyright: ignore[reportUnknownVariableType] -- any JSON
    usage = _usage(answer)
    # Anthropic's own: the input's counts with the start, one token of output so far; the whole with the last delta.
    begun = None if usage is None else {**usage, "output_tokens": min(1, usage.get("output_tokens") or 0)}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": _message(asked, answer, [], begun)}]
    for index, block in enumerate(_blocks(answer)):
        told += _block(index, block, answer)
        if index == 0:
            told.insert(2, {"type": "ping"})
    ended = {"type": "message_delta", "delta": {"stop_reason": _stop_reason(answer), "stop_sequence": None}}
    total = {name: count for name, count in (usage or {}).items() if name in _OF_A_DELTA}
    told.append(ended | ({} if usage is None else {"usage": total}))
    told.append({"type": "message_stop"})
    if answer.error_after is not None:
        told = [
            *told[: answer.error_after],
            {"type": "error", "error": {"type": "overloaded_error", "message": answer.error}},
        ]
    return told


def _block(index: int, block: dict[str, Any], answer: Answer) -> list[dict[str, Any]]:
    kind = block["type"]
    if kind == "text":
        empty = {**block, "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in answer.pieces]
    elif kind == "thinking":
        empty = {**block, "thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    else:
        empty = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]
