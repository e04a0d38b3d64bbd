"""Ollama's own API: chat, generate, embed; streams are lines of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from support.llm.answers import Reply, as_json

if TYPE_CHECKING:
    from support.llm.answers import Answer, Asked

_ROUTES: Final = ("/api/chat", "/api/generate", "/api/embed", "/api/embeddings", "/api/tags")
_TIMES: Final = {
    "total_duration": 5_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_duration": 2_000_000,
    "eval_duration": 2_000_000,
}


def matches(asked: Asked) -> bool:
    """Whether the path is one of Ollama's."""
    return asked.route.endswith(_ROUTES)


def error(answer: Answer) -> object:
    """The body of a failure, and of a line in mid-stream."""
    return {"error": answer.error}


def reply(asked: Asked, answer: Answer) -> Reply:
    """The answer of the endpoint that the path names."""
    route = asked.route.rpartition("/")[2]
    if route == "tags":
        return as_json({"models": []})
    if route == "embeddings":
        return as_json({"embedding": [0.25, 0.5]})
    if route == "embed":
        return _embed(asked, answer)
    if not asked.json.get("stream", True):
        return as_json(_line(asked, answer, answer.text, done=True))
    if isinstance(answer.body, list):
        return _lines(answer.body)
    told = [_line(asked, answer, piece, done=False) for piece in answer.pieces]
    told.append(_line(asked, answer, "", done=True))
    if answer.error_after is not None:
        told = [*told[: answer.error_after], {"error": answer.error}]
    return _lines(told)


def _lines(told: list[dict[str, Any]]) -> Reply:
    return Reply([f"{json.dumps(each)}\n".encode() for each in told], "application/x-ndjson")


def _line(asked: Asked, answer: Answer, text: str, *, done: bool) -> dict[str, Any]:
    line: dict[str, Any] = {
        "model": answer.model or asked.json.get("model") or "llama3.2",
        "created_at": "2026-11-21T12:00:00Z",
        "done": done,
    }
    if asked.route.endswith("/generate"):
        line["response"] = text
    else:
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if answer.tools:
            message["tool_calls"] = [
                {"function": {"name": name, "arguments": dict(arguments)}} for name, arguments in answer.tools
            ]
        line["message"] = message
    if done:
        line["done_reason"] = answer.finish or "stop"
        line |= _TIMES | (answer.counts({"prompt_eval_count": 10, "eval_count": 5}) or {})
    return line | dict(answer.more)


def _embed(asked: Asked, answer: Answer) -> Reply:
    given = asked.json.get("input")
    count = len(given) if isinstance(given, list) else 1
    return as_json(
        {
            "model": answer.model or asked.json.get("model"),
            "embeddings": [[0.25, 0.5]] * count,
            "total_duration": 1_000_000,
            **(answer.counts({"prompt_eval_count": 4}) or {}),
            **answer.more,
        }
    )
