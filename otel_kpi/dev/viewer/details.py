"""What a span is about, read from its attributes: a call of a language model, a part of a pipeline, a statement. Pure."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from otel_kpi.dev.store import facts
from otel_kpi.dev.store.reading import pipeline_parts
from otel_kpi.dev.viewer import formats

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_kpi.dev.telemetry import Value
    from otel_kpi.dev.views import LogView, SpanView

CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only"
"""What has to be set for messages to be on spans."""
_LONGEST_REMARK: Final = 90
_LONGEST_MESSAGES: Final = 4_000_000
"""Characters of JSON; more is shown as text."""
_MESSAGES: Final = ("gen_ai.system_instructions", "gen_ai.input.messages", "gen_ai.output.messages")


def _whole(value: Value) -> int | None:
    """A number of an attribute; text and truth are none."""
    number = _number(value)
    return None if number is None else int(cast("float", value))


def _text(value: Value) -> str:
    return "" if value is None else formats.value(value)


def _price(known: Mapping[str, Value]) -> tuple[Decimal | None, str]:
    """What a call cost, and in which currency."""
    text, currency = facts.price(known)
    return None if text is None else Decimal(text), currency or ""


def _number(value: Value) -> float | None:
    """A number of an attribute; what is none, or not finite, is not known."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


@dataclass(slots=True)
class Message:
    """What somebody said in a conversation: parts of text, and calls of tools with their answers."""

    role: str
    parts: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    finish: str = ""


@dataclass(slots=True)
class LLMCall:
    """A call of a language model. What its span does not say is None, never 0."""

    operation: str
    provider: str
    asked: str
    answered: str
    input_tokens: int | None
    output_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    cost: Decimal | None
    currency: str
    source: str
    unpriced: str
    finish: str
    first_chunk_s: float | None
    tenant: str
    feature: str
    parameters: list[tuple[str, str]]
    messages: list[Message]
    stored: list[tuple[str, str]]


def is_llm(attributes: Mapping[str, Value]) -> bool:
    """Whether a span is a call of a model."""
    return facts.is_call(attributes)


def llm_call(span: SpanView, logs: Sequence[LogView] = ()) -> LLMCall | None:
    """The call that a span is, with what was said when it was captured: on the span, in an event or in a log record."""
    known = span.attributes
    if not is_llm(known):
        return None
    get = known.get
    reasons = get("gen_ai.response.finish_reasons")
    parameters = [
        (key.removeprefix("gen_ai.request."), formats.value(value))
        for key, value in known.items()
        if key.startswith("gen_ai.request.") and key != "gen_ai.request.model"
    ]
    used, made, cached, reasoning = facts.tokens(known)
    cost, currency = _price(known)
    return LLMCall(
        operation=facts.called(known) or "",
        provider=_text(get("gen_ai.provider.name") or get("gen_ai.system")),
        asked=_text(get("gen_ai.request.model")) or facts.model(known) or "",
        answered=_text(get("gen_ai.response.model")),
        input_tokens=used,
        output_tokens=made,
        cached_tokens=cached,
        reasoning_tokens=reasoning,
        cost=cost,
        currency=currency,
        source=_text(get("gen_ai.usage.cost.source")),
        unpriced=_text(get("kpi.llm.unpriced.reason")),
        finish=", ".join(_text(reason) for reason in reasons)
        if isinstance(reasons, list)
        else _text(reasons),
        first_chunk_s=_number(get("gen_ai.response.time_to_first_chunk")),
        tenant=_text(get("kpi.tenant")),
        feature=_text(get("kpi.feature")),
        parameters=parameters,
        messages=_conversation(span, logs),
        stored=[
            (key, _text(value)) for key, value in known.items() if key.endswith("_ref") and "messages" in key
        ],
    )


def _conversation(span: SpanView, logs: Sequence[LogView]) -> list[Message]:
    """What was said, from wherever it was captured first."""
    places: list[Mapping[str, Value]] = [span.attributes]
    places += [event.attributes for event in span.events]
    places += [log.attributes for log in logs]
    for place in places:
        said = [message for key in _MESSAGES for message in messages(place.get(key), key)]
        if said:
            return said
    return []


def messages(value: Value, key: str = "") -> list[Message]:
    """Messages as OpenTelemetry writes them, as JSON or as a structure; what is neither is shown as it is."""
    if value is None:
        return []
    given: Any = value
    if isinstance(value, str):
        try:
            given = json.loads(value) if len(value) <= _LONGEST_MESSAGES else value
        except (ValueError, RecursionError):
            given = value
    role = "system" if key.endswith("system_instructions") else "assistant" if "output" in key else "user"
    if not isinstance(given, list):
        return [Message(role, [("text", "", _plain(given))])]
    listed = cast("list[Any]", given)
    if key.endswith("system_instructions"):
        return [Message(role, [_part(part) for part in listed])] if listed else []
    return [_message(each, role) for each in listed]


