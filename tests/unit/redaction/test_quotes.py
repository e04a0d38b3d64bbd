"""What was said, where no name says so: in texts, in errors of providers, in variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otel_kpi.redaction import Policy, redact_text, redact_value, use
from otel_kpi.redaction.quotes import is_quoting
from otel_kpi.sdk.redacted import redacted_log, redacted_span
from otel_kpi.sentry.frames import without_secrets
from otel_kpi.sentry.grouping import fingerprint

if TYPE_CHECKING:
    from collections.abc import Generator

SAID = "my knee hurts"
REFUSED = (
    f"Error code: 400 - {{'error': {{'message': \"Invalid: '{SAID}'\", 'type': 'invalid_request_error', "
    "'param': None, 'code': 'context_length_exceeded'}}"
)


@pytest.fixture(autouse=True)
def policy() -> Generator[None]:
    """The default one, and again after each test."""
    use(Policy())
    yield
    use(Policy())


@pytest.mark.parametrize(
    "text",
    [
        REFUSED,
        f"openai.BadRequestError: {REFUSED}",
        f"ShopError: no answer: {REFUSED} at last",
        f"anthropic.BadRequestError: {SAID}",
        f"litellm.exceptions.ContextWindowExceededError: litellm.BadRequestError: OpenAIException - {SAID}",
        f"ollama._types.ResponseError: cannot: {SAID} (status code: 400)",
        f"ResponseError: cannot: {SAID} (status code: 500)",
        f"google.genai.errors.ClientError: 400 INVALID_ARGUMENT. {{'error': {{'message': '{SAID}'}}}}",
        f"500 INTERNAL. {{'error': {{'message': '{SAID}'}}}}",
        f'API error occurred: Status 422. Body: {{"detail": "{SAID}"}}',
        f"headers: {{}}, status_code: 400, body: {{'message': '{SAID}'}}",
        f"An error occurred (ValidationException) when calling the Converse operation: {SAID}",
        f"langchain_core.exceptions.OutputParserException: Could not parse LLM output: `{SAID}`",
        f"openai.BadRequestError: {REFUSED}\n\nThe above exception was the direct cause of the following exception:\n\nT",
        f"Request options: {{'json_data': {{'messages': [{{'role': 'user', 'content': \"{SAID}\"}}]}}}}",
        f'[{{"event.name":"gen_ai.user.message","content":"{SAID}","role":"user"}}]',
        f'{{\\"role\\": \\"user\\", \\"content\\": \\"{SAID}\\"}}',
        f"ChatCompletionMessage(content='{SAID}', refusal=None, role='assistant')",
        f"HumanMessage(content='{SAID}')",
        f"TextBlock(text='{SAID}', type='text')",
        f"{{'role': 'assistant', 'tool_calls': [{{'function': {{'name': 'f', 'arguments': '{SAID}'}}}}]}}",
        f"{{'role': 'user', 'content': '{SAID} and it was cut o",
    ],
)
def test_text_loses_what_was_said(text: str) -> None:
    assert SAID not in redact_text(text)
    use(Policy(content=True))
    assert SAID in redact_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "openai.RateLimitError: Error code: 429 - {'error': {'message': 'Rate limit reached for gpt-4o'}}",
        "openai.AuthenticationError: Error code: 401 - {'error': {'message': 'Incorrect API key provided'}}",
        "openai.APIConnectionError: Connection error.",
        "Error code: 404 - {'error': {'message': 'The model `gpt-9` does not exist'}}",
        "An error occurred (ThrottlingException) when calling the Converse operation: Too many requests",
        "ValueError: Error: 400 is no answer",
        'user has role: admin, text="stays"',
        '{"role": "editor", "text": "stays"}',
        "the openai.com page: it loads",
        "Message(subject='stays')",
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert redact_text(text) == text


def test_words_of_the_provider_for_a_refusal_stay() -> None:
    assert redact_text(f"openai.BadRequestError: {REFUSED}") == (
        "openai.BadRequestError: Error code: 400 - [withheld: type=invalid_request_error code=context_length_exceeded]"
    )


def test_kinds_of_errors_that_quote() -> None:
    assert is_quoting("openai.BadRequestError")
    assert is_quoting("google.genai.errors.ClientError")
    assert not is_quoting("openai.RateLimitError")
    assert not is_quoting("openaibutnot.BadRequestError")
    assert not is_quoting("ValueError")


class Keep(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


ResponseError = type("ResponseError", (Exception,), {"__module__": "ollama._types"})
"""As Ollama's: its text is the provider's and nothing else."""


def test_span_in_which_a_provider_refused_says_the_class_and_not_the_prompt() -> None:
    keep = Keep()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(keep)

    def ask() -> None:
        with provider.get_tracer("t").start_as_current_span("chat"):
            raise ResponseError(SAID)

    with pytest.raises(ResponseError):
        ask()
    span = redacted_span(keep.spans[0])
    assert SAID not in f"{span.status.description} {[dict(each.attributes or {}) for each in span.events]}"
    (event,) = span.events
    assert (event.attributes or {})["exception.type"] == "ollama._types.ResponseError"


def test_log_record_of_such_an_error_likewise() -> None:
    attributes = {"exception.type": "ollama._types.ResponseError", "exception.message": SAID}
    record = redacted_log(ReadWriteLogRecord(LogRecord(body="no answer", attributes=attributes)))
    assert dict(record.log_record.attributes or {})["exception.message"] == "[withheld]"


@pytest.mark.parametrize(
    ("scope", "severity", "stays"),
    [
        ("openai._base_client", SeverityNumber.DEBUG, False),
        ("LiteLLM", SeverityNumber.DEBUG, False),
        ("openai._base_client", SeverityNumber.INFO, True),
        ("shop.coach", SeverityNumber.DEBUG, True),
    ],
)
def test_details_that_a_client_logs_are_whole_requests(
    scope: str,
    severity: SeverityNumber,
    stays: bool,  # noqa: FBT001 - a case
) -> None:
    log = LogRecord(
        body=f"input: {SAID}", severity_number=severity, attributes={"code.line.number": 3, "request": SAID}
    )
    record = redacted_log(ReadWriteLogRecord(log, instrumentation_scope=InstrumentationScope(scope)))
    text = f"{record.log_record.body} {dict(record.log_record.attributes or {})}"
    assert (SAID in text) is stays
    assert "code.line.number" in text


def test_messages_in_structures_lose_what_was_said() -> None:
    message = {"role": "'user'", "content": f"'{SAID}'", "name": "'bob'"}
    assert redact_value("vars", {"asked": [message]}) == {
        "asked": [{"role": "'user'", "content": "[redacted]", "name": "'bob'"}]
    }
    kept = {"role": "editor", "content": SAID}
    assert redact_value("vars", kept) is kept


def test_error_for_sentry_has_no_prompt_in_value_variables_and_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ollama", pytest)
    frames = [
        {"module": "shop.coach", "in_app": True, "vars": {"prompt": f"'{SAID}'", "tries": "3"}},
        {"module": "ollama._client", "in_app": False, "vars": {"kwargs": {"prompt": f"'{SAID}'"}}},
    ]
    value = {
        "type": "ResponseError",
        "module": "ollama._types",
        "value": SAID,
        "stacktrace": {"frames": frames},
    }
    kept: Any = without_secrets("exception", {"values": [value]}, libraries=True)
    assert SAID not in str(kept)
    assert kept["values"][0]["stacktrace"]["frames"][0]["vars"] == {"prompt": "[redacted]", "tries": "3"}
    found = fingerprint({"exception": {"values": [value]}})
    assert found is not None
    assert SAID not in str(found)
    refused = {**value, "type": "ShopError", "module": "shop", "value": f"no answer: {REFUSED}"}
    assert SAID not in str(fingerprint({"exception": {"values": [refused]}}))


def test_variables_stay_in_a_process_that_asks_no_models(monkeypatch: pytest.MonkeyPatch) -> None:
    from otel_kpi.redaction import quotes

    monkeypatch.setattr(quotes, "are_models_asked", lambda: False)
    frame = {"module": "shop", "in_app": True, "vars": {"messages": "['saved']"}}
    kept: Any = without_secrets("stacktrace", {"frames": [frame]}, libraries=False)
    assert kept["frames"][0]["vars"] == {"messages": "['saved']"}


def test_long_text_is_looked_at_in_linear_time() -> None:
    import time

    texts = (
        "Error code: 400 - " * 20_000,
        "{'role': 'user', 'content': '" + "\\\\'" * 100_000,
        "openai." * 50_000 + "BadRequestError: x",
        "role: user " + "content: " * 50_000,
        "400 INTERNAL. " * 20_000,
        "Status 400 " * 30_000,
        "ResponseError: " * 20_000 + "(status code: 400)" + "ResponseError: " * 20_000,
    )
    for text in texts:
        began = time.perf_counter()
        redact_text(text)
        assert time.perf_counter() - began < 3.0, text[:40]
