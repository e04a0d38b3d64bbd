"""Google's Gen AI SDK, on the Gemini API and on Vertex AI: every answer of a call is counted, by class and modality."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials, Credentials
from google.genai import Client, errors, types
from opentelemetry import trace
from opentelemetry.trace import StatusCode
from support.llm import Answer, ScriptedProvider
from support.llm.told import COST, Told

from otel_kpi.instrumentation.llm.google_genai import counts_of, counts_of_interaction

# The SDK inherits from a class of aiohttp's that is not meant for it.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

MODEL = "gemini-2.5-flash"
USAGE: dict[str, Any] = {
    "promptTokenCount": 100,
    "cachedContentTokenCount": 60,
    "toolUsePromptTokenCount": 7,
    "candidatesTokenCount": 40,
    "thoughtsTokenCount": 10,
    "totalTokenCount": 157,
}
TOKENS = {"input": 40, "cache_read": 60, "tool": 7, "output": 40, "reasoning": 10}
PRICE = pytest.approx((47 * 0.3 + 60 * 0.03 + 50 * 2.5) / 1e6)
"""At the rates of gemini-2.5-flash in the data: 0.30 $ in, 0.03 $ from a cache, 2.50 $ out, thoughts too."""


class _Token(Credentials):
    """Credentials that hold."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Google's have no types
        self.token = "none"

    def refresh(self, request: object) -> None:
        del request


