"""Mistral's API where it differs from OpenAI's: usage on every stream, fill-in-the-middle, agents, its own errors."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from support.llm.answers import as_events, as_json, event

if TYPE_CHECKING:
    from support.llm.answers import Answer, Asked, Reply

PRIORITY: Final = 10
_PATH: Final = re.compile(r"/(chat|fim|agents)/completions$|/embeddings$")
_CLIENT: Final = "mistral"


def matches(asked: Asked) -> bool:
    """Whether Mistral's SDK asks; the paths are OpenAI's."""
    return _CLIENT in asked.headers.get("user-agent", "") and _PATH.search(asked.route) is not None


def error(answer: Answer) -> object:
    """The body of a failure."""
    return {"object": "error", "message": answer.error, "type": "scripted_error", "code": f"{answer.status}"}


def reply(asked: Asked, answer: Answer) -> Reply:
    """The answer of the endpoint that the path names."""
    if asked.route.endswith("/embeddings"):
        return _embeddings(asked, answer)
    return _stream(asked, answer) if asked.json.get("stream") else _completion(asked, answer)


def _usage(answer: Answer) -> dict[str, Any]:
    usage = answer.counts({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    if usage is None:
        return {}
    return {"usage": usage | ({"service_tier": answer.tier} if answer.tier else {})}


def _top(asked: Asked, answer: Answer, kind: str) -> dict[str, Any]:
    return {
        "id": f"cmpl-{len(asked.body)}",
        "object": kind,
        "created": 1_790_000_000,
        "model": answer.model or asked.json.get("model") or "mistral-small-2506",
        **answer.more,
    }


def _tools(answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call{number:05}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
            "index": number,
        }
        for number, (name, arguments) in enumerate(answer.tools)
    ]


def _finish(answer: Answer) -> str:
    return answer.finish or ("tool_calls" if answer.tools else "stop")


def _completion(asked: Asked, answer: Answer) -> Reply:
    message: dict[str, Any] = {"role": "assistant", "content": "" if answer.tools else answer.text}
    if answer.tools:
        message["tool_calls"] = _tools(answer)
    choices = [
        {"index": index, "message": message, "finish_reason": _finish(answer)}
        for index in range(asked.json.get("n") or 1)
    ]
    return as_json({**_top(asked, answer, "chat.completion"), "choices": choices, **_usage(answer)})


def _stream(asked: Asked, answer: Answer) -> Reply:
    if isinstance(answer.body, list):
        return as_events([event(each) for each in answer.body])
    top = _top(asked, answer, "chat.completion.chunk")

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        return event({**top, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    told = [chunk({"role": "assistant", "content": ""})]
    if answer.tools:
        told.append(chunk({"content": "", "tool_calls": _tools(answer)}, _finish(answer), **_usage(answer)))
    else:
        told += [chunk({"content": piece}) for piece in answer.pieces]
        told.append(chunk({"content": ""}, _finish(answer), **_usage(answer)))
    if answer.error_after is not None:
        return as_events([*told[: answer.error_after], event(error(answer))])
    return as_events([*told, event("[DONE]")])


def _embeddings(asked: Asked, answer: Answer) -> Reply:
    inputs = asked.json.get("inputs") or asked.json.get("input") or []
    count = len(inputs) if isinstance(inputs, list) else 1
    usage = answer.counts({"prompt_tokens": 4, "completion_tokens": 0, "total_tokens": 4})
    return as_json(
        {
            **_top(asked, answer, "list"),
            "data": [
                {"object": "embedding", "embedding": [0.25, 0.5], "index": index} for index in range(count)
            ],
            **({} if usage is None else {"usage": usage}),
        }
    )
