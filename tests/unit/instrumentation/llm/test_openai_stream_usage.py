"""The usage of streams that is asked for with the user's consent, and never seen by the application."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from pydantic import BaseModel
from support.llm import Answer

from otel_kpi.instrumentation.llm import stream_usage
from otel_kpi.instrumentation.llm.stream_usage import SETTING, Sieve

from .test_openai import ASK, CHAT_USAGE
from .test_openai_streams import BROKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.llm import ScriptedProvider

    from .conftest import Followed

STREAM: Any = {**ASK, "stream": True}
ANSWER: Any = {"text": "maize and wheat", "usage": CHAT_USAGE, "more": {"id": "chatcmpl-1"}}


@pytest.fixture
def agreed(scripted: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> ScriptedProvider:
    """The provider, whose streams the user agrees to ask."""
    monkeypatch.setenv(SETTING, f"on,127.0.0.1:{scripted.port}")
    return scripted


class Plants(BaseModel):
    names: list[str]


# --- ways to read a stream, each giving what the application can see of it


def plain(client: OpenAI) -> Any:
    return [chunk.to_dict() for chunk in client.chat.completions.create(**STREAM)]


def raw(client: OpenAI) -> Any:
    response = client.chat.completions.with_raw_response.create(**STREAM)
    return [chunk.to_dict() for chunk in response.parse()]


def raw_bytes(client: OpenAI) -> Any:
    response = client.chat.completions.with_raw_response.create(**STREAM)
    return b"".join(response.http_response.iter_raw())


def response_lines(client: OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return list(response.iter_lines())


def response_read(client: OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return response.read()


def response_parsed(client: OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(**STREAM) as response:
        return [chunk.to_dict() for chunk in response.parse()]


def helper(client: OpenAI) -> Any:
    with client.chat.completions.stream(**ASK) as stream:
        events = [event.type for event in stream]
        return events, stream.get_final_completion().to_dict()


def helper_of_beta(client: OpenAI) -> Any:
    with client.beta.chat.completions.stream(**ASK) as stream:
        return stream.get_final_completion().to_dict()


WAYS = [plain, raw, raw_bytes, response_lines, response_read, response_parsed, helper, helper_of_beta]


@pytest.mark.parametrize("read", WAYS, ids=[way.__name__ for way in WAYS])
def test_the_application_sees_what_it_sees_without(
    read: Callable[[OpenAI], Any],
    followed: Followed,
    agreed: ScriptedProvider,
    openai_client: OpenAI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agreed.next(Answer(**ANSWER), Answer(**ANSWER))
    with_it = read(openai_client)
    assert agreed.last.json["stream_options"] == {"include_usage": True}
    monkeypatch.delenv(SETTING)
    assert read(openai_client) == with_it
    assert "stream_options" not in agreed.last.json
    counted, uncounted = (span.attributes or {} for span in followed.spans())
    assert counted["gen_ai.usage.input_tokens"] == 100
    assert counted["gen_ai.usage.cache_read.input_tokens"] == 40
    assert counted["gen_ai.usage.cost.amount"]
    assert "gen_ai.usage.input_tokens" not in uncounted
    assert sum(followed.tokens().values()) == 150
    assert not followed.abandoned()


def test_asynchronous_streams_too(
    followed: Followed, agreed: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed.next(*[Answer(**ANSWER)] * 6)

    async def read() -> Any:
        async with AsyncOpenAI(api_key="none", base_url=f"{agreed.url}/v1", max_retries=0) as client:
            chunks = [chunk.to_dict() async for chunk in await client.chat.completions.create(**STREAM)]
            response = client.chat.completions.with_streaming_response.create(**STREAM)
            async with response as answer:
                lines = [line async for line in answer.iter_lines()]
            async with client.chat.completions.stream(**ASK) as stream:
                return chunks, lines, (await stream.get_final_completion()).to_dict()

    with_it = asyncio.run(read())
    assert [asked.json.get("stream_options") for asked in agreed.requests] == [{"include_usage": True}] * 3
    monkeypatch.delenv(SETTING)
    assert asyncio.run(read()) == with_it
    assert [(span.attributes or {}).get("gen_ai.usage.input_tokens") for span in followed.spans()] == [
        *[100] * 3,
        *[None] * 3,
    ]


def test_upstreams_metric_has_the_tokens_too(
    followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    asked: Any = {**STREAM, "model": "gpt-4.1-nano"}
    agreed.next(Answer(**ANSWER))
    list(openai_client.chat.completions.create(**asked))
    found = {
        point.attributes["gen_ai.token.type"]: point.sum
        for point in followed.captured.points("gen_ai.client.token.usage")
        if point.attributes.get("gen_ai.request.model") == "gpt-4.1-nano"
    }
    assert found == {"input": 100, "output": 50}


def test_who_asks_itself_sees_its_own_chunk(
    followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    agreed.next(Answer(**ANSWER))
    asked: Any = {**STREAM, "stream_options": {"include_usage": True}}
    chunks = list(openai_client.chat.completions.create(**asked))
    assert chunks[-1].choices == []
    assert chunks[-1].usage
    assert chunks[-1].usage.prompt_tokens == 100
    assert followed.attributes()["gen_ai.usage.input_tokens"] == 100


@pytest.mark.parametrize(
    "options",
    [
        {"stream_options": {"include_usage": False}},
        {"extra_body": {"stream_options": {"include_usage": True}}},
        {"extra_body": {"data_sources": []}},
    ],
)
def test_who_decides_itself_is_left_alone(
    options: Any, followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    list(openai_client.chat.completions.create(**STREAM, **options))
    wanted = {**options, **options.get("extra_body", {})}.get("stream_options")
    assert agreed.last.json.get("stream_options") == wanted
    assert len(followed.spans()) == 1


def test_other_options_of_a_stream_are_kept(
    followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    del followed
    given: Any = {"include_obfuscation": False}
    list(openai_client.chat.completions.create(**STREAM, stream_options=given))
    assert agreed.last.json["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert given == {"include_obfuscation": False}


def test_nobody_is_asked_without_consent(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    del followed
    list(openai_client.chat.completions.create(**STREAM))
    assert "stream_options" not in scripted.last.json


def test_an_endpoint_that_is_not_known_is_not_asked(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    del followed
    monkeypatch.setenv(SETTING, "on")
    list(openai_client.chat.completions.create(**STREAM))
    assert "stream_options" not in scripted.last.json


@pytest.mark.parametrize("status", [400, 422])
def test_a_refusal_does_not_reach_the_application_and_is_remembered(
    status: int, followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    agreed.next(Answer(status=status, error="Unrecognized request argument supplied: stream_options"))
    for _ in range(2):
        chunks = list(openai_client.chat.completions.create(**STREAM))
        assert chunks[-1].choices[0].finish_reason == "stop"
    asked = [request.json.get("stream_options") for request in agreed.requests]
    assert asked == [{"include_usage": True}, None, None]
    assert [span.status.status_code.name for span in followed.spans()] == ["UNSET", "UNSET"]


def test_another_error_does(followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI) -> None:
    agreed.next(Answer(status=400, error="no such model"))
    with pytest.raises(openai.BadRequestError, match="no such model"):
        openai_client.chat.completions.create(**STREAM)
    assert len(agreed.requests) == 1
    assert len(followed.spans()) == 1


def test_azure_is_asked_from_the_version_on_that_knows_it() -> None:
    def agreed(version: str | None) -> bool:
        host = "acme.openai.azure.com"
        return stream_usage._agreed("on", host, None, version)

    assert [agreed(version) for version in ("2024-06-01", "2024-10-21", "2025-03-01-preview", None)] == [
        False,
        True,
        True,
        True,
    ]


def test_azures_version_is_read_from_the_client(
    followed: Followed, agreed: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    del followed
    monkeypatch.setattr(stream_usage, "_AZURE", ("127.0.0.1",))
    monkeypatch.setenv(SETTING, "on")
    for version in ("2024-06-01", "2024-10-21"):
        with AzureOpenAI(api_key="none", azure_endpoint=agreed.url, api_version=version) as client:
            list(client.chat.completions.create(**STREAM))
    assert [request.json.get("stream_options") for request in agreed.requests] == [
        None,
        {"include_usage": True},
    ]


@pytest.mark.parametrize(
    ("setting", "host", "port", "agreed"),
    [
        ("on", "api.openai.com", None, True),
        ("on", "eu.api.openai.com", None, True),
        ("on", "api.openai.com.example.org", None, False),
        ("on", "openrouter.ai", None, False),
        ("openrouter.ai", "openrouter.ai", None, True),
        ("openrouter.ai", "api.openai.com", None, False),
        (" On , llm.corp:8080 ", "llm.corp", 8080, True),
        ("llm.corp:8080", "llm.corp", 8081, False),
        ("off", "api.openai.com", None, False),
    ],
)
def test_who_is_asked(
    setting: str,
    host: str,
    port: int | None,
    agreed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    assert stream_usage._agreed(setting, host, port, None) is agreed


def test_a_stream_that_is_closed_before_its_usage_has_none(
    followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    agreed.next(Answer(**ANSWER))
    with openai_client.chat.completions.create(**STREAM) as stream:
        next(stream)
    assert "gen_ai.usage.input_tokens" not in followed.attributes()
    assert followed.abandoned() == {"closed": 1}


def test_a_break_gives_the_bytes_that_came(
    followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    del followed
    agreed.next(Answer(**ANSWER, break_after=3))
    seen: list[bytes] = []
    response = openai_client.chat.completions.with_streaming_response.create(**STREAM)
    with response as answer, pytest.raises(Exception, match=BROKEN):
        seen.extend(answer.iter_bytes())
    assert b"".join(seen).count(b"data: ") == 3


def test_chunks_arrive_when_they_are_sent(
    followed: Followed, agreed: ScriptedProvider, openai_client: OpenAI
) -> None:
    del followed
    going_on = threading.Event()
    agreed.next(Answer(**ANSWER, hold=going_on, hold_from=2))
    stream = openai_client.chat.completions.create(**STREAM)
    try:
        assert next(stream).choices[0].delta.role == "assistant"
        assert next(stream).choices[0].delta.content == "maize "
    finally:
        going_on.set()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "and wheat"


def test_a_compressed_stream_is_sieved_when_it_is_not_any_more(
    followed: Followed, agreed: ScriptedProvider
) -> None:
    def chunk(choices: Any, usage: Any) -> bytes:
        top = {"id": "1", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "created": 1}
        return b"data: " + json.dumps({**top, "choices": choices, "usage": usage}).encode() + b"\n\n"

    said = [{"index": 0, "delta": {"content": "maize"}, "finish_reason": "stop"}]
    body = gzip.compress(chunk(said, None) + chunk([], CHAT_USAGE) + b"data: [DONE]\n\n")
    headers = {"content-encoding": "gzip", "content-type": "text/event-stream"}
    agreed.next(Answer(body=body, headers=headers))
    with OpenAI(api_key="none", base_url=f"{agreed.url}/v1", max_retries=0) as client:
        chunks = list(client.chat.completions.create(**STREAM))
    assert [each.choices[0].delta.content for each in chunks] == ["maize"]
    assert "usage" not in chunks[0].to_dict()
    assert followed.attributes()["gen_ai.usage.input_tokens"] == 100


# --- the sieve alone


def sieved(pieces: Iterator[bytes] | list[bytes]) -> tuple[bytes, list[Any], list[Exception]]:
    told: list[Any] = []
    broken: list[Exception] = []
    sieve = Sieve(told.append, broken.append)
    return b"".join(sieve.passed(piece) for piece in pieces) + sieve.rest(), told, broken


_TEXTS = st.text(max_size=20) | st.sampled_from(
    [',"usage":null', '"usage": null}', '{"choices":[],"usage":{}}']
)
_JSON = st.fixed_dictionaries({"id": st.just("1"), "choices": st.lists(_TEXTS, min_size=1, max_size=2)})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(_JSON, max_size=5),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.lists(st.integers(0, 400), max_size=12),
)
def test_whatever_the_pieces_only_what_was_asked_for_is_taken_out(
    chunks: list[dict[str, Any]], line: str, cuts: list[int]
) -> None:
    def event(data: object) -> bytes:
        return f"data: {json.dumps(data)}{line}{line}".encode()

    usage = {"id": "1", "choices": [], "usage": {"prompt_tokens": 1}}
    sent = [*(event({**chunk, "usage": None}) for chunk in chunks), event(usage)]
    whole = b"".join(sent) + f"data: [DONE]{line}{line}".encode()
    without = b"".join(event(chunk) for chunk in chunks) + f"data: [DONE]{line}{line}".encode()
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    passed, told, broken = sieved([whole[a:b] for a, b in itertools.pairwise(places)])
    assert told == [usage]
    assert not broken
    # A line feed that a cut takes from its carriage return is an empty line more.
    assert passed.replace(b"\r", b"\n").split() == without.replace(b"\r", b"\n").split()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=60) | st.just(b'data: {"choices":[],"usage":'), max_size=10))
def test_what_is_no_stream_of_chunks_passes_as_it_is(pieces: list[bytes]) -> None:
    passed, told, broken = sieved(pieces)
    assert not told
    assert not broken
    assert passed == b"".join(pieces)


def test_what_azure_says_of_the_prompt_is_not_taken_for_a_usage() -> None:
    filters = b'data: {"choices":[],"prompt_filter_results":[{}],"usage":null}\n\n'
    passed, told, _ = sieved([filters])
    assert not told
    assert passed == b'data: {"choices":[],"prompt_filter_results":[{}]}\n\n'


def test_a_fault_of_ours_lets_everything_pass() -> None:
    def told(_: object) -> None:
        raise RuntimeError

    broken: list[Exception] = []
    sieve = Sieve(told, broken.append)
    whole = b'data: {"choices":[],"usage":{"a":1}}\n\ndata: {"a":1}\n\n'
    assert sieve.passed(whole) + sieve.passed(b"more") == whole + b"more"
    assert len(broken) == 1


def test_something_without_end_is_not_held() -> None:
    sieve = Sieve(lambda _: None, lambda _: None)
    assert len(sieve.passed(b"a" * (1 << 21))) == 1 << 21
