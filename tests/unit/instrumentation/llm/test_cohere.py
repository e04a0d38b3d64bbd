"""Cohere's SDK: both versions of its API, what is billed and not what was seen, searches of rerank."""

from __future__ import annotations

import asyncio
from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, Any

import cohere
import pytest
from cohere.core.api_error import ApiError
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.llm import Answer, ScriptedProvider
from support.rearmed import disarmed, rearmed

from otel_kpi import llm
from otel_kpi.instrumentation.boundary import Boundary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Followed

MODEL = "command-a-03-2025"
HELLO: Any = [{"role": "user", "content": "hello"}]
V1: Any = {"model": "command-r-08-2024", "message": "hello"}
V2: Any = {"model": MODEL, "messages": HELLO}
EMBED: Any = {
    "model": "embed-v4.0",
    "texts": ["a", "b"],
    "input_type": "search_query",
    "embedding_types": ["float"],
}
RERANK: Any = {"model": "rerank-v3.5", "query": "which?", "documents": ["a", "b", "c"], "top_n": 2}


@pytest.fixture
def provider(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del followed
    # Between two attempts it waits a second and more.
    monkeypatch.setattr("cohere.core.http_client.INITIAL_RETRY_DELAY_SECONDS", 0.01)
    with ScriptedProvider() as scripted:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{scripted.port}=cohere")
        yield scripted


@pytest.fixture
def client(provider: ScriptedProvider) -> Iterator[cohere.ClientV2]:
    with cohere.ClientV2("none", base_url=provider.url) as found:
        yield found


def test_a_chat_has_what_is_billed(
    followed: Followed, provider: ScriptedProvider, client: cohere.ClientV2
) -> None:
    provider.next(
        Answer(
            usage={
                "billed_units": {"input_tokens": 1000, "output_tokens": 200},
                "tokens": {"input_tokens": 1400, "output_tokens": 230},
                "cached_tokens": 900,
            }
        )
    )
    answer = client.chat(**V2, temperature=0.3, p=0.8, k=4, max_tokens=99, stop_sequences=["x"], seed=3)
    assert type(answer).__name__ == "V2ChatResponse"
    span, attributes = followed.span(), followed.attributes()
    assert (span.name, span.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert (
        attributes.items()
        >= {
            "gen_ai.provider.name": "cohere",
            "gen_ai.request.model": MODEL,
            "gen_ai.request.temperature": 0.3,
            "gen_ai.request.top_p": 0.8,
            "gen_ai.request.top_k": 4,
            "gen_ai.request.max_tokens": 99,
            "gen_ai.request.stop_sequences": ("x",),
            "gen_ai.request.seed": 3,
            "gen_ai.response.id": answer.id,
            "gen_ai.response.finish_reasons": ("COMPLETE",),
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 200,
            "server.address": "127.0.0.1",
        }.items()
    )
    assert "kpi.llm.usage.reported" not in attributes
    assert followed.tokens() == {"input": 1000, "output": 200}
    # 2.50 and 10 dollars a million.
    assert attributes["gen_ai.usage.cost.amount"] == pytest.approx(0.0045)


def test_without_a_bill_what_was_seen_counts(
    followed: Followed, provider: ScriptedProvider, client: cohere.ClientV2
) -> None:
    provider.next(
        Answer(usage={"tokens": {"input_tokens": 100.0, "output_tokens": 7.0}, "cached_tokens": 60.0})
    )
    client.chat(**V2)
    assert followed.tokens() == {"input": 40, "cache_read": 60, "output": 7}


# Cohere's own: it reads answers of the first version as pydantic's did.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("version", "method", "given", "name", "tokens"),
    [
        (2, "chat", V2, f"chat {MODEL}", {"input": 10, "output": 5}),
        (1, "chat", V1, "chat command-r-08-2024", {"input": 10, "output": 5}),
        (2, "embed", EMBED, "embeddings embed-v4.0", {"input": 4}),
        (1, "embed", EMBED, "embeddings embed-v4.0", {"input": 4}),
        (2, "rerank", RERANK, "retrieval", {}),
        (1, "rerank", RERANK, "retrieval", {}),
    ],
)
def test_every_operation_is_one_span(  # noqa: PLR0913, PLR0917 - fixtures and a case
    followed: Followed,
    provider: ScriptedProvider,
    version: int,
    method: str,
    given: dict[str, Any],
    name: str,
    tokens: dict[str, int],
    *,
    awaited: bool,
) -> None:
    async def ask() -> None:
        cls = cohere.AsyncClientV2 if version == 2 else cohere.AsyncClient
        async with cls("none", base_url=provider.url) as client:
            await getattr(client, method)(**given)

    if awaited:
        asyncio.run(ask())
    else:
        cls = cohere.ClientV2 if version == 2 else cohere.Client
        with cls("none", base_url=provider.url) as client:
            getattr(client, method)(**given)
    assert [asked.route for asked in provider.requests] == [f"/v{version}/{method}"]
    assert (followed.span().name, followed.tokens()) == (name, tokens)


def test_searches_of_rerank_are_billed_and_have_no_price(followed: Followed, client: cohere.ClientV2) -> None:
    with llm.context(tenant="acme"):
        client.rerank(**RERANK)
    attributes = followed.attributes()
    assert attributes["gen_ai.request.model"] == "rerank-v3.5"
    assert attributes["gen_ai.retrieval.top_k"] == 2
    assert attributes["kpi.tenant"] == "acme"
    assert "kpi.llm.unpriced.reason" in attributes
    assert set(followed.counted("kpi_llm_unpriced_total", "kpi_tenant")) == {"acme"}


def test_a_raw_answer_is_followed_too(followed: Followed, client: cohere.ClientV2) -> None:
    answer = client.with_raw_response.chat(**V2)
    assert answer.headers["content-type"] == "application/json"
    assert followed.tokens() == {"input": 10, "output": 5}


# --- streams


@pytest.mark.parametrize(("version", "given"), [(1, V1), (2, V2)])
def test_a_stream_is_a_generator_and_its_usage_is_counted(
    followed: Followed, provider: ScriptedProvider, version: int, given: dict[str, Any]
) -> None:
    cls = cohere.ClientV2 if version == 2 else cohere.Client
    with cls("none", base_url=provider.url) as client:
        stream: Any = client.chat_stream(**given)
        assert type(stream) is GeneratorType
        assert provider.requests == followed.spans() == []
        first = next(stream)
        assert not trace.get_current_span().is_recording()
        rest = list(stream)
    kinds = [getattr(event, "type", None) or event.event_type for event in (first, *rest)]
    assert kinds[-1] == ("message-end" if version == 2 else "stream-end")
    attributes = followed.attributes()
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["gen_ai.response.finish_reasons"] == ("COMPLETE",)
    assert followed.tokens() == {"input": 10, "output": 5}
    assert followed.abandoned() == {}


def test_an_asynchronous_stream(followed: Followed, provider: ScriptedProvider) -> None:
    async def read() -> int:
        async with cohere.AsyncClientV2("none", base_url=provider.url) as client:
            stream = client.chat_stream(**V2)
            assert type(stream) is AsyncGeneratorType
            return len([event async for event in stream])

    assert asyncio.run(read()) == 7
    assert followed.tokens() == {"input": 10, "output": 5}


def test_a_stream_belongs_where_it_was_asked_for(followed: Followed, client: cohere.ClientV2) -> None:
    with trace.get_tracer("shop").start_as_current_span("order") as order, llm.context(tenant="acme"):
        stream = client.chat_stream(**V2)
    list(stream)
    parent = followed.span().parent
    assert parent is not None
    assert parent.span_id == order.get_span_context().span_id
    assert followed.attributes()["kpi.tenant"] == "acme"


def test_a_stream_that_is_left(followed: Followed, client: cohere.ClientV2) -> None:
    for event in client.chat_stream(**V2):
        if event.type == "content-delta":
            break
    assert followed.abandoned() == {"left": 1}
    assert followed.span().status.status_code is StatusCode.UNSET


def test_a_stream_that_is_cancelled(followed: Followed, provider: ScriptedProvider) -> None:
    async def read() -> None:
        async with cohere.AsyncClientV2("none", base_url=provider.url) as client:

            async def drain() -> None:
                async for _ in client.chat_stream(**V2):
                    begun.set()
                    await asyncio.Event().wait()

            begun = asyncio.Event()
            task = asyncio.create_task(drain())
            await begun.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(read())
    assert list(followed.abandoned().values()) == [1]


def test_an_error_in_mid_stream_is_on_the_span(
    followed: Followed, provider: ScriptedProvider, client: cohere.ClientV2
) -> None:
    provider.next(Answer(error_after=3))
    assert [event.type for event in client.chat_stream(**V2)][-1] == "message-end"
    assert followed.span().status.status_code is StatusCode.ERROR
    assert followed.attributes()["error.type"] == "provider_error"


# --- attempts, errors, usages that are none


def test_an_attempt_that_is_made_again_is_counted(
    followed: Followed, provider: ScriptedProvider, client: cohere.ClientV2
) -> None:
    limits = {"retry-after-ms": "10", "x-ratelimit-remaining-requests": "0"}
    provider.next(Answer(status=429, headers=limits), Answer(status=503), Answer())
    client.chat(**V2)
    assert len(provider.requests) == 3
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"429": 1, "503": 1}
    assert followed.counted("kpi_llm_retry_wait_seconds", "kpi_llm_retry_status")["429"] == pytest.approx(
        0.01
    )
    assert followed.tokens() == {"input": 10, "output": 5}


