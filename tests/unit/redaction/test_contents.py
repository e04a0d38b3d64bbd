"""Content that may leave: where the user said, without secrets, cut, or with its address in its place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider

from otel_kpi.redaction import Policy, redact_value, use
from otel_kpi.redaction.contents import shortened
from otel_kpi.resolution import load
from otel_kpi.sdk.redacted import redacted_log, redacted_span

if TYPE_CHECKING:
    from collections.abc import Generator

MESSAGES = "gen_ai.input.messages"


@pytest.fixture(autouse=True)
def policy() -> Generator[None]:
    """The default one again after each test."""
    yield
    use(Policy())


class Keep(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


def span_with(**attributes: Any) -> dict[str, Any]:
    keep = Keep()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(keep)
    provider.get_tracer("t").start_span("chat", attributes=attributes).end()
    return dict(redacted_span(keep.spans[0]).attributes or {})


def log_with(**attributes: Any) -> dict[str, Any]:
    log = LogRecord(event_name="gen_ai.client.inference.operation.details", attributes=attributes)
    return dict(redacted_log(ReadWriteLogRecord(log)).log_record.attributes or {})


@pytest.mark.parametrize(
    ("setting", "on_spans", "in_events"),
    [
        ("false", False, False),
        ("NO_CONTENT", False, False),
        ("SPAN_ONLY", True, False),
        ("event_only", False, True),
        ("SPAN_AND_EVENT", True, True),
        ("true", True, True),
    ],
)
def test_setting_says_where_content_leaves(setting: str, on_spans: bool, in_events: bool) -> None:  # noqa: FBT001 - cases
    from otel_kpi.redaction import policy_of

    settings, problems = load({"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": setting})
    assert problems == ()
    use(policy_of(settings))
    assert (MESSAGES in span_with(**{MESSAGES: "said"})) is on_spans
    assert (MESSAGES in log_with(**{MESSAGES: "said"})) is in_events
    # Sentry's events are events.
    assert (redact_value("input.value", "said") == "said") is in_events


def test_content_that_leaves_has_no_secrets_and_is_cut() -> None:
    use(Policy(content=True, content_length=200))
    said = json.dumps(
        [{"role": "user", "parts": [{"type": "text", "content": "password=hunter2 " + "x" * 1000}]}]
    )
    left = str(span_with(**{MESSAGES: said})[MESSAGES])
    assert "hunter2" not in left
    assert len(left) <= 200
    assert json.loads(left)[0]["role"] == "user"
    listed: Any = [{"role": "user", "parts": [{"content": "password=hunter2 " + "x" * 1000}]}]
    told = str(log_with(**{MESSAGES: listed})[MESSAGES])
    assert "hunter2" not in told


class Shelf:
    """A store that has room for so many."""

    def __init__(self, room: int = 10) -> None:
        self.texts: list[str] = []
        self.room = room

    def put(self, text: str) -> str | None:
        if len(self.texts) >= self.room:
            return None
        self.texts.append(text)
        return f"shelf/{len(self.texts)}"


def test_address_stands_in_the_place_of_content_that_is_kept_apart() -> None:
    shelf = Shelf()
    use(Policy(content=True, content_store=shelf, content_length=20))
    said = "password=hunter2 " + "x" * 100
    assert span_with(**{MESSAGES: said, "n": 1}) == {f"{MESSAGES}_ref": "shelf/1", "n": 1}
    listed: Any = [{"role": "user", "parts": [{"content": said}]}]
    assert log_with(**{MESSAGES: listed}) == {f"{MESSAGES}_ref": "shelf/2"}
    assert "hunter2" not in "".join(shelf.texts)
    assert shelf.texts[0].endswith("x" * 100)
    assert json.loads(shelf.texts[1])[0]["role"] == "user"


def test_content_for_which_there_is_no_room_does_not_leave() -> None:
    use(Policy(content=True, content_store=Shelf(0)))
    assert span_with(**{MESSAGES: "said", "n": 1}) == {"n": 1}


# --- cutting


def test_newest_messages_keep_the_most() -> None:
    messages = [{"role": "user", "content": f"{number} " + "x" * 500} for number in range(4)]
    left = json.loads(shortened(json.dumps(messages), 1000))
    assert len(left) == 4
    assert left[3]["content"] == messages[3]["content"]
    assert "characters]" in left[0]["content"]


def test_very_many_messages_lose_the_oldest() -> None:
    left = shortened(json.dumps([{"role": "user", "content": f"m{number}"} for number in range(1000)]), 500)
    assert len(left) <= 500
    assert json.loads(left)[-1]["content"] == "m999"
    assert "older" in json.loads(left)[0]


@settings(max_examples=40)
@given(
    st.recursive(
        st.text() | st.integers() | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.integers(40, 400),
)
def test_what_is_cut_fits_and_is_json_again(value: Any, length: int) -> None:
    text = json.dumps([value])
    left = shortened(text, length)
    assert left == text or len(left) <= length
    json.loads(left)


@given(st.text(), st.integers(0, 60))
def test_what_is_no_json_is_cut_at_its_end(text: str, length: int) -> None:
    left = shortened(text, length)
    if length == 0 or len(text) <= length:
        assert left == text
    elif text[:1] not in {"[", "{"}:
        assert len(left) <= max(length, 24)
        assert "characters]" in left