@pytest.fixture
def provider(told: Told, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del told
    with ScriptedProvider() as found:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", "127.0.0.1=gcp.gemini")
        yield found


def options(provider: ScriptedProvider, **more: Any) -> types.HttpOptions:
    return types.HttpOptions(base_url=provider.url, **more)


def close(client: Any) -> None:
    """The first versions have nothing to close."""
    getattr(client, "close", lambda: None)()


async def aclose(client: Any) -> None:
    if (end := getattr(client.aio, "aclose", None)) is not None:
        await end()


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[Client]:
    found = Client(api_key="none", http_options=options(provider))
    yield found
    close(found)


@pytest.fixture
def vertex(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", "127.0.0.1=gcp.vertex_ai")
    found = Client(
        vertexai=True,
        project="shop",
        location="europe-west1",
        credentials=_Token(),
        http_options=options(provider),
    )
    yield found
    close(found)


def expect(told: Told) -> None:
    """One span with everything on it, each token once, and the price."""
    attributes = told.attributes()
    assert told.span().name == f"generate_content {MODEL}"
    assert attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert attributes["gen_ai.usage.input_tokens"] == 107
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 60
    assert attributes["gen_ai.usage.output_tokens"] == 50
    assert attributes["gen_ai.usage.reasoning.output_tokens"] == 10
    assert attributes[COST] == PRICE
    assert told.tokens() == TOKENS
    assert told.cost() == PRICE


# --- every way to ask


def plain(client: Client) -> object:
    return client.models.generate_content(model=MODEL, contents="What is planted?")


def stream(client: Client) -> object:
    chunks = client.models.generate_content_stream(model=MODEL, contents="What is planted?")
    assert isinstance(chunks, Iterator)
    return list(chunks)[-1]


def chat(client: Client) -> object:
    return client.chats.create(model=MODEL).send_message("What is planted?")


def chat_stream(client: Client) -> object:
    return list(client.chats.create(model=MODEL).send_message_stream("What is planted?"))[-1]


@pytest.mark.parametrize("ask", [plain, stream, chat, chat_stream])
def test_every_way_to_ask_is_one_call_with_its_price(
    told: Told, provider: ScriptedProvider, client: Client, ask: Any
) -> None:
    provider.next(Answer(usage=USAGE))
    assert isinstance(ask(client), types.GenerateContentResponse)
    expect(told)


async def plain_async(client: Client) -> object:
    return await client.aio.models.generate_content(model=MODEL, contents="What is planted?")


async def stream_async(client: Client) -> object:
    chunks = await client.aio.models.generate_content_stream(model=MODEL, contents="What is planted?")
    assert isinstance(chunks, AsyncIterator)
    return [chunk async for chunk in chunks][-1]


async def chat_async(client: Client) -> object:
    return await client.aio.chats.create(model=MODEL).send_message("What is planted?")


@pytest.mark.parametrize("ask", [plain_async, stream_async, chat_async])
def test_every_asynchronous_way_too(told: Told, provider: ScriptedProvider, client: Client, ask: Any) -> None:
    async def asked() -> object:
        try:
            return await ask(client)
        finally:
            await aclose(client)

    provider.next(Answer(usage=USAGE))
    assert isinstance(asyncio.run(asked()), types.GenerateContentResponse)
    expect(told)


def test_vertex_ai_is_not_gemini(told: Told, provider: ScriptedProvider, vertex: Client) -> None:
    provider.next(Answer(usage={**USAGE, "trafficType": "ON_DEMAND"}))
    plain(vertex)
    assert "/projects/shop/locations/europe-west1/" in provider.last.path
    attributes = told.attributes()
    assert attributes["gen_ai.provider.name"] == "gcp.vertex_ai"
    assert attributes[COST] == PRICE
    assert told.tokens() == TOKENS


def test_provider_has_the_name_of_today_whatever_the_address(
    told: Told, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_KPI_GENAI_PROVIDERS")
    plain(client)
    assert told.attributes()["gen_ai.provider.name"] == "gcp.gemini"


# --- what is counted


def planted(bed: str) -> str:
    """What is planted in a bed."""
    return f"tulips in {bed}"


def test_each_request_of_a_call_with_functions_is_counted(
    told: Told, provider: ScriptedProvider, client: Client
) -> None:
    provider.next(Answer(usage=USAGE, tools=[("planted", {"bed": "one"})]), Answer(usage=USAGE))
    config = types.GenerateContentConfig(tools=[planted])
    answer = client.models.generate_content(model=MODEL, contents="What is planted?", config=config)
    assert answer.text == "Hello there, friend."
    [span] = [each for each in told.spans() if each.name.startswith("generate_content")]
    attributes = dict(span.attributes or {})
    assert attributes["gen_ai.usage.input_tokens"] == 214
    assert attributes["gen_ai.usage.output_tokens"] == 100
    assert told.tokens() == {kind: 2 * count for kind, count in TOKENS.items()}
    assert told.cost() == pytest.approx(2 * PRICE.expected)


def test_each_request_of_a_stream_with_functions_is_counted(
    told: Told, provider: ScriptedProvider, client: Client
) -> None:
    provider.next(Answer(usage=USAGE, tools=[("planted", {"bed": "one"})]), Answer(usage=USAGE))
    config = types.GenerateContentConfig(tools=[planted])
    list(client.models.generate_content_stream(model=MODEL, contents="What is planted?", config=config))
    assert len([each for each in told.spans() if each.name.startswith("generate_content")]) == 1
    assert told.tokens() == {kind: 2 * count for kind, count in TOKENS.items()}


def test_thoughts_are_counted_once_in_a_stream(
    told: Told, provider: ScriptedProvider, client: Client
) -> None:
    """While a model thinks there is no answer to count: each chunk has the thoughts so far."""
    thinking = {"content": {"parts": [{"text": "…", "thought": True}], "role": "model"}}
    answer = {"content": {"parts": [{"text": "Tulips."}], "role": "model"}, "finishReason": "STOP"}
    counts = {"promptTokenCount": 10}
    provider.next(
        Answer(
            body=[
                {"candidates": [thinking], "usageMetadata": {**counts, "thoughtsTokenCount": 10}},
                {"candidates": [thinking], "usageMetadata": {**counts, "thoughtsTokenCount": 20}},
                {
                    "candidates": [answer],
                    "usageMetadata": {**counts, "thoughtsTokenCount": 20, "candidatesTokenCount": 5},
                },
            ]
        )
    )
    stream(client)
    assert told.tokens() == {"input": 10, "reasoning": 20, "output": 5}
    assert told.attributes()["gen_ai.usage.output_tokens"] == 25


def test_modalities_are_told_apart(told: Told, provider: ScriptedProvider, client: Client) -> None:
    details = [
        {"modality": "TEXT", "tokenCount": 30},
        {"modality": "AUDIO", "tokenCount": 20},
        {"modality": "DOCUMENT", "tokenCount": 40},
        {"modality": "VIDEO", "tokenCount": 10},
    ]
    provider.next(
        Answer(
            usage={
                "promptTokenCount": 100,
                "promptTokensDetails": details,
                "candidatesTokenCount": 5,
                "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
            }
        )
    )
    plain(client)
    assert told.tokens() == {
        "input/text": 30,
        "input/audio": 20,
        "input/image": 40,
        "input/video": 10,
        "output/text": 5,
    }
    assert told.cost() == pytest.approx((80 * 0.3 + 20 * 1 + 5 * 2.5) / 1e6)


@pytest.mark.parametrize(("model", "price"), [("gemini-2.5-flash", 0.035), ("gemini-3.5-flash", 0.028)])
def test_searches_are_billed_by_prompt_or_each(
    told: Told, provider: ScriptedProvider, client: Client, model: str, price: float
) -> None:
    grounding = {"groundingMetadata": {"webSearchQueries": ["tulips", "beds", ""]}}
    provider.next(
        Answer(usage={"promptTokenCount": 0, "candidatesTokenCount": 0}, more={"candidate": grounding})
    )
    client.models.generate_content(model=model, contents="What is planted?")
    assert told.cost() == pytest.approx(price)


@pytest.mark.skipif(not hasattr(types, "ServiceTier"), reason="this version of the SDK has no tiers")
def test_tier_is_what_the_answer_says(told: Told, provider: ScriptedProvider, client: Client) -> None:
    """Asked for in the request; the answer may have been served by another."""
    config = types.GenerateContentConfig(service_tier=types.ServiceTier.FLEX)
    provider.next(Answer(usage=USAGE, headers={"x-gemini-service-tier": "standard"}), Answer(usage=USAGE))
    client.models.generate_content(model=MODEL, contents="What is planted?", config=config)
    assert told.cost() == PRICE
    client.models.generate_content(model=MODEL, contents="What is planted?", config=config)
    assert told.cost() == PRICE, "the standard price of what was served by another tier"


# --- interactions

INTERACTION = {
    "total_input_tokens": 100,
    "total_cached_tokens": 60,
    "total_tool_use_tokens": 7,
    "total_output_tokens": 40,
    "total_thought_tokens": 50,
    "total_tokens": 197,
}
has_interactions = pytest.mark.skipif(
    not hasattr(Client, "interactions"), reason="this version of the SDK has no interactions"
)


@has_interactions
@pytest.mark.parametrize("streamed", [False, True])
def test_interactions_are_counted_with_their_thoughts(
    told: Told, provider: ScriptedProvider, client: Client, *, streamed: bool
) -> None:
    provider.next(Answer(usage=INTERACTION))
    made: Any = client.interactions.create(model=MODEL, input="What is planted?", stream=streamed)
    if streamed:
        list(made)
    attributes = told.attributes()
    assert attributes["gen_ai.usage.input_tokens"] == 107
    assert attributes["gen_ai.usage.output_tokens"] == 90
    assert attributes[COST] == pytest.approx((47 * 0.3 + 60 * 0.03 + 90 * 2.5) / 1e6)
    assert told.tokens() == {"input": 40, "cache_read": 60, "tool": 7, "output": 40, "reasoning": 50}


def test_total_of_an_interaction_says_whether_thoughts_are_in_the_answer() -> None:
    usage = {"total_input_tokens": 10, "total_output_tokens": 30, "total_thought_tokens": 20}
    assert counts_of_interaction({**usage, "total_tokens": 40}, MODEL)["output_tokens"] == 30
    assert counts_of_interaction({**usage, "total_tokens": 60}, MODEL)["output_tokens"] == 50


def test_searches_of_an_interaction_are_counted() -> None:
    usage = {
        "grounding_tool_count": [{"type": "google_search", "count": 3}, {"type": "google_maps", "count": 1}]
    }
    assert counts_of_interaction(usage, "gemini-3.5-flash")["web_searches"] == 3
    assert counts_of_interaction(usage, MODEL)["web_searches"] == 1


# --- embeddings


def test_embeddings(told: Told, provider: ScriptedProvider, client: Client) -> None:
    provider.next(Answer(usage={"promptTokenCount": 9}))
    answer = client.models.embed_content(model="gemini-embedding-001", contents=["tulips", "beds"])
    assert isinstance(answer, types.EmbedContentResponse)
    attributes = told.attributes()
    assert told.span().name == "embeddings gemini-embedding-001"
    assert attributes["gen_ai.usage.input_tokens"] == 9
    assert attributes[COST] == pytest.approx(9 * 0.15 / 1e6)
    assert told.tokens() == {"input": 9}


def test_embeddings_of_vertex_ai_say_their_tokens_text_by_text(told: Told, vertex: Client) -> None:
    vertex.models.embed_content(model="text-embedding-005", contents=["tulips", "beds"])
    assert told.attributes()["gen_ai.usage.input_tokens"] == 8
    assert told.tokens() == {"input": 8}


# --- what goes wrong


def test_refusal_is_an_error_without_a_price(told: Told, provider: ScriptedProvider, client: Client) -> None:
    provider.next(Answer(status=429))
    with pytest.raises(errors.ClientError, match="429"):
        plain(client)
    assert told.span().status.status_code is StatusCode.ERROR
    assert told.attributes()["error.type"] == "429"
    assert told.cost() is None
    assert told.count("kpi_llm_unpriced_total") == 0


@pytest.mark.parametrize("asynchronous", [False, True])
def test_attempts_that_are_made_again_are_counted(
    told: Told, provider: ScriptedProvider, *, asynchronous: bool
) -> None:
    retries = types.HttpRetryOptions(attempts=3, initial_delay=0.01, max_delay=0.02, jitter=0)
    client = Client(api_key="none", http_options=options(provider, retry_options=retries))
    provider.next(Answer(status=429), Answer(status=503), Answer(usage=USAGE))

    async def asked() -> None:
        await plain_async(client)
        await aclose(client)

    if asynchronous:
        asyncio.run(asked())
    else:
        plain(client)
    close(client)
    expect(told)
    assert told.count("kpi_llm_retries_total", kpi_llm_retry_status="429") == 1
    assert told.count("kpi_llm_retries_total", kpi_llm_retry_status="503") == 1
    waits = told.measured.points("kpi_llm_retry_wait_seconds").values()
    assert 0.03 <= sum(point.sum for point in waits) < 0.1


def test_error_in_the_middle_of_a_stream(told: Told, provider: ScriptedProvider, client: Client) -> None:
    provider.next(Answer(usage=USAGE, error_after=1))
    try:
        stream(client)
    except errors.ServerError:
        pass
    else:
        pytest.skip("this version of the SDK keeps errors in a stream to itself")
    assert told.span().status.status_code is StatusCode.ERROR
    assert told.tokens() == {**TOKENS, "output": 13}, "what had come by then"
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="broken_off") == 1


def test_stream_that_is_left(told: Told, provider: ScriptedProvider, client: Client) -> None:
    provider.next(Answer(usage=USAGE))
    chunks = client.models.generate_content_stream(model=MODEL, contents="What is planted?")
    next(chunks)
    assert not trace.get_current_span().get_span_context().is_valid
    del chunks
    assert told.tokens() == {**TOKENS, "output": 13}
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="left") == 1


def test_stream_whose_task_is_cancelled(told: Told, provider: ScriptedProvider, client: Client) -> None:
    held = threading.Event()
    provider.next(Answer(usage=USAGE, hold=held, hold_from=1))

    async def asked() -> None:
        begun = asyncio.Event()

        async def reading() -> None:
            async for _ in await client.aio.models.generate_content_stream(model=MODEL, contents="Why?"):
                begun.set()

        task = asyncio.create_task(reading())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        held.set()
        await aclose(client)

    asyncio.run(asked())
    assert told.tokens() == {**TOKENS, "output": 13}
    assert told.count("kpi_llm_streams_abandoned_total", kpi_llm_reason="cancelled") == 1


def test_answer_without_a_usage_has_no_tokens_and_no_price(
    told: Told, provider: ScriptedProvider, client: Client
) -> None:
    provider.next(Answer(usage=None))
    plain(client)
    assert told.tokens() == {}
    assert told.count("kpi_llm_unpriced_total", kpi_llm_reason="no_usage") == 1


@pytest.mark.parametrize(
    ("usage", "fault"),
    [
        ({"promptTokenCount": -4, "candidatesTokenCount": 3}, "negative"),
        ({"promptTokenCount": 4, "candidatesTokenCount": 3, "cachedContentTokenCount": 9}, "inconsistent"),
    ],
)
def test_usage_that_cannot_be_true_is_said_and_not_counted(
    told: Told, provider: ScriptedProvider, client: Client, usage: Any, fault: str
) -> None:
    provider.next(Answer(usage=usage))
    plain(client)
    assert told.tokens() == {}
    assert told.attributes()["kpi.llm.usage.fault"] == fault


# --- the process around it


def test_events_of_other_packages_are_not_switched_on(client: Client) -> None:
    plain(client)
    assert "OTEL_INSTRUMENTATION_GENAI_EMIT_EVENT" not in os.environ


def test_usage_of_a_dictionary_is_read_as_well() -> None:
    assert counts_of({"prompt_token_count": 3})["input_tokens"] == 3
    assert counts_of(None) == {}


def test_credentials_that_fail_are_the_callers_error(told: Told, provider: ScriptedProvider) -> None:
    client = Client(
        vertexai=True,
        project="shop",
        location="europe-west1",
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call] # Google's have no types
        http_options=options(provider),
    )
    with pytest.raises(Exception, match="Anonymous"):
        plain(client)
    assert told.span().status.status_code is StatusCode.ERROR
    assert provider.requests == []


@pytest.mark.parametrize("embed", [False, True])
def test_a_provider_is_named_by_its_port_too(
    told: Told, client: Client, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch, *, embed: bool
) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{provider.port}=acme,127.0.0.1=gcp.gemini")
    if embed:
        client.models.embed_content(model="gemini-embedding-001", contents="What is planted?")
    else:
        client.models.generate_content(model=MODEL, contents="What is planted?")
    attributes = told.attributes()
    assert attributes["server.port"] == provider.port
    assert attributes["gen_ai.provider.name"] == "acme"