def _message(each: Any, role: str) -> Message:
    if not isinstance(each, dict):
        return Message(role, [("text", "", _plain(each))])
    said = cast("dict[str, Any]", each)
    parts = said.get("parts")
    if not isinstance(parts, list):
        parts = [{"type": "text", "content": said.get("content", "")}]
    return Message(
        str(said.get("role") or role),
        [_part(part) for part in cast("list[Any]", parts)],
        _plain(said.get("finish_reason") or ""),
    )


def _part(part: Any) -> tuple[str, str, str]:
    """Kind, name and text of a part."""
    if not isinstance(part, dict):
        return "text", "", _plain(part)
    said = cast("dict[str, Any]", part)
    kind = str(said.get("type") or "text")
    if kind == "tool_call":
        return (
            "tool call",
            f"{said.get('name', '')} {said.get('id', '')}".strip(),
            _plain(said.get("arguments", {})),
        )
    if kind == "tool_call_response":
        return "tool answer", str(said.get("id", "")), _plain(said.get("response", said.get("result", "")))
    if "content" in said:
        return kind, "", _plain(said["content"])
    return kind, "", _plain({key: value for key, value in said.items() if key != "type"})


def _plain(value: Any) -> str:
    """Text as it is, what has a structure as JSON on several lines."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, indent=2, default=str)
    except (ValueError, RecursionError):
        return repr(value)[:_LONGEST_REMARK]


@dataclass(slots=True)
class Part:
    """A run, a stage or a batch of a pipeline."""

    what: str
    pipeline: str
    stage: str
    type: str
    run_id: str
    result: str
    records: list[tuple[str, int]]
    quality: float | None
    reasons: list[tuple[str, int]]
    batches: int | None
    inputs: list[str]
    outputs: list[str]


def pipeline_part(span: SpanView) -> Part | None:
    """The part of a pipeline that a span is."""
    known = span.attributes
    batch = pipeline_parts.BATCH in known
    if not (batch or known.get(pipeline_parts.NAME) or known.get(pipeline_parts.STAGE)):
        return None
    part = pipeline_parts.part_of(span)
    stage = _text(known.get(pipeline_parts.STAGE))
    return Part(
        what="batch" if batch else "stage" if stage else "run",
        pipeline=part.pipeline,
        stage=stage,
        type=part.type,
        run_id=part.run_id,
        result=_text(known.get(pipeline_parts.RESULT)),
        records=[
            (word, number)
            for word in pipeline_parts.VOLUMES
            if (number := getattr(part.volume, word)) is not None
        ],
        quality=part.quality,
        reasons=sorted(part.reasons.items(), key=lambda one: -one[1]),
        batches=part.batches,
        inputs=_listed(known.get("kpi.etl.input.datasets")),
        outputs=_listed(known.get("kpi.etl.output.datasets")),
    )


def _listed(value: Value) -> list[str]:
    return [_text(each) for each in value] if isinstance(value, list) else []


def statement(span: SpanView) -> str:
    """The statement of a database, by either generation of names."""
    return _text(span.attributes.get("db.query.text") or span.attributes.get("db.statement"))


def remark(span: SpanView) -> tuple[str, str]:
    """A few words beside the name of a span, and what they are of: `llm`, `etl`, `warn` or `quiet`."""
    known = span.attributes
    if not known:
        return "", ""
    if is_llm(known):
        said = ["✦"]
        used = facts.tokens(known)[:2]
        if any(number is not None for number in used):
            said.append("→".join(formats.tokens(number) for number in used))
        cost, currency = _price(known)
        if cost is not None:
            said.append("· " + formats.money(cost, currency))
        return " ".join(said), "llm"
    if "kpi.etl.records.read" in known or "kpi.etl.records.written" in known:
        read, written = (_whole(known.get(f"kpi.etl.records.{word}")) for word in ("read", "written"))
        refused = _whole(known.get("kpi.etl.records.rejected"))
        text = " → ".join(formats.tokens(number) for number in (read, written) if number is not None)
        return text + (f" · {formats.tokens(refused)} rejected" if refused else ""), "etl"
    text = statement(span)
    if text:
        return " ".join(text[:_LONGEST_REMARK].split()), "quiet"
    address = _text(known.get("url.full") or known.get("http.url"))
    status = _text(known.get("http.response.status_code") or known.get("http.status_code"))
    if address or status:
        return f"{status} {address[:_LONGEST_REMARK]}".strip(), "quiet"
    return "", ""
