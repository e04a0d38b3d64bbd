"""What people and models say to each other stays here, in both generations of the conventions and in other tools'."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_kpi.redaction import redact_attributes, redact_value
from otel_kpi.sdk.redacted import redacted_log, redacted_span

SAID = "what somebody said"


@pytest.mark.parametrize(
    "name",
    ["gen_ai.prompt", "gen_ai.completion", "gen_ai.prompt.0.content", "gen_ai.completion.0.content",
     "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.call.arguments",
     "gen_ai.tool.call.result", "llm.prompts", "llm.completions", "llm.prompts.0.content",
     "llm.input_messages.0.message.content", "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments",
     "input.value", "output.value", "traceloop.entity.input", "traceloop.entity.output", "ai.prompt.messages",
     "all_messages_events", "tool_arguments", "GEN_AI.Prompt"],
)  # fmt: skip
def test_content_is_dropped_with_its_name(name: str) -> None:
    assert redact_attributes({name: SAID, "n": 1}) == {"n": 1}
    assert redact_value(name, SAID) == "[redacted]"


@pytest.mark.parametrize(
    "name",
    ["gen_ai.request.model", "gen_ai.usage.input_tokens", "gen_ai.response.id", "gen_ai.response.finish_reasons",
     "gen_ai.prompt.0.role", "gen_ai.completion.0.finish_reason", "gen_ai.tool.name", "gen_ai.output.type",
     "gen_ai.prompt.name", "llm.model_name", "llm.token_count.prompt", "traceloop.entity.name", "input.mime_type"],
)  # fmt: skip
def test_what_surrounds_content_stays(name: str) -> None:
    attributes = {name: "gpt"}
    assert redact_attributes(attributes) is attributes


class Keep(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def test_message_of_a_span_event_stays_here() -> None:
    keep = Keep()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(keep)
    with provider.get_tracer("t").start_as_current_span("chat") as span:
        span.add_event("gen_ai.user.message", {"content": SAID, "role": "user", "gen_ai.system": "openai"})
        span.add_event("gen_ai.choice", {"message": SAID, "index": 0, "finish_reason": "stop"})
        span.add_event("gen_ai.content.prompt", {"gen_ai.prompt": SAID})
        span.add_event("note", {"content": "not of a model", "message": "stays"})
    [span] = [redacted_span(each) for each in keep.spans]
    assert [dict(event.attributes or {}) for event in span.events] == [
        {"role": "user", "gen_ai.system": "openai"},
        {"index": 0, "finish_reason": "stop"},
        {},
        {"content": "not of a model", "message": "stays"},
    ]
    assert span.events[0].name == "gen_ai.user.message"


@pytest.mark.parametrize("older", [True, False])
def test_message_of_a_log_event_keeps_its_frame(older: bool) -> None:  # noqa: FBT001 - which generation
    body: dict[str, Any] = {
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "content": SAID,
                    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": SAID}}]},
    }  # fmt: skip
    named: dict[str, Any] = (
        {"attributes": {"event.name": "gen_ai.choice"}} if older else {"event_name": "gen_ai.choice"}
    )
    record = redacted_log(ReadWriteLogRecord(LogRecord(body=body, **named)))
    assert record.log_record.body == {
        "index": 0, "finish_reason": "tool_calls",
        "message": {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f"}}]},
    }  # fmt: skip
    text = redacted_log(ReadWriteLogRecord(LogRecord(body=SAID, **named)))
    assert text.log_record.body is None


def test_security_record_keeps_addresses_whole_and_nothing_else() -> None:
    attributes = {"client.address": "203.0.113.77", "password": "hunter2", "who": "bob@example.com"}
    record = redacted_log(
        ReadWriteLogRecord(
            LogRecord(
                body="blocked 203.0.113.77 token=hunter2", event_name="security.login", attributes=attributes
            )
        )
    )
    assert record.log_record.body == "blocked 203.0.113.77 token=[redacted]"
    kept = dict(record.log_record.attributes or {})
    assert (kept["client.address"], kept["password"]) == ("203.0.113.77", "[redacted]")
    assert str(kept["who"]).startswith("email:")
    other = redacted_log(ReadWriteLogRecord(LogRecord(body="blocked 203.0.113.77", attributes=attributes)))
    assert other.log_record.body == "blocked 203.0.113.0"
    assert dict(other.log_record.attributes or {})["client.address"] == "203.0.113.0"
