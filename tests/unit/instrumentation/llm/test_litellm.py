"""LiteLLM: one call is one span whatever SDK is inside, in its own words for providers, with its Router and its cache."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
import types
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanKind, StatusCode
from support.llm import Answer, ScriptedProvider
from support.rearmed import disarmed, rearmed

from otel_kpi import llm
from otel_kpi.instrumentation.boundary import Boundary

# Else it asks for its table of prices on the network, three times, when it is imported.
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
import litellm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.llm import Asked

    from .conftest import Followed

pytestmark = [
    # Four seconds until it is imported.
    pytest.mark.proof,
    # Its types make pydantic warn, and it leaves connections and loops to the garbage collector.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HELLO: Any = [{"role": "user", "content": "hello"}]
MODEL = "gpt-4o-mini"
USAGE = {"prompt_tokens": 1000, "completion_tokens": 200, "total_tokens": 1200}
_litellm: Any = litellm


@pytest.fixture
def provider(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedProvider]:
    del followed
    monkeypatch.setattr(_litellm, "suppress_debug_info", True)
    with ScriptedProvider() as scripted:
        yield scripted


@pytest.fixture
def ask(provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Arguments of a call whose address is taken for OpenAI's."""
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{provider.port}=openai")
    return {"model": MODEL, "messages": HELLO, "api_base": f"{provider.url}/v1", "api_key": "none"}


def test_a_call_is_one_span_although_there_is_an_sdk_inside(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any]
) -> None:
    provider.next(Answer(usage=USAGE))
    answer = _litellm.completion(**ask, temperature=0.5, max_tokens=30, stop="x", seed=2)
    assert type(answer) is _litellm.ModelResponse
    span, attributes = followed.span(), followed.attributes()
    assert (span.name, span.kind) == (f"chat {MODEL}", SpanKind.CLIENT)
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "otel_kpi.instrumentation.llm.litellm"
    assert (
        attributes.items()
        >= {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": MODEL,
            "gen_ai.request.temperature": 0.5,
            "gen_ai.request.max_tokens": 30,
            "gen_ai.request.stop_sequences": ("x",),
            "gen_ai.request.seed": 2,
            "gen_ai.response.model": MODEL,
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": 1000,
            "gen_ai.usage.output_tokens": 200,
            "gen_ai.usage.cost.source": "local",
            "server.address": "127.0.0.1",
            "server.port": provider.port,
        }.items()
    )
    # 0.15 and 0.60 dollars a million, once.
    assert followed.tokens() == {"input": 1000, "output": 200}
    assert sum(followed.counted("kpi_llm_cost_total", "gen_ai_provider_name").values()) == pytest.approx(
        0.00027
    )
    points = [
        point
        for point in followed.captured.points("gen_ai.client.operation.duration")
        if point.attributes.get("server.port") == provider.port
    ]
    assert sum(point.count for point in points) == 1


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("operation", ["completion", "text_completion", "responses", "embedding"])
def test_every_operation_is_one_span(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any], operation: str, *, awaited: bool
) -> None:
    del ask["messages"]
    given: dict[str, Any] = {
        "completion": {"messages": HELLO},
        "text_completion": {"model": "gpt-3.5-turbo-instruct", "prompt": "hello"},
        "responses": {"input": "hello"},
        "embedding": {"model": "text-embedding-3-small", "input": ["a", "b"]},
    }[operation]
    given = ask | given

    async def wait() -> None:
        await getattr(_litellm, f"a{operation}")(**given)

    if awaited:
        asyncio.run(wait())
    else:
        getattr(_litellm, operation)(**given)
    assert len(provider.requests) == 1
    expected = {
        "completion": (f"chat {MODEL}", {"input": 10, "output": 5}),
        "text_completion": ("text_completion gpt-3.5-turbo-instruct", {"input": 10, "output": 5}),
        "responses": (f"chat {MODEL}", {"input": 10, "output": 5}),
        "embedding": ("embeddings text-embedding-3-small", {"input": 10}),
    }[operation]
    assert (followed.span().name, followed.tokens()) == expected
    assert followed.attributes()["gen_ai.provider.name"] == "openai"


def test_anothers_protocol_is_read_as_litellm_reads_it(
    followed: Followed, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{provider.port}=anthropic")
    given = {
        "model": "anthropic/claude-sonnet-4-5",
        "messages": HELLO,
        "api_base": provider.url,
        "api_key": "none",
    }
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 7,
        "output_tokens": 5,
    }
    provider.next(Answer(usage=usage))
    _litellm.completion(**given)
    assert followed.span().name == "chat claude-sonnet-4-5"
    assert followed.attributes()["gen_ai.provider.name"] == "anthropic"
    assert followed.tokens() == {"input": 10, "cache_read": 100, "cache_write": 7, "output": 5}
    # Where the application asked for no usage LiteLLM keeps it to itself; it is known all the same.
    parts = list(_litellm.completion(**given, stream=True))
    assert not any(getattr(part, "usage", None) for part in parts)
    assert followed.tokens() == {"input": 20, "cache_read": 100, "cache_write": 7, "output": 10}


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("azure/gpt-4o", "azure.ai.openai"),
        ("groq/llama-3.3-70b", "groq"),
        ("xai/grok-4", "x_ai"),
        ("vertex_ai/gemini-2.5-pro", "gcp.vertex_ai"),
        ("mistral/mistral-small-latest", "mistral_ai"),
        ("claude-sonnet-4-5", "anthropic"),
        ("nobody-knows", "_OTHER"),
    ],
)
def test_providers_have_opentelemetrys_names(followed: Followed, model: str, word: str) -> None:
    del followed
    from otel_kpi.instrumentation.llm.litellm import _provider

    assert _provider({"model": model}) == word


