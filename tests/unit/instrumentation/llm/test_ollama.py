"""Ollama's client: each operation is one span, streams are its generators, a model at home has no price of others."""

from __future__ import annotations

import asyncio
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

import ollama
import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.llm import Answer, ScriptedProvider
from support.rearmed import disarmed, rearmed

from otel_kpi import llm
from otel_kpi.instrumentation.boundary import Boundary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Followed

MODEL = "llama3.2"
HELLO: Any = [{"role": "user", "content": "hello"}]
GIVEN: dict[str, dict[str, Any]] = {
    "chat": {"model": MODEL, "messages": HELLO},
    "generate": {"model": MODEL, "prompt": "hello"},
    "embed": {"model": "nomic-embed-text", "input": ["a", "b"]},
    "embeddings": {"model": "nomic-embed-text", "prompt": "a"},
}
EXPECTED: dict[str, tuple[str, dict[str, int]]] = {
    "chat": (f"chat {MODEL}", {"input": 10, "output": 5}),
    "generate": (f"text_completion {MODEL}", {"input": 10, "output": 5}),
    "embed": ("embeddings nomic-embed-text", {"input": 4}),
    "embeddings": ("embeddings nomic-embed-text", {}),
}


@pytest.fixture
def provider(followed: Followed) -> Iterator[ScriptedProvider]:
    del followed
    with ScriptedProvider() as scripted:
        yield scripted


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[ollama.Client]:
    with ollama.Client(provider.url) as found:
        yield found


