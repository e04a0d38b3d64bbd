"""What people and models say stays here, whoever writes it and wherever: real SDKs, a real pipeline, every byte.

The same application with consent says all of it, without the secrets in it: only what is found then counts as hidden.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from apps import conversations, further_conversations
from apps.planting import Planted
from support.children import RUN, environment, run
from support.llm import Answer, ScriptedProvider

from tests.process.test_planted_secrets import TESTS, Keeper, Left
from tests.unit import sentry_receiver

if TYPE_CHECKING:
    from collections.abc import Mapping

    from support.llm import Asked

NOTHING: Mapping[str, str] = MappingProxyType({})
CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
SAID = conversations.words(Planted("conversations"))
FURTHER = further_conversations.words(Planted("further"))
CONTENT = {label: SAID[label] for label in conversations.CONTENT}


def answer(asked: Asked) -> Answer:
    """A provider that quotes the prompt when it refuses it."""
    text = asked.body.decode()
    if "REFUSE" in text:
        return Answer(status=400, error=f"This cannot be answered: {text[text.index('REFUSE') :]}")
    return Answer(text=f"I know {SAID['answer']} and {FURTHER['answer']} well")


def what_leaves(
    extra: Mapping[str, str] = NOTHING,
    application: str = "apps.conversations",
    said: dict[str, str] = SAID,
    timeout: float = 60,
) -> Left:
    with ScriptedProvider(answer) as provider, Keeper() as receiver, sentry_receiver.Receiver() as sentry:
        env = environment(
            receiver.url,
            SENTRY_DSN=sentry.dsn,
            OTEL_SERVICE_NAME=f"conversations-{uuid.uuid4().hex[:8]}",
            PROVIDER_URL=provider.url,
            PYTHONPATH=str(TESTS),
            **extra,
        )
        ended = run([*RUN, "python", "-m", application], env, TESTS, timeout=timeout)
        assert "said\n" in ended.stdout, ended.stderr[-3000:]
        assert len(provider.requests) >= 12
        sentry.wait(lambda arrived: bool(arrived.events), 10.0)
        bodies = (*receiver.bodies, *sentry.bodies)
    return Left(bodies, receiver.spans, receiver.logs, dict(said))


def test_nothing_that_was_said_leaves_by_default() -> None:
    left = what_leaves()
    assert left.found() == []
    # Something left all the same, and it is still of use.
    names = {span.item.name for span in left.spans}
    assert {"chat gpt-4o-mini", "chat claude-sonnet-4-5", "chat llama3.2", "retrieval products"} <= names
    everything = b"\n".join(left.bodies)
    for useful in (
        b"BadRequestError",
        b"[withheld: status=400 type=scripted_error]",
        b"the coach does not answer",
        b"user_feedback",
        b"c-42",
    ):
        assert useful in everything, useful


@pytest.mark.proof
def test_what_was_said_leaves_by_consent_without_the_secrets_in_it() -> None:
    """Without this the test above would also pass if nothing were recorded, or nothing were found."""
    found = what_leaves({CAPTURE: "span_and_event"}).found()
    assert not set(found) & set(conversations.SECRETS)
    missing = set(CONTENT) - set(found)
    # Upstream writes no content of embeddings, and none of the older way to say what tools there are.
    assert missing <= {"openai.embedding"}, missing


@pytest.mark.parametrize("mode", ["span_only", "event_only"])
@pytest.mark.proof
def test_content_leaves_where_it_may_and_nowhere_else(mode: str) -> None:
    left = what_leaves({CAPTURE: mode})
    on_spans = Left((), left.spans, [], dict(CONTENT)).found()
    in_logs = Left((), [], left.logs, dict(CONTENT)).found()
    if mode == "span_only":
        assert "openai.prompt" in on_spans
        assert in_logs == []
    else:
        assert on_spans == []
        assert "openai.prompt" in in_logs


@pytest.mark.proof
def test_a_hook_of_the_users_gets_content_and_spans_still_have_none(tmp_path: Path) -> None:
    """OpenTelemetry's own way to upload it: it switches the capture on, and what leaves is still up to the setting."""
    hook = {
        "OTEL_INSTRUMENTATION_GENAI_COMPLETION_HOOK": "upload",
        "OTEL_INSTRUMENTATION_GENAI_UPLOAD_BASE_PATH": str(tmp_path),
    }
    left = what_leaves(hook)
    assert left.found() == []
    kept = "\n".join(path.read_text() for path in tmp_path.rglob("*.json"))
    assert SAID["openai.prompt"] in kept


@pytest.mark.proof
def test_content_is_kept_apart_and_its_address_stands_in_its_place(tmp_path: Path) -> None:
    left = what_leaves({CAPTURE: "span_only", "OTEL_KPI_GENAI_CONTENT_STORE": str(tmp_path)})
    assert [each for each in left.found() if each.endswith((".prompt", "question"))] == []
    span = next(span for span in left.spans if span.item.name == "chat gpt-4o-mini")
    address = str(span.attributes["gen_ai.input.messages_ref"])
    assert address.startswith(str(tmp_path))
    kept = {path: path.read_text() for path in tmp_path.rglob("*.*")}
    together = "\n".join(kept.values())
    assert SAID["openai.prompt"] in together
    assert SAID["rag.question"] in together
    assert not [label for label in conversations.SECRETS if SAID[label] in together]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}
    assert json.loads(Path(address).read_text())[0]["role"] in {"system", "user"}


@pytest.mark.proof
def test_nothing_that_was_said_through_any_library_leaves_by_default() -> None:
    left = what_leaves({}, "apps.further_conversations", FURTHER, 240)
    assert left.found() == []
    assert len({span.item.name for span in left.spans}) >= 6


@pytest.mark.proof
def test_what_was_said_through_any_library_leaves_by_consent() -> None:
    left = what_leaves({CAPTURE: "span_and_event"}, "apps.further_conversations", FURTHER, 240)
    missing = set(FURTHER) - set(left.found())
    assert missing <= {"langchain.document"}, missing
