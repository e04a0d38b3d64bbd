"""Every operation of OpenAI's SDK: what its span says, and that the application gets what it always got."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest
from openai import AsyncOpenAI, AzureOpenAI, OpenAI
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ParsedChatCompletion
from openai.types.responses import ParsedResponse, Response
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel
from support.llm import Answer

from otel_kpi import llm
from otel_kpi.instrumentation.llm import background

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.llm import ScriptedProvider

    from .conftest import Followed

ASK: Any = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is planted?"}]}
ASK_RESPONSES: Any = {"model": "gpt-4o-mini", "input": "What is planted?"}
CHAT_USAGE: Any = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 10, "image_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 5},
}
RESPONSES_USAGE: Any = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 6},
    "output_tokens": 50,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 150,
}


class Answered(BaseModel):
    plant: str


PARSED = '{"plant": "maize"}'


def drained(stream: Any) -> Any:
    return list(stream)


def chat(client: OpenAI) -> Any:
    return client.chat.completions.create(**ASK)


def chat_raw(client: OpenAI) -> Any:
    return client.chat.completions.with_raw_response.create(**ASK).parse()


def chat_streamed_response(client: OpenAI) -> Any:
    with client.chat.completions.with_streaming_response.create(**ASK) as response:
        return response.parse()


def chat_parse(client: OpenAI) -> Any:
    return client.chat.completions.parse(**ASK, response_format=Answered)


def responses(client: OpenAI) -> Any:
    return client.responses.create(**ASK_RESPONSES)


def responses_raw(client: OpenAI) -> Any:
    return client.responses.with_raw_response.create(**ASK_RESPONSES).parse()


def responses_parse(client: OpenAI) -> Any:
    return client.responses.parse(**ASK_RESPONSES, text_format=Answered)


def responses_helper(client: OpenAI) -> Any:
    with client.responses.stream(**ASK_RESPONSES, text_format=Answered) as stream:
        return stream.get_final_response()


def responses_stream(client: OpenAI) -> Any:
    return drained(client.responses.create(**ASK_RESPONSES, stream=True))[-1].response


WHOLE: list[tuple[Callable[[OpenAI], Any], type]] = [
    (chat, ChatCompletion),
    (chat_raw, ChatCompletion),
    (chat_streamed_response, ChatCompletion),
    (chat_parse, ParsedChatCompletion),
    (responses, Response),
    (responses_raw, Response),
    (responses_parse, ParsedResponse),
    (responses_helper, ParsedResponse),
    (responses_stream, Response),
]


@pytest.mark.parametrize(("call", "kind"), WHOLE, ids=[call.__name__ for call, _ in WHOLE])
def test_every_way_to_ask_has_a_span_tokens_and_a_price(
    call: Callable[[OpenAI], Any],
    kind: type,
    followed: Followed,
    scripted: ScriptedProvider,
    openai_client: OpenAI,
) -> None:
    usage = RESPONSES_USAGE if call.__name__.startswith("responses") else CHAT_USAGE
    scripted.next(Answer(text=PARSED, usage=usage, tier="default"))
    answer = call(openai_client)
    assert isinstance(answer, kind)
    span, attributes = followed.span(), followed.attributes()
    assert (span.name, span.kind, span.status.status_code) == (
        "chat gpt-4o-mini",
        SpanKind.CLIENT,
        StatusCode.UNSET,
    )
    said = {name: attributes.get(f"gen_ai.usage.{name}") for name in ("input_tokens", "output_tokens")}
    assert said == {"input_tokens": 100, "output_tokens": 50}
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 40
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 30
    assert attributes["gen_ai.provider.name"] == "openai"
    assert attributes["gen_ai.response.model"] == "gpt-4o-mini"
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert attributes["gen_ai.usage.cost.amount"] > 0
    assert attributes["gen_ai.usage.cost.currency"] == "USD"
    tokens = followed.tokens()
    assert sum(tokens.values()) == 150
    assert (tokens["cache_read"], tokens["reasoning"]) == (40, 30)
    assert not followed.abandoned()


def test_modalities_and_cache_writes_are_read(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(usage=CHAT_USAGE), Answer(usage=RESPONSES_USAGE))
    chat(openai_client)
    attributes = followed.attributes()
    assert attributes["gen_ai.usage.image.input_tokens"] == 20
    assert attributes["gen_ai.usage.audio.input_tokens"] == 10
    assert attributes["gen_ai.usage.audio.output_tokens"] == 5
    responses(openai_client)
    assert (followed.spans()[-1].attributes or {})["gen_ai.usage.cache_write.input_tokens"] == 6


@pytest.mark.parametrize("raw", [False, True])
def test_embeddings_have_tokens_and_a_price_raw_ones_too(
    raw: bool,  # noqa: FBT001 - a parameter of the test
    followed: Followed,
    scripted: ScriptedProvider,
    openai_client: OpenAI,
) -> None:
    scripted.next(Answer(usage={"prompt_tokens": 1000, "total_tokens": 1000}))
    given: Any = {"model": "text-embedding-3-small", "input": ["maize", "wheat"]}
    if raw:
        answer = openai_client.embeddings.with_raw_response.create(**given).parse()
    else:
        answer = openai_client.embeddings.create(**given)
    assert isinstance(answer, CreateEmbeddingResponse)
    assert answer.data[1].embedding == [0.0, 1.0]
    attributes = followed.attributes()
    assert followed.span().name == "embeddings text-embedding-3-small"
    assert attributes["gen_ai.usage.input_tokens"] == 1000
    assert attributes["gen_ai.usage.cost.amount"] == pytest.approx(0.00002)
    assert followed.tokens() == {"input": 1000}


def test_the_asynchronous_client_is_followed_as_the_other(
    followed: Followed, scripted: ScriptedProvider
) -> None:
    scripted.next(
        Answer(usage=CHAT_USAGE),
        Answer(usage=CHAT_USAGE),
        Answer(usage=RESPONSES_USAGE),
        Answer(usage=RESPONSES_USAGE),
        Answer(usage=CHAT_USAGE, text=PARSED),
        Answer(usage=CHAT_USAGE),
        Answer(usage=RESPONSES_USAGE),
    )

    async def ask() -> None:
        async with AsyncOpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=0) as client:
            answers: list[Awaitable[Any]] = [
                client.chat.completions.create(**ASK),
                client.chat.completions.with_raw_response.create(**ASK),
                client.responses.create(**ASK_RESPONSES),
            ]
            for answer in answers:
                await answer
            async for _ in await client.responses.create(**ASK_RESPONSES, stream=True):
                pass
            parsed = await client.chat.completions.parse(**ASK, response_format=Answered)
            assert parsed.choices[0].message.parsed == Answered(plant="maize")
            asked: Any = {**ASK, "stream_options": {"include_usage": True}}
            async with client.chat.completions.stream(**asked) as stream:
                assert (await stream.get_final_completion()).usage
            async with client.responses.stream(**ASK_RESPONSES) as told:
                assert (await told.get_final_response()).usage

    asyncio.run(ask())
    spans = followed.spans()
    assert len(spans) == 7
    for span in spans:
        assert (span.attributes or {})["gen_ai.usage.input_tokens"] == 100
        assert (span.attributes or {})["gen_ai.usage.reasoning.output_tokens"] == 30
        assert (span.attributes or {})["gen_ai.usage.cost.amount"]


def test_tools_come_back_as_they_do_without_telemetry(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(tools=[("plant", {"what": "maize"})]))
    answer = chat(openai_client)
    assert answer.choices[0].message.tool_calls[0].function.arguments == '{"what": "maize"}'
    assert followed.attributes()["gen_ai.response.finish_reasons"] == ("tool_calls",)


def test_an_answer_that_is_fetched_again_is_not_paid_again(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(usage=RESPONSES_USAGE), Answer(usage=RESPONSES_USAGE))
    answer = responses(openai_client)
    fetched = openai_client.responses.retrieve(answer.id)
    assert isinstance(fetched, Response)
    assert fetched.usage
    assert [span.name.partition(" ")[0] for span in followed.spans()] == ["chat", "fetch_response"]
    assert sum(followed.tokens().values()) == 150


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_from_the_background_is_paid_once_by_who_asked(
    streamed: bool,  # noqa: FBT001 - a parameter of the test
    followed: Followed,
    scripted: ScriptedProvider,
    openai_client: OpenAI,
) -> None:
    made = Answer(usage=RESPONSES_USAGE)
    scripted.next(Answer(usage=None, finish="queued"), Answer(usage=None, finish="in_progress"), made, made)
    with llm.context(tenant="later"):
        begun = openai_client.responses.create(**ASK_RESPONSES, background=True)
    assert begun.status == "queued"
    assert openai_client.responses.retrieve(begun.id).status == "in_progress"
    assert not followed.tokens()
    for _ in range(2):
        if streamed:
            drained(openai_client.responses.retrieve(begun.id, stream=True))
        else:
            assert openai_client.responses.retrieve(begun.id).usage
    assert followed.counted("kpi_llm_tokens_total", "kpi_tenant") == {"later": 150}
    assert not followed.series.points("kpi_llm_unpriced_total")
    asked, early, paid, again = (span.attributes or {} for span in followed.spans())
    assert paid["gen_ai.operation.name"] == "fetch_response"
    assert paid["gen_ai.usage.cost.amount"]
    for attributes in (asked, early, again):
        assert not any(name.startswith("gen_ai.usage") for name in attributes)


def test_an_answer_that_nobody_fetches_has_no_price(
    followed: Followed,
    scripted: ScriptedProvider,
    openai_client: OpenAI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(background, "_MOST", 1)
    for number in range(2):
        scripted.next(Answer(finish="queued", more={"id": f"resp_{number}"}))
        openai_client.responses.create(**ASK_RESPONSES, background=True)
    assert followed.counted("kpi_llm_unpriced_total", "kpi_llm_reason") == {"no_usage": 1}
    openai_client.responses.retrieve("resp_1")
    assert sum(followed.tokens().values()) == 15


def test_searches_of_the_web_are_counted_and_paid(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    def search(number: int, kind: str) -> dict[str, Any]:
        action = {"type": kind, "query": "maize", "url": "https://example.org"}
        return {"type": "web_search_call", "id": f"ws_{number}", "status": "completed", "action": action}

    found = [search(1, "search"), search(2, "search"), search(3, "open_page")]
    scripted.next(Answer(usage=RESPONSES_USAGE), Answer(usage=RESPONSES_USAGE, more={"output": found}))
    responses(openai_client)
    responses(openai_client)
    plain, searched = ((span.attributes or {})["gen_ai.usage.cost.amount"] for span in followed.spans())
    assert isinstance(plain, float)
    assert isinstance(searched, float)
    # The data have 10 dollars for a thousand; two were searches.
    assert searched - plain == pytest.approx(0.02)


def test_what_a_batch_made_is_paid_at_its_rate_by_hand(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
    scripted.next(Answer(usage=usage))
    chat(openai_client)
    answer = {"model": "gpt-4o-mini", "usage": usage}
    scripted.next(Answer(body=json.dumps({"custom_id": "1", "response": {"body": answer}}).encode()))
    for line in openai_client.files.content("file-1").text.splitlines():
        body = json.loads(line)["response"]["body"]
        sent, made = body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]
        with llm.call("openai", body["model"], processing="batch") as call:
            call.usage(sent, made)
    standard, batch = (
        float(str((span.attributes or {})["gen_ai.usage.cost.amount"])) for span in followed.spans()
    )
    assert batch == pytest.approx(standard / 2)


@pytest.mark.parametrize("answered", ["flex", None])
def test_a_tier_is_that_of_the_answer_or_that_was_asked_for(
    answered: str | None, followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    usage = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}
    asked: Any = {**ASK, "model": "gpt-5-mini"}
    scripted.next(Answer(usage=usage), Answer(usage=usage, tier=answered))
    openai_client.chat.completions.create(**asked)
    openai_client.chat.completions.create(**asked, service_tier="flex")
    standard, flex = ((span.attributes or {})["gen_ai.usage.cost.amount"] for span in followed.spans())
    assert isinstance(standard, float)
    assert flex == pytest.approx(standard / 2)


def test_what_openrouter_charged_wins(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    fee = {"cost": 0.01, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.2}}
    scripted.next(Answer(usage=usage | {"cost": 0.00014}), Answer(usage=usage | fee))
    chat(openai_client)
    attributes = followed.attributes()
    assert attributes["gen_ai.usage.cost.amount"] == 0.00014
    assert attributes["gen_ai.usage.cost.source"] == "provider"
    chat(openai_client)
    assert (followed.spans()[1].attributes or {})["gen_ai.usage.cost.amount"] == 0.21


def test_azure_is_azure_and_a_gateway_is_not_openai(
    followed: Followed, scripted: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{scripted.port}=azure.ai.openai")
    scripted.next(Answer(model="gpt-4o-mini-2024-07-18", usage=CHAT_USAGE))
    with AzureOpenAI(api_key="none", azure_endpoint=scripted.url, api_version="2024-10-21") as azure:
        asked: Any = {**ASK, "model": "my-deployment"}
        azure.chat.completions.create(**asked)
    assert scripted.last.path == "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    monkeypatch.delenv("OTEL_KPI_GENAI_PROVIDERS")
    with OpenAI(api_key="none", base_url=f"{scripted.url}/gateway/acme/v1", max_retries=0) as gateway:
        gateway.chat.completions.create(**ASK)
    azure_span, other = ((span.attributes or {}) for span in followed.spans())
    assert azure_span["gen_ai.provider.name"] == "azure.ai.openai"
    assert azure_span["gen_ai.usage.cost.amount"]
    assert other["gen_ai.provider.name"] == "_OTHER"
    assert "gen_ai.usage.cost.amount" not in other


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {"prompt_tokens": -5, "completion_tokens": 5, "total_tokens": 0},
        {"prompt_tokens": 5, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 9}},
        {"prompt_tokens": "many", "completion_tokens": None, "total_tokens": 3},
        {"prompt_tokens_details": "none"},
        {},
    ],
    ids=["missing", "negative", "inconsistent", "text", "details", "empty"],
)
def test_a_usage_that_cannot_be_true_harms_no_call_and_has_no_price(
    usage: Any, followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(usage=usage))
    assert chat(openai_client).choices[0].message.content == "Hello there, friend."
    attributes = followed.attributes()
    assert "gen_ai.usage.cost.amount" not in attributes
    assert attributes["kpi.llm.unpriced.reason"]
    assert not followed.tokens()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"choices": None, "usage": None},
        {"type": "response.completed", "response": 3},
        {"x_groq": {"usage": 1}},
    ],
)
def test_strange_answers_come_back_as_they_do_without_telemetry(
    body: Any, followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(body=body))
    assert isinstance(chat(openai_client), ChatCompletion)
    assert followed.span().status.status_code is StatusCode.UNSET


def test_an_error_of_the_provider_is_the_sdks_own(
    followed: Followed, scripted: ScriptedProvider, openai_client: OpenAI
) -> None:
    scripted.next(Answer(status=401, error="who is it"))
    with pytest.raises(openai.AuthenticationError, match="who is it") as caught:
        chat(openai_client)
    assert caught.value.status_code == 401
    assert caught.value.response.json()["error"]["message"] == "who is it"
    span = followed.span()
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "openai.AuthenticationError"
    assert "kpi.llm.ended" not in (span.attributes or {})


def test_errors_of_our_hooks_do_not_reach_the_application(
    followed: Followed, openai_client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.llm import openai as ours

    def broken(*_: object, **__: object) -> Any:
        message = "ours"
        raise RuntimeError(message)

    monkeypatch.setattr(ours.openai_usage, "counts_of", broken)
    monkeypatch.setattr(ours.stream_usage, "asked_for", broken)
    boundary = Boundary("openai")
    before = boundary.errors
    try:
        assert isinstance(chat(openai_client), ChatCompletion)
        stream = openai_client.chat.completions.create(**ASK, stream=True)
        assert all(isinstance(chunk, ChatCompletionChunk) for chunk in stream)
        assert boundary.errors - before >= 2
    finally:
        boundary.reset()
    assert len(followed.spans()) == 2


def test_a_call_goes_on_when_nothing_of_it_can_be_followed(
    followed: Followed, scripted: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from otel_kpi.instrumentation.boundary import Boundary
    from otel_kpi.instrumentation.llm import stainless, streams

    def broken(*_: object, **__: object) -> Any:
        raise RuntimeError

    monkeypatch.setattr(stainless.underway, "current", broken)
    monkeypatch.setattr(streams.genai, "streams", broken)
    scripted.next(Answer(status=500, headers={"retry-after-ms": "1"}), Answer(), Answer(), Answer(status=401))
    try:
        with OpenAI(api_key="none", base_url=f"{scripted.url}/v1", max_retries=1) as client:
            assert isinstance(chat(client), ChatCompletion)
            client.chat.completions.create(**ASK, stream=True).close()
            with pytest.raises(openai.AuthenticationError):
                chat(client)
    finally:
        Boundary("openai").reset()
    assert len(followed.spans()) == 3
