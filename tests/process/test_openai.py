"""A program with OpenAI's SDK, started as a person starts it: every call arrives with its tokens, attempts and end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from support.children import RUN, environment, run
from support.llm import Answer, ScriptedProvider
from support.receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as started:
        yield started


PROGRAM = """
import sys
from openai import OpenAI, Stream
from openai.types.chat import ChatCompletion

client = OpenAI(api_key="none", base_url=sys.argv[1], max_retries=2)
ask = {"messages": [{"role": "user", "content": "What is planted?"}]}
assert type(client.chat.completions.create(model="gpt-4o", **ask)) is ChatCompletion
stream = client.chat.completions.create(model="gpt-4o-mini", stream=True, **ask)
assert isinstance(stream, Stream)
assert all(chunk.choices for chunk in stream)

def interrupted():
    for number, _ in enumerate(client.chat.completions.create(model="gpt-4.1", stream=True, **ask)):
        if number == 1:
            sys.exit(3)

interrupted()
"""


@pytest.mark.proof
def test_calls_of_a_program_arrive_whole(tmp_path: Path, receiver: Receiver) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
    with ScriptedProvider() as provider:
        provider.next(Answer(status=429, headers={"retry-after-ms": "2"}), *[Answer(usage=usage)] * 3)
        ended = run(
            [*RUN, sys.executable, str(path), f"{provider.url}/v1"],
            environment(
                receiver.url,
                OTEL_SERVICE_NAME="openai-program",
                OTEL_KPI_GENAI_PROVIDERS=f"127.0.0.1:{provider.port}=openai",
                OTEL_KPI_GENAI_STREAM_USAGE=f"127.0.0.1:{provider.port}",
            ),
        )
    assert (ended.returncode, ended.stderr) == (3, "")
    [whole], [streamed], [interrupted] = (
        receiver.named(f"chat {model}") for model in ("gpt-4o", "gpt-4o-mini", "gpt-4.1")
    )
    for each in (whole, streamed):
        attributes = each.attributes
        assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (
            100,
            20,
        )
        assert attributes["gen_ai.usage.cost.amount"] > 0
    assert interrupted.attributes["kpi.llm.ended"] == "left"
    assert interrupted.attributes["kpi.llm.stream.chunks"] == 2
    assert "error.type" not in interrupted.attributes
    assert receiver.counted("kpi.llm.retries") == [1]
    assert receiver.counted("kpi.llm.streams.abandoned") == [1]
    assert sum(point.item.as_int for point in receiver.points if point.metric == "kpi.llm.tokens") == 240
