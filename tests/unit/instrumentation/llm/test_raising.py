"""What raises within a call, on either side of the SDK: the application gets what the SDK gives, and there is a span."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI
from opentelemetry import context
from opentelemetry.trace import StatusCode
from support.llm import Answer

from otel_kpi.instrumentation.boundary import Boundary
from otel_kpi.packs import faults

from .test_openai import ASK, ASK_RESPONSES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.faults import Faults
    from support.llm import ScriptedProvider

    from .conftest import Followed

ANTHROPIC: Any = {
    "model": "claude-haiku-4-5",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "What is planted?"}],
}
CHOICE: Any = {"index": 0, "delta": {"content": "maize"}, "finish_reason": None}
CALL: Any = {"index": 0, "id": "c", "type": "function", "function": {"name": "look", "arguments": ""}}
USAGE: Any = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


@pytest.fixture(autouse=True)
def _nothing_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faults, "counted", type(faults.counted)())
    for name in ("openai", "anthropic"):
        Boundary(name).reset()


def chunk(**more: Any) -> dict[str, Any]:
    return {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [CHOICE],
        **more,
    }


ODD: list[dict[str, Any]] = [
    chunk(choices=3),
    chunk(choices=[None]),
    chunk(choices=[[]]),
    chunk(choices=[{**CHOICE, "delta": "maize"}]),
    chunk(choices=[{**CHOICE, "index": None}]),
    chunk(choices=[{**CHOICE, "index": -1}]),
    chunk(choices=[{**CHOICE, "index": "first"}]),
    chunk(choices=[{**CHOICE, "delta": {"tool_calls": [[]]}}]),
    chunk(choices=[{**CHOICE, "delta": {"tool_calls": [{**CALL, "index": None}]}}]),
]


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("odd", ODD, ids=[str(each["choices"])[:40] for each in ODD])
def test_a_part_of_a_stream_that_no_model_says_reaches_the_application(
    followed: Followed, scripted: ScriptedProvider, odd: dict[str, Any], *, awaited: bool
) -> None:
    scripted.next(Answer(body=[chunk(), odd, chunk(choices=[], usage=USAGE)]))

    async def read() -> int:
        async with AsyncOpenAI(api_key="none", base_url=f"{scripted.url}/v1") as client:
            return len([part async for part in await client.chat.completions.create(**ASK, stream=True)])

    if awaited:
        assert asyncio.run(read()) == 3
    else:
        with OpenAI(api_key="none", base_url=f"{scripted.url}/v1") as client:
            assert len(list(client.chat.completions.create(**ASK, stream=True))) == 3
    assert followed.span().status.status_code is StatusCode.UNSET
    assert followed.tokens() == {"input": 10, "output": 5}
    assert sum(faults.counted.values()) == 1
    assert Boundary("openai").errors == 0


@pytest.mark.parametrize(
    "choice",
    [
        {**CHOICE, "index": 200_000},
        {**CHOICE, "delta": {"tool_calls": [{**CALL, "index": 200_000}]}},
    ],
    ids=["choice", "tool"],
)
def test_the_number_of_a_choice_takes_no_memory(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI, choice: Any
) -> None:
    scripted.next(Answer(body=[chunk(choices=[choice])]))
    stream: Any = openai_client.chat.completions.create(**ASK, stream=True)
    list(stream)
    buffers = stream._self_choice_buffers
    assert len(buffers) + sum(len(each.tool_calls_buffers) for each in buffers) == 0
    assert followed.span().status.status_code is StatusCode.UNSET


@pytest.mark.parametrize(
    "odd", [{"choices": [None]}, {"choices": 1.5}, {"usage": [1]}, {"usage": "much"}], ids=str
)
def test_an_odd_answer_has_its_span_and_switches_nothing_off(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI, odd: Any
) -> None:
    for _ in range(12):
        scripted.next(Answer(body={**chunk(object="chat.completion"), **odd}))
        openai_client.chat.completions.create(**ASK)
    assert len(followed.spans()) == 12
    assert {span.status.status_code for span in followed.spans()} == {StatusCode.UNSET}
    assert Boundary("openai").open


def test_an_odd_response_has_its_span(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    for more in ({"incomplete_details": 3}, {"status": []}, {"error": 1.5}):
        scripted.next(Answer(more=more), Answer(more=more))
        openai_client.responses.create(**ASK_RESPONSES)
        list(openai_client.responses.create(**ASK_RESPONSES, stream=True))
    assert len(followed.spans()) == 6
    assert Boundary("openai").errors == 0


@pytest.mark.parametrize(
    "odd", [{"usage": [1]}, {"usage": 3}, {"stop_reason": []}, {"content": None}], ids=str
)
def test_an_odd_message_has_its_span(followed: Followed, scripted: ScriptedProvider, odd: Any) -> None:
    with Anthropic(api_key="none", base_url=scripted.url, max_retries=0) as client:
        for ask in (client.messages.create, client.messages.with_raw_response.create):
            scripted.next(Answer(more=odd))
            answer: Any = ask(**ANTHROPIC)
            if hasattr(answer, "parse"):
                answer.parse()
    assert len(followed.spans()) == 2
    assert Boundary("anthropic").errors == 0


def helpers(client: OpenAI, anthropic: Anthropic) -> None:
    with client.responses.stream(**ASK_RESPONSES) as events:
        assert [event.type for event in events][-1] == "response.completed"
    with client.chat.completions.stream(**ASK) as parts:
        assert list(parts)
    with anthropic.messages.stream(**ANTHROPIC) as stream:
        assert stream.get_final_text() == "Hello there, friend."


def streams(client: OpenAI, anthropic: Anthropic) -> None:
    assert list(client.chat.completions.create(**ASK, stream=True))
    assert list(client.responses.create(**ASK_RESPONSES, stream=True))
    assert list(anthropic.messages.create(**ANTHROPIC, stream=True))


def raw_answers(client: OpenAI, anthropic: Anthropic) -> None:
    assert client.chat.completions.with_raw_response.create(**ASK).parse().choices
    with anthropic.messages.with_streaming_response.create(**ANTHROPIC) as raw:
        assert raw.parse().content
    with anthropic.messages.with_streaming_response.create(**ANTHROPIC) as raw:
        assert raw.read()


@pytest.mark.parametrize("part", ["sampler", "on_start", "on_end"])
@pytest.mark.parametrize("ask", [helpers, streams, raw_answers])
def test_a_part_of_telemetry_that_raises_harms_no_stream_and_no_raw_answer(  # noqa: PLR0913, PLR0917 - fixtures and a case
    followed: Followed, broken: Faults, scripted: ScriptedProvider, openai_client: OpenAI, part: str, ask: Any
) -> None:
    del followed
    before = context.get_current()
    broken.raised, broken.armed = 0, part
    try:
        with Anthropic(api_key="none", base_url=scripted.url, max_retries=0) as anthropic:
            ask(openai_client, anthropic)
    finally:
        broken.armed = ""
    assert broken.raised >= 3
    assert context.get_current() is before


def test_an_odd_stream_of_messages_blinds_nobody_for_the_next(
    followed: Followed, scripted: ScriptedProvider
) -> None:
    odd = [{"type": "message_start", "message": {}}, {"type": "content_block_delta", "index": 7}]
    scripted.next(Answer(body=odd), Answer())
    with Anthropic(api_key="none", base_url=scripted.url, max_retries=0) as client:
        assert len(list(client.messages.create(**ANTHROPIC, stream=True))) == 2
        list(client.messages.create(**ANTHROPIC, stream=True))
    spans = followed.spans()
    assert len(spans) == 2
    assert dict(spans[1].attributes or {})["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_message_that_breaks_off_while_it_is_read_is_an_error(
    followed: Followed, scripted: ScriptedProvider
) -> None:
    scripted.next(Answer(break_after=20))
    with (
        Anthropic(api_key="none", base_url=scripted.url, max_retries=0) as client,
        client.messages.with_streaming_response.create(**ANTHROPIC) as raw,
        pytest.raises(Exception, match="peer closed connection"),
    ):
        raw.parse()
    assert followed.span().status.status_code is StatusCode.ERROR


# --- answers that the application reads itself


def parsed(raw: Any) -> Any:
    return raw.parse()


def read(raw: Any) -> Any:
    return raw.read()


def in_lines(raw: Any) -> Any:
    return list(raw.iter_lines())


def chat(client: OpenAI) -> Any:
    return client.chat.completions.with_streaming_response.create(**ASK)


def responses(client: OpenAI) -> Any:
    return client.responses.with_streaming_response.create(**ASK_RESPONSES)


def embeddings(client: OpenAI) -> Any:
    return client.embeddings.with_streaming_response.create(model="text-embedding-3-small", input="maize")


@pytest.mark.parametrize("take", [parsed, read, in_lines])
@pytest.mark.parametrize("ask", [chat, responses, embeddings])
def test_an_answer_that_the_application_reads_itself_is_counted_when_it_has_been_read(
    followed: Followed, openai_client: OpenAI, ask: Any, take: Any
) -> None:
    before = context.get_current()
    with ask(openai_client) as raw:
        assert not raw.http_response.is_closed
        assert context.get_current() is before
        assert followed.spans() == []
        assert take(raw)
    assert context.get_current() is before
    assert followed.tokens() == {"input": 10} | ({} if ask is embeddings else {"output": 5})
    attributes = followed.attributes()
    assert attributes["gen_ai.usage.input_tokens"] == 10
    assert attributes["gen_ai.response.model"]
    assert "kpi.llm.ended" not in attributes


def test_an_answer_that_a_task_reads_itself_is_counted(
    followed: Followed, scripted: ScriptedProvider
) -> None:
    async def ask() -> None:
        async with AsyncOpenAI(api_key="none", base_url=f"{scripted.url}/v1") as client:
            async with client.chat.completions.with_streaming_response.create(**ASK) as raw:
                assert (await raw.parse()).choices
            async with client.chat.completions.with_streaming_response.create(**ASK) as raw:
                assert [line async for line in raw.iter_lines()]

    asyncio.run(ask())
    assert followed.tokens() == {"input": 20, "output": 10}
    assert len(followed.spans()) == 2


def test_an_answer_that_nobody_reads_has_a_span_and_is_free_of_it(
    followed: Followed, openai_client: OpenAI
) -> None:
    with openai_client.chat.completions.with_streaming_response.create(**ASK) as raw:
        response = weakref.ref(raw)
    del raw
    gc.collect()
    assert response() is None
    assert followed.attributes()["kpi.llm.unpriced.reason"] == "no_usage"


class Broken(httpx.BaseTransport):
    """Breaks off in the middle of each answer."""

    def __init__(self) -> None:
        self.error = httpx.ReadError("gone")

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(
            200, headers={"content-type": "application/json"}, stream=self._Body(self.error)
        )

    class _Body(httpx.SyncByteStream):
        def __init__(self, error: Exception) -> None:
            self.error = error

        def __iter__(self) -> Iterator[bytes]:
            yield b'{"id": '
            raise self.error


@pytest.mark.parametrize("take", [parsed, read, in_lines])
def test_what_breaks_while_the_application_reads_is_the_error_that_it_gets(
    followed: Followed, take: Any
) -> None:
    transport = Broken()
    with (
        OpenAI(api_key="none", http_client=httpx.Client(transport=transport)) as client,
        pytest.raises(httpx.ReadError) as caught,
        client.chat.completions.with_streaming_response.create(**ASK) as raw,
    ):
        take(raw)
    assert caught.value is transport.error
    assert followed.span().status.status_code is StatusCode.ERROR
    assert Boundary("openai").errors == 0
