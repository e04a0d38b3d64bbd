"""Cohere's API: chat, embed and rerank of the second version, and the first version's that are still served."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from support.llm.answers import Reply, as_events, as_json, event

if TYPE_CHECKING:
    from support.llm.answers import Answer, Asked

_PATH: Final = re.compile(r"/(v1|v2)/(chat|embed|rerank)$")
_BILLED: Final = {"input_tokens": 10, "output_tokens": 5}
# What the model saw is more than what is billed: Cohere's own preamble and its marks.
_CONSUMED: Final = {"input_tokens": 76, "output_tokens": 7}


def matches(asked: Asked) -> bool:
    """Whether the path is one of Cohere's."""
    return _PATH.search(asked.route) is not None


def error(answer: Answer) -> object:
    """The body of a failure."""
    return {"id": "scripted", "message": answer.error}


def reply(asked: Asked, answer: Answer) -> Reply:
    """The answer of the endpoint that the path names."""
    version, _, endpoint = asked.route.rpartition("/")
    first = version.endswith("/v1")
    if endpoint == "embed":
        return _embed(asked, answer)
    if endpoint == "rerank":
        return _rerank(asked, answer)
    if not asked.json.get("stream"):
        return as_json((_first if first else _second)(asked, answer))
    if isinstance(answer.body, list):
        return as_events([event(each, each.get("type")) for each in answer.body])
    if first:
        return _lines(asked, answer)
    return _stream(asked, answer)


def _usage(answer: Answer) -> dict[str, Any] | None:
    return answer.counts({"billed_units": _BILLED, "tokens": _CONSUMED})


def _id(asked: Asked) -> str:
    return f"c14c80c3-{len(asked.body)}"


def _tools(answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": f"{name}_{number}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        for number, (name, arguments) in enumerate(answer.tools)
    ]


def _finish(answer: Answer) -> str:
    return answer.finish or ("TOOL_CALL" if answer.tools else "COMPLETE")


def _second(asked: Asked, answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant"}
    if answer.tools:
        message["tool_calls"] = _tools(answer)
    else:
        message["content"] = [{"type": "text", "text": answer.text}]
    usage = _usage(answer)
    return {
        "id": _id(asked),
        "finish_reason": _finish(answer),
        "message": message,
        **({} if usage is None else {"usage": usage}),
        **answer.more,
    }


def _stream(asked: Asked, answer: Answer) -> Reply:
    usage = _usage(answer)
    told: list[dict[str, Any]] = [
        {
            "type": "message-start",
            "id": _id(asked),
            "delta": {"message": {"role": "assistant", "content": [], "tool_calls": []}},
        },
        {
            "type": "content-start",
            "index": 0,
            "delta": {"message": {"content": {"type": "text", "text": ""}}},
        },
        *(
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": piece}}}}
            for piece in answer.pieces
        ),
        {"type": "content-end", "index": 0},
    ]
    delta: dict[str, Any] = {"finish_reason": _finish(answer)}
    if usage is not None:
        delta["usage"] = usage
    if answer.error_after is not None:
        told = told[: answer.error_after]
        delta |= {"finish_reason": "ERROR", "error": answer.error}
    told.append({"type": "message-end", "id": _id(asked), "delta": delta})
    return as_events([event(each, each["type"]) for each in told])


def _first(asked: Asked, answer: Answer) -> dict[str, Any]:
    usage = _usage(answer)
    return {
        "response_id": _id(asked),
        "generation_id": f"g-{_id(asked)}",
        "text": answer.text,
        "finish_reason": _finish(answer),
        **({} if usage is None else {"meta": {"api_version": {"version": "1"}, **usage}}),
        **answer.more,
    }


def _lines(asked: Asked, answer: Answer) -> Reply:
    told: list[dict[str, Any]] = [
        {"event_type": "stream-start", "is_finished": False, "generation_id": f"g-{_id(asked)}"},
        *({"event_type": "text-generation", "is_finished": False, "text": piece} for piece in answer.pieces),
        {
            "event_type": "stream-end",
            "is_finished": True,
            "finish_reason": _finish(answer),
            "response": _first(asked, answer),
        },
    ]
    return Reply([f"{json.dumps(each)}\n".encode() for each in told], "application/stream+json")


def _embed(asked: Asked, answer: Answer) -> Reply:
    count = len(asked.json.get("texts") or asked.json.get("inputs") or [0])
    usage = answer.counts({"billed_units": {"input_tokens": 4}})
    return as_json(
        {
            "id": _id(asked),
            "response_type": "embeddings_by_type",
            "embeddings": {"float": [[0.25, 0.5]] * count},
            "texts": asked.json.get("texts") or [],
            **({} if usage is None else {"meta": {"api_version": {"version": "2"}, **usage}}),
            **answer.more,
        }
    )


def _rerank(asked: Asked, answer: Answer) -> Reply:
    documents = asked.json.get("documents") or []
    count = min(len(documents), asked.json.get("top_n") or len(documents))
    usage = answer.counts({"billed_units": {"search_units": 1}})
    return as_json(
        {
            "id": _id(asked),
            "results": [{"index": index, "relevance_score": 0.9 - index / 10} for index in range(count)],
            **({} if usage is None else {"meta": {"api_version": {"version": "2"}, **usage}}),
            **answer.more,
        }
    )
