"""How streams of OpenAI's SDK end: read, closed, dropped, cancelled, broken off; with what had come by then."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import APIError, AsyncOpenAI, AsyncStream, OpenAI, Stream
from openai.types.chat import ChatCompletionChunk
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from support.llm import Answer

from otel_kpi import instrumentation

from .test_openai import ASK, ASK_RESPONSES, CHAT_USAGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.llm import ScriptedProvider

    from .conftest import Followed

STREAM: Any = {**ASK, "stream": True}
BROKEN = "peer closed connection|Connection error"
"""So says httpx, and the SDK itself from version 3 on."""
COUNTED: Any = {**STREAM, "stream_options": {"include_usage": True}}


def begun(client: OpenAI, scripted: ScriptedProvider, **answer: Any) -> Any:
    """A stream of which two chunks have been read."""
    scripted.next(Answer(**answer))
    stream = client.chat.completions.create(**STREAM)
    next(stream)
    next(stream)
    return stream


def left(client: OpenAI, scripted: ScriptedProvider) -> None:
    begun(client, scripted)
    gc.collect(1)


def closed(client: OpenAI, scripted: ScriptedProvider) -> None:
    begun(client, scripted).close()


def closed_by_a_context(client: OpenAI, scripted: ScriptedProvider) -> None:
    with begun(client, scripted):
        pass


def closed_by_an_error_of_the_application(client: OpenAI, scripted: ScriptedProvider) -> None:
    with pytest.raises(LookupError), begun(client, scripted):
        raise LookupError


def closed_in_the_helper(client: OpenAI, scripted: ScriptedProvider) -> None:
    del scripted
    with client.chat.completions.stream(**ASK) as stream:
        for number, _ in enumerate(stream):
            if number:
                break


def cancelled(client: OpenAI, scripted: ScriptedProvider) -> None:
    with pytest.raises(KeyboardInterrupt), begun(client, scripted):
        raise KeyboardInterrupt


def left_raw(client: OpenAI, scripted: ScriptedProvider) -> None:
    scripted.next(Answer())
    client.chat.completions.with_raw_response.create(**STREAM)
    gc.collect(1)


def left_in_responses(client: OpenAI, scripted: ScriptedProvider) -> None:
    scripted.next(Answer())
    stream = client.responses.create(**ASK_RESPONSES, stream=True)
    next(iter(stream))
    del stream
    gc.collect(1)


def closed_in_the_helper_of_responses(client: OpenAI, scripted: ScriptedProvider) -> None:
    scripted.next(Answer())
    with client.responses.stream(**ASK_RESPONSES) as stream:
        next(iter(stream))


ENDINGS: list[tuple[Callable[[OpenAI, ScriptedProvider], None], str]] = [
    (left, "left"),
    (left_raw, "left"),
    (left_in_responses, "left"),
    (closed, "closed"),
    (closed_by_a_context, "closed"),
    (closed_by_an_error_of_the_application, "closed"),
    (closed_in_the_helper, "closed"),
    (closed_in_the_helper_of_responses, "closed"),
    (cancelled, "cancelled"),
]


@pytest.mark.parametrize(("end", "how"), ENDINGS, ids=[end.__name__ for end, _ in ENDINGS])
def test_a_stream_that_the_application_leaves_is_counted_and_no_error_of_the_provider(
    end: Callable[[OpenAI, ScriptedProvider], None],
    how: str,
    followed: Followed,
    scripted: ScriptedProvider,
    openai_client: OpenAI,
) -> None:
    end(openai_client, scripted)
    followed.wait_for_a_span()
    attributes = followed.attributes()
    assert followed.span().status.status_code is StatusCode.UNSET
    assert "error.type" not in attributes
    assert attributes["kpi.llm.ended"] == how
    assert followed.abandoned() == {how: 1}
    assert attributes["gen_ai.request.stream"] is True
    assert not any(name.startswith("gen_ai.usage") for name in attributes)
    assert "gen_ai.response.finish_reasons" not in attributes
    assert attributes["kpi.llm.unpriced.reason"] == "no_usage"


@pytest.mark.parametrize("raw", [False, True])
def test_a_collection_of_garbage_inside_of_a_lock_does_not_wait_for_it(
    raw: bool,  # noqa: FBT001 - a parameter of the test
    followed: Followed,
    scripted: ScriptedProvider,
    openai_client: OpenAI,
) -> None:
    cycle: list[Any] = []
    if raw:
        cycle.append(openai_client.chat.completions.with_raw_response.create(**STREAM))
    else:
        cycle.append(begun(openai_client, scripted))
    cycle.append(cycle)
    # What a span needs at its end; the collector may run while its thread has it.
    with followed.captured.span_exporter._lock:
        del cycle
        gc.collect(1)
    followed.wait_for_a_span()
    assert followed.attributes()["kpi.llm.ended"] == "left"


def test_what_had_come_is_on_the_span(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    begun(openai_client, scripted, model="gpt-4o-mini-2024-07-18").close()
    attributes = followed.attributes()
    assert attributes["gen_ai.response.model"] == "gpt-4o-mini-2024-07-18"
    assert attributes["gen_ai.response.id"].startswith("chatcmpl-")
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["kpi.llm.stream.chunks"] == 2


def test_no_end_is_made_up_where_content_is_kept(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
        instrumentation.uninstall()
        instrumentation.install()
    begun(openai_client, scripted).close()
    instrumentation.uninstall()
    instrumentation.install()
    assert "gen_ai.output.messages" in followed.attributes()
    assert "gen_ai.response.finish_reasons" not in followed.attributes()


def test_a_stream_that_is_closed_after_its_last_word_is_whole(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(text="maize"))
    with openai_client.chat.completions.create(**STREAM) as stream:
        for chunk in stream:
            if chunk.choices[0].finish_reason:
                break
    attributes = followed.attributes()
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert "kpi.llm.ended" not in attributes
    assert not followed.abandoned()


def test_upstreams_errors_are_there_for_who_wants_them(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_ABANDONED_AS_ERRORS", "true")
    left(openai_client, scripted)
    assert followed.attributes()["error.type"] == "_OTHER"
    assert followed.span().status.status_code is StatusCode.ERROR
    assert followed.abandoned() == {"left": 1}


def test_a_connection_that_breaks_is_an_error_with_what_came(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(break_after=3))
    stream = openai_client.chat.completions.create(**STREAM)
    with pytest.raises(Exception, match=BROKEN):
        list(stream)
    attributes = followed.attributes()
    assert attributes["error.type"] in {"httpx.RemoteProtocolError", "openai.APIConnectionError"}
    assert followed.span().status.status_code is StatusCode.ERROR
    assert (attributes["kpi.llm.ended"], attributes["kpi.llm.stream.chunks"]) == ("broken_off", 3)
    assert followed.abandoned() == {"broken_off": 1}


def test_an_error_in_the_middle_of_a_stream_is_the_providers(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(error_after=2, error="overloaded"), Answer(error_after=3))
    with pytest.raises(APIError, match="overloaded"):
        list(openai_client.chat.completions.create(**STREAM))
    events = list(openai_client.responses.create(**ASK_RESPONSES, stream=True))
    assert events[-1].type == "error"
    first, second = (span.attributes or {} for span in followed.spans())
    assert (first["error.type"], second["error.type"]) == ("openai.APIError", "server_error")
    assert followed.abandoned() == {"broken_off": 2}


def test_usage_that_came_before_the_break_counts(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(text="maize", usage=CHAT_USAGE, break_after=4))
    with pytest.raises(Exception, match=BROKEN):
        list(openai_client.chat.completions.create(**COUNTED))
    assert followed.attributes()["gen_ai.usage.input_tokens"] == 100
    assert followed.attributes()["gen_ai.usage.cost.amount"] > 0


def test_streams_are_the_sdks_own(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(chunks=["maize", " and", " wheat"]))
    with openai_client.chat.completions.create(**STREAM) as stream:
        assert isinstance(stream, Stream)
        assert stream.response.status_code == 200
        chunks = list(stream)
        assert list(stream) == []
    assert all(type(chunk) is ChatCompletionChunk for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "maize and wheat"
    assert stream.response.is_closed
    assert not followed.abandoned()


def test_the_span_is_not_current_between_two_chunks(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer())
    tracer = trace.get_tracer("tests")
    with tracer.start_as_current_span("handler") as handler:
        for _ in openai_client.chat.completions.create(**STREAM):
            assert trace.get_current_span() is handler
    assert followed.span().parent is not None


def test_a_task_that_is_cancelled_is_no_error_of_the_provider(
    followed: Followed, scripted: ScriptedProvider
) -> None:
    going_on = threading.Event()

    async def ask() -> None:
        async with AsyncOpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=0) as client:
            reading = asyncio.Event()

            async def read() -> None:
                stream = await client.chat.completions.create(**STREAM)
                assert isinstance(stream, AsyncStream)
                async for _ in stream:
                    reading.set()

            scripted.next(Answer(hold=going_on, hold_from=2), Answer(hold=going_on))
            task = asyncio.create_task(read())
            await reading.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            task = asyncio.create_task(client.chat.completions.create(**ASK))
            await asyncio.to_thread(scripted.wait_for, 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    try:
        asyncio.run(ask())
    finally:
        going_on.set()
    for span in followed.spans():
        assert span.status.status_code is StatusCode.UNSET
        assert "error.type" not in (span.attributes or {})
        assert (span.attributes or {})["kpi.llm.ended"] == "cancelled"
    assert len(followed.spans()) == 2
    assert followed.abandoned() == {"cancelled": 1}


def test_asynchronous_streams_that_are_left_or_closed(followed: Followed, scripted: ScriptedProvider) -> None:
    async def ask() -> None:
        async with AsyncOpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=0) as client:
            stream = await client.chat.completions.create(**STREAM)
            await anext(stream)
            await stream.close()
            async with client.chat.completions.stream(**ASK) as helper:
                await anext(helper)
            stream = await client.chat.completions.create(**STREAM)
            async with stream:
                await anext(stream)

    asyncio.run(ask())
    assert followed.abandoned() == {"closed": 3}
    assert all(span.status.status_code is StatusCode.UNSET for span in followed.spans())


def test_a_timeout_stays_an_error(followed: Followed, scripted: ScriptedProvider) -> None:
    going_on = threading.Event()
    scripted.next(Answer(hold=going_on))
    with (
        OpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=0, timeout=0.2) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(**ASK)
    going_on.set()
    assert followed.attributes()["error.type"] == "openai.APITimeoutError"
    assert not followed.abandoned()
