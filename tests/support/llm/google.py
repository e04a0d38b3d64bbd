"""Google's Gemini API and Vertex AI's: content plain and streamed, embeddings in their three forms."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from support.llm.answers import as_events, as_json, event

if TYPE_CHECKING:
    from support.llm.answers import Answer, Asked, Reply

_PATH: Final = re.compile(
    r"/models/([^/:]+):(generateContent|streamGenerateContent|embedContent|batchEmbedContents|predict)$"
    r"|/interactions$"
)
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    403: "PERMISSION_DENIED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def matches(asked: Asked) -> bool:
    """Whether the path ends in one of Google's verbs, of the Gemini API or of a publisher's model of Vertex AI."""
    return _PATH.search(asked.route) is not None


def error(answer: Answer) -> object:
    """The body of a failure, and of an error in a stream."""
    code = answer.status if answer.status >= 400 else 503
    return {"error": {"code": code, "message": answer.error, "status": _STATUS.get(code, "INTERNAL")}}


def reply(asked: Asked, answer: Answer) -> Reply:
    """The answer of the verb that the path ends in."""
    found = _PATH.search(asked.route)
    assert found is not None, asked.route
    if found[1] is None:
        return _interaction(asked, answer)
    model, verb = found[1], found[2]
    if verb == "streamGenerateContent":
        return _stream(model, answer)
    if verb == "generateContent":
        return as_json(_content(model, answer, _parts(answer), usage=_usage(answer), last=True))
    return as_json(_embeddings(asked, answer, verb))


def _usage(answer: Answer) -> dict[str, Any] | None:
    return answer.counts({"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15})


def _parts(answer: Answer) -> list[dict[str, Any]]:
    thought = [{"text": answer.reasoning, "thought": True}] if answer.reasoning else []
    if answer.tools:
        return [
            *thought,
            *({"functionCall": {"name": name, "args": dict(args)}} for name, args in answer.tools),
        ]
    return [*thought, {"text": answer.text}]


def _content(
    model: str, answer: Answer, parts: list[dict[str, Any]], *, usage: dict[str, Any] | None, last: bool
) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = answer.finish or "STOP"
        candidate |= dict(answer.more.get("candidate", {}))
    content = {
        "candidates": [candidate],
        "modelVersion": answer.model or model,
        "responseId": "scripted",
        **{name: value for name, value in answer.more.items() if name != "candidate"},
    }
    return content if usage is None else content | {"usageMetadata": usage}


def _stream(model: str, answer: Answer) -> Reply:
    if isinstance(answer.body, list):
        return as_events([event(each) for each in answer.body])
    usage = _usage(answer)
    told: list[dict[str, Any]] = []
    pieces = [_parts(answer)] if answer.tools else [[{"text": piece}] for piece in answer.pieces]
    for number, parts in enumerate(pieces, 1):
        last = number == len(pieces)
        # Google's own: each chunk has the totals so far, of the prompt from the first one on.
        so_far = usage if usage is None or last else _so_far(usage, number, len(pieces))
        told.append(_content(model, answer, parts, usage=so_far, last=last))
    if answer.error_after is not None:
        told = [*told[: answer.error_after], error(answer)]  # type: ignore[list-item] # JSON like the others
    return as_events([event(each) for each in told])


def _so_far(usage: dict[str, Any], number: int, of: int) -> dict[str, Any]:
    made = usage.get("candidatesTokenCount")
    counts = {name: count for name, count in usage.items() if not name.startswith("candidates")}
    return counts | ({"candidatesTokenCount": made * number // of} if isinstance(made, int) else {})


def _interaction(asked: Asked, answer: Answer) -> Reply:
    interaction: dict[str, Any] = {
        "id": "scripted",
        "object": "interaction",
        "status": "completed",
        "created": "2026-11-21T12:00:00Z",
        "updated": "2026-11-21T12:00:00Z",
        "model": answer.model or asked.json.get("model"),
        **({"service_tier": answer.tier} if answer.tier else {}),
        **answer.more,
    }
    usage = answer.counts({"total_input_tokens": 10, "total_output_tokens": 5, "total_tokens": 15})
    ended = interaction if usage is None else interaction | {"usage": usage}
    step = {"type": "model_output", "content": [{"type": "text", "text": answer.text}]}
    if not asked.json.get("stream"):
        return as_json(ended | {"steps": [step]})
    told: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": interaction | {"status": "in_progress"}},
        {"event_type": "step.start", "index": 0, "step": {"type": "model_output"}},
        *(
            {"event_type": "step.delta", "index": 0, "delta": {"type": "text", "text": piece}}
            for piece in answer.pieces
        ),
        {"event_type": "interaction.completed", "interaction": ended},
    ]
    return as_events([event(each, each["event_type"]) for each in told])


def _embeddings(asked: Asked, answer: Answer, verb: str) -> dict[str, Any]:
    vector = [0.25, 0.5, 0.25]
    if verb == "predict":
        statistics = {"truncated": False, "token_count": 4, **dict(answer.more.get("statistics", {}))}
        instances: list[Any] = asked.json.get("instances") or []
        return {
            "predictions": [{"embeddings": {"values": vector, "statistics": statistics}} for _ in instances]
        }
    usage = answer.counts({"promptTokenCount": 4, "totalTokenCount": 4})
    content: dict[str, Any] = (
        {"embedding": {"values": vector}}
        if verb == "embedContent"
        else {"embeddings": [{"values": vector} for _ in asked.json.get("requests") or [{}]]}
    )
    return content if usage is None else content | {"usageMetadata": usage}
