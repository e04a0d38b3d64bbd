"""Amazon Bedrock's runtime: Converse and InvokeModel, plain and in the binary event streams of AWS."""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote
from zlib import crc32

from support.llm import anthropic
from support.llm.answers import Reply, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.llm.answers import Answer, Asked

_PATH: Final = re.compile(r"^/model/([^/]+)/(converse|converse-stream|invoke|invoke-with-response-stream)$")
_TYPES: Final = {
    400: "ValidationException",
    403: "AccessDeniedException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_TEXT: Final = 7
"""The type of a header's value in a frame: a string with two bytes of length."""


def matches(asked: Asked) -> bool:
    """Whether the path is one of the runtime's."""
    return _PATH.search(asked.route) is not None


def error(answer: Answer) -> object:
    """The body of a failure, which has its kind in it where no header says it."""
    return {"__type": _TYPES.get(answer.status, "InternalServerException"), "message": answer.error}


def reply(asked: Asked, answer: Answer) -> Reply:
    """The answer of the operation that the path names."""
    found = _PATH.search(asked.route)
    assert found is not None, asked.route
    model, operation = unquote(found[1]), found[2]
    if operation == "converse":
        return as_json(_converse(answer))
    if operation == "converse-stream":
        return _framed(_events_of_converse(answer), answer)
    if operation == "invoke":
        return _invoke(asked, answer, model)
    return _framed(_chunks_of_claude(asked, answer), answer)


def frame(payload: object, **headers: str) -> bytes:
    """One message of an event stream: lengths, their checksum, headers, payload, and the checksum of it all.

    Args:
        payload: Becomes JSON.
        headers: Without the colon that AWS's own begin with; `_` stands for `-`.
    """
    named = {f":{name.replace('_', '-')}": value for name, value in headers.items()}
    block = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", _TEXT, len(value)) + value.encode()
        for name, value in {**named, ":content-type": "application/json"}.items()
    )
    body = json.dumps(payload).encode()
    prelude = struct.pack("!II", 16 + len(block) + len(body), len(block))
    message = prelude + struct.pack("!I", crc32(prelude)) + block + body
    return message + struct.pack("!I", crc32(message))


def _framed(events: Iterator[tuple[str, object]], answer: Answer) -> Reply:
    told = [frame(payload, message_type="event", event_type=kind) for kind, payload in events]
    if answer.error_after is not None:
        failed = frame(
            {"message": answer.error}, message_type="exception", exception_type="throttlingException"
        )
        told = [*told[: answer.error_after], failed]
    return Reply(told, "application/vnd.amazon.eventstream")


def _usage(answer: Answer) -> dict[str, Any] | None:
    return answer.counts({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15})


def _metadata(answer: Answer) -> dict[str, Any]:
    usage = _usage(answer)
    return {
        "metrics": {"latencyMs": 12},
        **({"serviceTier": {"type": answer.tier}} if answer.tier else {}),
        **({} if usage is None else {"usage": usage}),
        **answer.more,
    }


def _stop_reason(answer: Answer) -> str:
    return answer.finish or ("tool_use" if answer.tools else "end_turn")


def _converse(answer: Answer) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {"toolUse": {"toolUseId": f"tooluse_{number}", "name": name, "input": dict(arguments)}}
        for number, (name, arguments) in enumerate(answer.tools)
    ]
    return {
        "output": {"message": {"role": "assistant", "content": content or [{"text": answer.text}]}},
        "stopReason": _stop_reason(answer),
        **_metadata(answer),
    }


def _events_of_converse(answer: Answer) -> Iterator[tuple[str, object]]:
    if isinstance(answer.body, list):
        yield from ((kind, payload) for each in answer.body for kind, payload in each.items())
        return
    yield "messageStart", {"role": "assistant"}
    for piece in answer.pieces:
        yield "contentBlockDelta", {"delta": {"text": piece}, "contentBlockIndex": 0}
    yield "contentBlockStop", {"contentBlockIndex": 0}
    yield "messageStop", {"stopReason": _stop_reason(answer)}
    yield "metadata", _metadata(answer)


def _invoke(asked: Asked, answer: Answer, model: str) -> Reply:
    if "embed" in model:
        usage = answer.counts({"inputTextTokenCount": 4})
        return as_json({"embedding": [0.25, 0.5, 0.25]} | (usage or {}) | dict(answer.more))
    if "inputText" in asked.json:
        result = {"tokenCount": 5, "outputText": answer.text, "completionReason": "FINISH"}
        return as_json({"inputTextTokenCount": 10, "results": [result]} | dict(answer.more))
    return anthropic.reply(asked, answer)


def _chunks_of_claude(asked: Asked, answer: Answer) -> Iterator[tuple[str, object]]:
    """Claude's own events, each in a chunk; Bedrock adds its metrics to the last."""
    events = [dict(each) for each in anthropic.events(asked, answer)]
    usage = _claudes_usage(answer)
    if usage is not None and answer.error_after is None:
        events[-1]["amazon-bedrock-invocationMetrics"] = usage
    for each in events:
        yield "chunk", {"bytes": base64.b64encode(json.dumps(each).encode()).decode()}


def _claudes_usage(answer: Answer) -> dict[str, Any] | None:
    usage = answer.counts({"input_tokens": 10, "output_tokens": 5})
    if usage is None:
        return None
    counts = {
        "inputTokenCount": usage.get("input_tokens"),
        "outputTokenCount": usage.get("output_tokens"),
        "cacheReadInputTokenCount": usage.get("cache_read_input_tokens"),
        "cacheWriteInputTokenCount": usage.get("cache_creation_input_tokens"),
    }
    return {name: count for name, count in counts.items() if count is not None} | {"invocationLatency": 12}