def test_an_error_is_the_sdks_own(
    followed: Followed, provider: ScriptedProvider, client: cohere.ClientV2
) -> None:
    provider.next(Answer(status=401))
    with pytest.raises(ApiError) as raised:
        client.chat(**V2)
    assert raised.value.status_code == 401
    assert followed.attributes()["error.type"] == "cohere.errors.unauthorized_error.UnauthorizedError"


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"billed_units": {"input_tokens": -3, "output_tokens": 1}}, {"negative": 1}),
        ({"billed_units": {"input_tokens": 1.5, "output_tokens": 1}}, {"not_a_number": 1}),
        ({"billed_units": {}, "tokens": {}}, {}),
        (None, {}),
    ],
)
def test_a_usage_that_is_none(
    followed: Followed,
    provider: ScriptedProvider,
    client: cohere.ClientV2,
    usage: dict[str, Any] | None,
    counted: dict[str, int],
) -> None:
    provider.next(Answer(usage=usage))
    assert client.chat(**V2).message
    assert followed.counted("kpi_llm_usage_faults_total", "kpi_llm_reason") == counted
    assert followed.tokens() == {}
    assert sum(followed.counted("kpi_llm_unpriced_total", "kpi_llm_reason").values()) == 1


# --- in its place


def test_what_is_said_is_kept_by_consent_only(
    followed: Followed, client: cohere.ClientV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.chat(**V2)
    assert "hello" not in followed.span().to_json()
    with monkeypatch.context() as patched:
        patched.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
        with rearmed():
            list(client.chat_stream(**V2))
            patched.undo()
    kept = dict(followed.spans()[-1].attributes or {})
    assert "hello" in str(kept["gen_ai.input.messages"])
    assert "Hello there, friend." in str(kept["gen_ai.output.messages"])


def test_a_fault_of_ours_does_not_reach_the_application(
    followed: Followed, client: cohere.ClientV2, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("otel_kpi.instrumentation.llm.cohere._read_usage", broken)
    assert client.chat(**V2).message
    assert len(list(client.chat_stream(**V2))) == 7
    assert len(followed.spans()) == 2
    assert Boundary("cohere").errors == 2
    Boundary("cohere").reset()


def test_nothing_is_left_when_it_is_taken_back(followed: Followed, client: cohere.ClientV2) -> None:
    with disarmed():
        client.chat(**V2)
        list(client.chat_stream(**V2))
    assert followed.spans() == []


@pytest.mark.parametrize(
    ("units", "reason"),
    [
        ({"input_tokens": -1000, "output_tokens": 200}, "negative"),
        ({"input_tokens": 10.5, "output_tokens": 2}, "not_a_number"),
        ({"input_tokens": 1e300, "output_tokens": 2}, "not_a_number"),
    ],
)
def test_a_usage_that_cannot_be_true_harms_no_call(
    followed: Followed, provider: ScriptedProvider, client: cohere.ClientV2, units: Any, reason: str
) -> None:
    provider.next(Answer(usage={"billed_units": units}))
    assert client.chat(**V2).message
    assert followed.counted("kpi_llm_usage_faults_total", "kpi_llm_reason") == {reason: 1}
    assert followed.tokens() == {}
    assert "gen_ai.usage.cost.amount" not in followed.attributes()