# --- streams


def test_a_stream_is_litellms_and_is_one_span(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any]
) -> None:
    stream = _litellm.completion(**ask, stream=True, stream_options={"include_usage": True})
    assert isinstance(stream, _litellm.CustomStreamWrapper)
    assert not trace.get_current_span().is_recording()
    parts = list(stream)
    assert parts[-1].usage.prompt_tokens == 10
    assert len(provider.requests) == 1
    attributes = followed.attributes()
    assert attributes["gen_ai.request.stream"] is True
    assert attributes["gen_ai.response.time_to_first_chunk"] > 0
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert followed.tokens() == {"input": 10, "output": 5}
    assert followed.abandoned() == {}


def test_an_asynchronous_stream(followed: Followed, ask: dict[str, Any]) -> None:
    async def read() -> int:
        stream = await _litellm.acompletion(**ask, stream=True, stream_options={"include_usage": True})
        return len([part async for part in stream])

    assert asyncio.run(read()) > 3
    assert followed.tokens() == {"input": 10, "output": 5}


def test_a_stream_of_responses(followed: Followed, ask: dict[str, Any]) -> None:
    del ask["messages"]
    kinds = [str(event.type) for event in _litellm.responses(**ask, input="hello", stream=True)]
    assert "completed" in kinds[-1].lower()
    assert followed.tokens() == {"input": 10, "output": 5}


def test_a_stream_that_is_dropped(followed: Followed, ask: dict[str, Any]) -> None:
    stream = _litellm.completion(**ask, stream=True)
    next(stream)
    del stream
    gc.collect()
    assert followed.abandoned() == {"left": 1}
    assert len(followed.spans()) == 1


# --- attempts, fallbacks, errors


def test_attempts_of_litellms_own_are_counted(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any]
) -> None:
    provider.next(Answer(status=500), Answer(status=503), Answer())
    given = ask | {"model": "anthropic/claude-sonnet-4-5", "api_base": provider.url}
    _litellm.completion(**given, num_retries=3)
    assert len(provider.requests) == 3
    assert len(followed.spans()) == 1
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"500": 1, "503": 1}
    assert followed.tokens() == {"input": 10, "output": 5}


def test_attempts_of_the_sdk_inside_are_counted(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any]
) -> None:
    provider.next(Answer(status=429, headers={"retry-after-ms": "5"}), Answer())
    _litellm.completion(**ask, max_retries=2)
    assert len(followed.spans()) == 1
    assert followed.counted("kpi_llm_retries_total", "kpi_llm_retry_status") == {"429": 1}
    assert followed.tokens() == {"input": 10, "output": 5}


def test_a_fallback_of_the_router_is_a_call_of_its_own(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any]
) -> None:
    def rule(asked: Asked) -> Answer:
        return Answer(status=500 if asked.json["model"] == "gpt-4o" else 200)

    provider.rule = rule
    where = {"api_base": ask["api_base"], "api_key": "none", "max_retries": 0}
    router = _litellm.Router(
        model_list=[
            {"model_name": "first", "litellm_params": {"model": "openai/gpt-4o", **where}},
            {"model_name": "second", "litellm_params": {"model": "openai/gpt-4o-mini", **where}},
        ],
        fallbacks=[{"first": ["second"]}],
        num_retries=0,
    )
    assert router.completion(model="first", messages=HELLO).choices
    failed, answered = followed.spans()
    assert (failed.name, answered.name) == ("chat gpt-4o", "chat gpt-4o-mini")
    assert failed.status.status_code is StatusCode.ERROR
    assert followed.tokens() == {"input": 10, "output": 5}


def test_an_error_is_litellms_own(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any]
) -> None:
    provider.next(Answer(status=401))
    with pytest.raises(_litellm.AuthenticationError):
        _litellm.completion(**ask)
    assert followed.attributes()["error.type"] == "litellm.exceptions.AuthenticationError"
    assert followed.series.points("kpi_llm_unpriced_total") == {}