def test_a_chat_is_a_span_with_what_was_asked_and_answered(
    followed: Followed, provider: ScriptedProvider, client: ollama.Client
) -> None:
    options = {"temperature": 0.1, "num_predict": 20, "stop": ["x"], "top_k": 3, "seed": 5}
    answer = client.chat(MODEL, HELLO, options=options)
    assert type(answer) is ollama.ChatResponse
    span, attributes = followed.span(), followed.attributes()
    assert (span.name, span.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert (
        attributes.items()
        >= {
            "gen_ai.provider.name": "ollama",
            "gen_ai.request.model": MODEL,
            "gen_ai.request.temperature": 0.1,
            "gen_ai.request.max_tokens": 20,
            "gen_ai.request.stop_sequences": ("x",),
            "gen_ai.request.top_k": 3,
            "gen_ai.request.seed": 5,
            "gen_ai.response.model": MODEL,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 10,
            "gen_ai.usage.output_tokens": 5,
            "server.address": "127.0.0.1",
            "server.port": provider.port,
        }.items()
    )
    assert followed.tokens() == {"input": 10, "output": 5}


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("operation", list(GIVEN))
def test_every_operation_is_one_span(
    followed: Followed, provider: ScriptedProvider, operation: str, *, awaited: bool
) -> None:
    async def ask() -> None:
        async with ollama.AsyncClient(provider.url) as client:
            await getattr(client, operation)(**GIVEN[operation])

    if awaited:
        asyncio.run(ask())
    else:
        with ollama.Client(provider.url) as client:
            getattr(client, operation)(**GIVEN[operation])
    assert len(provider.requests) == 1
    assert (followed.span().name, followed.tokens()) == EXPECTED[operation]


def test_a_model_at_home_has_no_price_of_others(followed: Followed, client: ollama.Client) -> None:
    client.chat("gpt-4o-mini", HELLO)
    assert followed.series.points("kpi_llm_cost_total") == {}
    assert sum(followed.counted("kpi_llm_unpriced_total", "kpi_llm_reason").values()) == 1


@pytest.mark.parametrize("operation", ["chat", "generate"])
def test_a_stream_is_a_generator_and_its_usage_is_counted(
    followed: Followed, provider: ScriptedProvider, client: ollama.Client, operation: str
) -> None:
    stream: Any = getattr(client, operation)(**GIVEN[operation], stream=True)
    assert type(stream) is GeneratorType
    assert provider.requests == followed.spans() == []
    next(stream)
    assert not trace.get_current_span().is_recording()
    assert len(list(stream)) == 3
    attributes = followed.attributes()
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert followed.tokens() == {"input": 10, "output": 5}
    assert followed.abandoned() == {}


def test_an_asynchronous_stream(followed: Followed, provider: ScriptedProvider) -> None:
    async def read() -> int:
        async with ollama.AsyncClient(provider.url) as client:
            stream = await client.chat(MODEL, HELLO, stream=True)
            assert type(stream) is AsyncGeneratorType
            return len([part async for part in stream])

    assert asyncio.run(read()) == 4
    assert followed.tokens() == {"input": 10, "output": 5}


def test_a_stream_that_is_left(followed: Followed, client: ollama.Client) -> None:
    for _ in client.chat(MODEL, HELLO, stream=True):
        break
    assert followed.abandoned() == {"left": 1}
    assert followed.tokens() == {}


def test_a_stream_that_nobody_reads_asks_nobody(
    followed: Followed, provider: ScriptedProvider, client: ollama.Client
) -> None:
    client.chat(MODEL, HELLO, stream=True)
    assert provider.requests == followed.spans() == []


def test_an_error_in_mid_stream_is_the_sdks_own(
    followed: Followed, provider: ScriptedProvider, client: ollama.Client
) -> None:
    provider.next(Answer(error_after=2))
    with pytest.raises(ollama.ResponseError, match="scripted"):
        list(client.chat(MODEL, HELLO, stream=True))
    assert followed.span().status.status_code is StatusCode.ERROR
    assert followed.attributes()["error.type"] == "ollama._types.ResponseError"
    assert followed.abandoned() == {"broken_off": 1}


def test_an_error_is_the_sdks_own(
    followed: Followed, provider: ScriptedProvider, client: ollama.Client
) -> None:
    provider.next(Answer(status=404, error="model not found"))
    with pytest.raises(ollama.ResponseError) as raised:
        client.chat(MODEL, HELLO)
    assert raised.value.status_code == 404
    assert followed.span().status.status_code is StatusCode.ERROR


@pytest.mark.parametrize(
    ("usage", "counted"),
    [({"prompt_eval_count": -1, "eval_count": 2}, {"negative": 1}), ({"eval_count": 2}, {}), (None, {})],
)
def test_a_usage_that_is_none(
    followed: Followed,
    provider: ScriptedProvider,
    client: ollama.Client,
    usage: dict[str, Any] | None,
    counted: dict[str, int],
) -> None:
    provider.next(Answer(usage=usage))
    client.chat(MODEL, HELLO)
    assert followed.counted("kpi_llm_usage_faults_total", "kpi_llm_reason") == counted
    assert "gen_ai.usage.input_tokens" not in followed.attributes()


def test_the_functions_of_the_package_are_followed(
    followed: Followed, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_client: Any = getattr(ollama.chat, "__self__")  # noqa: B009 - a bound method
    monkeypatch.setattr(package_client._client, "base_url", provider.url)
    ollama.chat(MODEL, HELLO)
    assert len(followed.spans()) == 1
    with disarmed():
        ollama.chat(MODEL, HELLO)
    assert len(followed.spans()) == 1
    package_client.close()


def test_what_is_said_is_kept_by_consent_only(
    followed: Followed, client: ollama.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.chat(MODEL, HELLO)
    assert "hello" not in followed.span().to_json()
    with monkeypatch.context() as patched:
        patched.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
        with rearmed():
            list(client.generate(MODEL, "hello", stream=True))
            patched.undo()
    kept = dict(followed.spans()[-1].attributes or {})
    assert "hello" in str(kept["gen_ai.input.messages"])
    assert "Hello there, friend." in str(kept["gen_ai.output.messages"])


def test_whose_it_is(followed: Followed, client: ollama.Client) -> None:
    with llm.context(tenant="acme"):
        stream = client.chat(MODEL, HELLO, stream=True)
    list(stream)
    assert followed.attributes()["kpi.tenant"] == "acme"


def test_a_fault_of_ours_does_not_reach_the_application(
    followed: Followed, client: ollama.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("otel_kpi._compat.llm_clients.ollama_url", broken)
    assert client.chat(MODEL, HELLO).message.content
    assert len(list(client.chat(MODEL, HELLO, stream=True))) == 4
    assert followed.spans() == []
    assert Boundary("ollama").errors == 2
    Boundary("ollama").reset()


@pytest.mark.parametrize("usage", [{"prompt_eval_count": -5, "eval_count": 3}, {"eval_count": -1}])
@pytest.mark.parametrize("stream", [False, True])
def test_a_usage_that_cannot_be_true_harms_no_call(
    followed: Followed,
    provider: ScriptedProvider,
    client: ollama.Client,
    usage: Any,
    stream: bool,  # noqa: FBT001 - a case
) -> None:
    provider.next(Answer(usage=usage))
    answer = client.chat(MODEL, HELLO, stream=stream)
    assert list(answer)
    assert followed.counted("kpi_llm_usage_faults_total", "kpi_llm_reason") == {"negative": 1}
    assert followed.tokens() == {}