def test_what_litellm_remembers_was_not_asked_for(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from litellm.caching.caching import Cache

    # LiteLLM 1.106 asks for it wherever an answer is logged, and does not depend on it.
    monkeypatch.setitem(sys.modules, "soundfile", types.ModuleType("soundfile"))
    monkeypatch.setattr(_litellm, "cache", None)
    for name in ("input_callback", "success_callback", "_async_success_callback"):
        monkeypatch.setattr(_litellm, name, list(getattr(_litellm, name)))
    _litellm.cache = Cache()
    first, second = _litellm.completion(**ask), _litellm.completion(**ask)
    assert first.id == second.id
    assert len(provider.requests) == 1
    assert followed.tokens() == {"input": 10, "output": 5}
    assert dict(followed.spans()[1].attributes or {})["kpi.llm.cached"] is True
    del ask["messages"]
    for _ in range(2):
        _litellm.embedding(**ask | {"model": "text-embedding-3-small", "input": ["a"]})
    assert len(provider.requests) == 2
    assert followed.tokens() == {"input": 20, "output": 5}
    assert dict(followed.spans()[3].attributes or {})["kpi.llm.cached"] is True


# --- usages that are none


def test_nought_three_times_is_no_usage(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any]
) -> None:
    provider.next(Answer(usage=None))
    assert _litellm.completion(**ask).usage.prompt_tokens == 0
    assert "gen_ai.usage.input_tokens" not in followed.attributes()
    assert followed.counted("kpi_llm_unpriced_total", "kpi_llm_reason") == {"no_usage": 1}


def test_what_litellm_works_out_is_not_what_the_provider_charged(
    followed: Followed, ask: dict[str, Any]
) -> None:
    answer = _litellm.completion(**ask)
    assert answer._hidden_params["response_cost"] > 0
    assert followed.attributes()["gen_ai.usage.cost.source"] == "local"


def test_what_openrouter_charged_wins(
    followed: Followed, provider: ScriptedProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{provider.port}=openrouter")
    provider.next(Answer(usage=USAGE | {"cost": 0.0125}))
    _litellm.completion(
        model="openrouter/openai/gpt-4o-mini", messages=HELLO, api_base=f"{provider.url}/v1", api_key="none"
    )
    attributes = followed.attributes()
    assert attributes["gen_ai.usage.cost.source"] == "provider"
    assert attributes["gen_ai.usage.cost.amount"] == pytest.approx(0.0125)


# --- in its place


def test_callbacks_are_not_disturbed(
    followed: Followed, ask: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    del followed
    told: list[Any] = []
    monkeypatch.setattr(_litellm, "input_callback", [told.append])
    _litellm.completion(**ask)
    assert told[0]["model"] == MODEL


def test_what_is_said_is_kept_by_consent_only(
    followed: Followed, ask: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _litellm.completion(**ask)
    assert "hello" not in followed.span().to_json()
    with monkeypatch.context() as patched:
        patched.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "SPAN_ONLY")
        with rearmed():
            list(_litellm.completion(**ask, stream=True))
            patched.undo()
    kept = dict(followed.spans()[-1].attributes or {})
    assert "hello" in str(kept["gen_ai.input.messages"])
    assert "Hello there, friend." in str(kept["gen_ai.output.messages"])


def test_whose_it_is(followed: Followed, ask: dict[str, Any]) -> None:
    with llm.context(tenant="acme"):
        _litellm.completion(**ask)
    assert followed.attributes()["kpi.tenant"] == "acme"


def test_a_fault_of_ours_does_not_reach_the_application(
    followed: Followed, ask: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("otel_kpi.instrumentation.llm.litellm._read_top", broken)
    assert _litellm.completion(**ask).choices
    assert len(followed.spans()) == 1
    assert Boundary("litellm").errors == 1
    Boundary("litellm").reset()


def test_nothing_is_left_when_it_is_taken_back(followed: Followed, ask: dict[str, Any]) -> None:
    with disarmed():
        _litellm.completion(**ask)
    assert followed.spans() == []


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 5, "total_tokens": 4},
        {
            "prompt_tokens": 5,
            "completion_tokens": 5,
            "total_tokens": 10,
            "prompt_tokens_details": {"cached_tokens": 90},
        },
    ],
)
def test_a_usage_that_cannot_be_true_harms_no_call(
    followed: Followed, provider: ScriptedProvider, ask: dict[str, Any], usage: Any
) -> None:
    provider.next(Answer(usage=usage))
    assert _litellm.completion(**ask).choices
    assert sum(followed.counted("kpi_llm_usage_faults_total", "kpi_llm_reason").values()) == 1
    assert "gen_ai.usage.cost.amount" not in followed.attributes()
    assert followed.tokens() == {}


@pytest.mark.parametrize("count", [[None], -1, "many"], ids=str)
def test_a_count_of_the_sdk_inside_that_cannot_be_is_recorded_by_nobody(
    followed: Followed,
    provider: ScriptedProvider,
    ask: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    count: object,
) -> None:
    boundary = Boundary("litellm")
    boundary.reset()
    provider.next(Answer(usage={**USAGE, "completion_tokens": count}))
    with caplog.at_level("WARNING", "opentelemetry"), contextlib.suppress(Exception):
        _litellm.completion(**ask)  # what it makes of it is its own affair
    assert boundary.errors == 0
    assert [record.getMessage() for record in caplog.records if "Histogram" in record.getMessage()] == []
    assert len(followed.spans()) == 1
