"""LangChain and LangGraph over real SDKs: each request is counted once, whoever has an instrumentor."""

from __future__ import annotations

import asyncio
import gc
import sys
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import OpenAI
from support.children import environment, run
from support.llm import Answer
from support.llm.ledger import MODELS, Ledger, ledger

from otel_kpi import instrumentation, llm
from otel_kpi.instrumentation.llm.langchain import counts_of, endpoint_of

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured

BOTH: frozenset[str] = frozenset()
FRAMEWORK_ALONE = frozenset({"openai", "anthropic"})
PROVIDER_ALONE = frozenset({"langchain"})
QUESTION: Any = {"messages": [("user", "hi")]}


@pytest.fixture(
    params=[
        pytest.param(BOTH, id="both"),
        pytest.param(FRAMEWORK_ALONE, id="framework", marks=pytest.mark.proof),
        pytest.param(PROVIDER_ALONE, id="provider", marks=pytest.mark.proof),
    ]
)
def book(
    request: pytest.FixtureRequest, captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Ledger]:
    """A book, with the instrumentors of both, of LangChain alone, of the providers' packages alone."""
    yield from _book(captured, monkeypatch, request.param)


@pytest.fixture
def both(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    yield from _book(captured, monkeypatch, BOTH)


@pytest.fixture
def alone(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    yield from _book(captured, monkeypatch, FRAMEWORK_ALONE)


def _book(captured: Captured, monkeypatch: pytest.MonkeyPatch, left_out: frozenset[str]) -> Iterator[Ledger]:
    with ledger(captured, monkeypatch) as book:
        monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=openai")
        instrumentation.uninstall()
        instrumentation.install(disabled=left_out)
        yield book


def model(book: Ledger, **options: Any) -> ChatOpenAI:
    given: dict[str, Any] = {"max_retries": 0, "stream_usage": True, **options}
    return ChatOpenAI(model=MODELS["openai"], base_url=book.openai, **given)


def of_anthropic(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> ChatAnthropic:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=anthropic")
    return ChatAnthropic(model_name=MODELS["anthropic"], base_url=book.provider.url, max_retries=0)  # pyright: ignore[reportCallIssue] - its aliases


def drain(chunks: Any) -> None:
    for _ in chunks:
        pass


async def drained(chunks: Any) -> None:
    async for _ in chunks:
        pass


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(book: Ledger, span: ReadableSpan) -> str | None:
    names = {each.context.span_id: each.name for each in book.captured.spans() if each.context}
    return names.get(span.parent.span_id) if span.parent else None


# --- each request once


def test_a_call(book: Ledger) -> None:
    model(book).invoke("hi")
    book.check()


def test_a_stream(book: Ledger) -> None:
    drain(model(book).stream("hi"))
    book.check()


def test_responses(book: Ledger) -> None:
    answers = model(book, use_responses_api=True)
    answers.invoke("hi")
    drain(answers.stream("hi"))
    book.check()


def test_a_batch_in_threads(book: Ledger) -> None:
    model(book).batch(["a", "b", "c", "d"])
    book.check()


def test_coroutines_and_their_streams(book: Ledger) -> None:
    async def main() -> None:
        asked = model(book)
        await asked.ainvoke("hi")
        await drained(asked.astream("hi"))
        await asked.abatch(["a", "b", "c"])

    asyncio.run(main())
    assert len(book.billed) == 5
    book.check()


def test_anthropic(book: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = of_anthropic(book, monkeypatch)
    asked.invoke("hi")
    drain(asked.stream("hi"))
    asyncio.run(asked.ainvoke("hi"))
    book.check()


@tool
def look_up(question: str) -> str:
    """Look it up."""
    return f"nobody knows {question}"


def test_an_agent_with_a_tool(book: Ledger) -> None:
    clerk = create_agent(model(book), [look_up], name="clerk")
    clerk.invoke(QUESTION)
    drain(clerk.stream(QUESTION, stream_mode="messages"))
    assert len(book.billed) == 4
    book.check()


def test_an_agent_in_coroutines(book: Ledger) -> None:
    clerk = create_agent(model(book), [look_up], name="clerk")
    asyncio.run(clerk.ainvoke(QUESTION))
    assert len(book.billed) == 2
    book.check()


def test_an_attempt_that_the_framework_makes_again(book: Ledger) -> None:
    book.provider.next(Answer(status=500))
    model(book).with_retry(wait_exponential_jitter=False).invoke("hi")
    book.check(failed=1)


def test_an_attempt_that_the_sdk_makes_again(book: Ledger) -> None:
    book.provider.next(Answer(status=500))
    model(book, max_retries=1).invoke("hi")
    book.check()


# --- both: who is above whom, and who is believed


def test_the_call_of_the_framework_is_the_one_with_a_span(both: Ledger) -> None:
    create_agent(model(both), [look_up], name="clerk").invoke(QUESTION)
    spans = both.captured.spans()
    chats = both.inferences()
    assert {parent(both, span) for span in chats} == {"invoke_agent clerk"}
    assert {span.instrumentation_scope.name.rpartition(".")[2] for span in chats} == {"langchain"}  # pyright: ignore[reportOptionalMemberAccess] - of all
    [execution] = [span for span in spans if span.name == "execute_tool look_up"]
    assert parent(both, execution) == "invoke_agent clerk"
    assert not any("gen_ai.usage.cost.amount" in of(span) for span in spans if span not in chats)


def test_a_call_within_a_tool_is_a_call_of_its_own(both: Ledger) -> None:
    @tool
    def ask(question: str) -> str:
        """Ask another model."""
        client = OpenAI(base_url=both.openai, max_retries=0)
        answer = client.chat.completions.create(
            model=MODELS["openai"], messages=[{"role": "user", "content": question}]
        )
        return answer.choices[0].message.content or ""

    create_agent(model(both), [ask], name="clerk").invoke(QUESTION)
    assert len(both.billed) == 3
    assert [parent(both, span) for span in both.inferences()].count("execute_tool ask") == 1
    both.check()


class Twice(ChatOpenAI):
    """A model of an application's that asks another one several times for one answer."""

    times: int = 2

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        for _ in range(self.times - 1):
            super()._generate(messages, *args, **kwargs)
        return super()._generate(messages, *args, **kwargs)


@pytest.mark.parametrize("times", [2, 3])
def test_several_requests_within_one_call_are_each_counted(both: Ledger, times: int) -> None:
    Twice(model=MODELS["openai"], base_url=both.openai, max_retries=0, times=times).invoke("hi")
    assert len(both.billed) == times
    both.check()
    first, *further = sorted(both.inferences(), key=lambda span: span.parent is not None)
    assert parent(both, first) is None
    assert {parent(both, span) for span in further} == {first.name}


class Again(ChatOpenAI):
    """A model of an application's that tries again by itself."""

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        try:
            return super()._generate(messages, *args, **kwargs)
        except Exception:
            return super()._generate(messages, *args, **kwargs)


def test_an_attempt_within_one_call_takes_the_place_of_the_failed_one(both: Ledger) -> None:
    both.provider.next(Answer(status=500))
    Again(model=MODELS["openai"], base_url=both.openai, max_retries=0).invoke("hi")
    both.check()


def test_what_runs_on_after_a_call_has_ended_is_counted(both: Ledger) -> None:
    client = OpenAI(base_url=both.openai, max_retries=0)

    class Leaves(ChatOpenAI):
        """A model that leaves something running in its context."""

        async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
            async def later() -> None:
                await asked.wait()
                await asyncio.to_thread(
                    client.chat.completions.create,
                    model=MODELS["openai"],
                    messages=[{"role": "user", "content": "later"}],
                )

            left.append(asyncio.create_task(later()))
            return await super()._agenerate(messages, *args, **kwargs)

    left: list[asyncio.Task[None]] = []

    async def main() -> None:
        await Leaves(model=MODELS["openai"], base_url=both.openai, max_retries=0).ainvoke("hi")
        asked.set()
        await left[0]

    asked = asyncio.Event()
    asyncio.run(main())
    assert len(both.billed) == 2
    both.check()


def test_the_providers_package_is_believed(both: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{both.provider.port}=groq")
    model(both, use_responses_api=True).invoke("hi")
    [span] = both.inferences()
    found = of(span)
    assert found["gen_ai.provider.name"] == "groq"  # LangChain says openai
    assert found["gen_ai.response.finish_reasons"] == ("stop",)  # LangChain says error
    assert (found["server.address"], found["server.port"]) == ("127.0.0.1", both.provider.port)


def test_the_provider_is_right_in_a_streams_first_metric(
    book: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=cerebras")
    drain(model(book).stream("hi"))
    points = book.captured.points("gen_ai.client.operation.time_to_first_chunk")
    assert [p.count for p in points if p.attributes["gen_ai.provider.name"] == "cerebras"]
    assert "cerebras" in {of(span)["gen_ai.provider.name"] for span in book.inferences()}


def test_upstreams_own_way_is_there_for_who_wants_it() -> None:
    text = (
        "from otel_kpi.instrumentation.llm import nested; nested.prepare();"
        "from opentelemetry.util.genai.handler import TelemetryHandler as T;"
        "print(getattr(T, '_otel_kpi_nests', False))"
    )
    for value, expected in (("upstream", "False"), ("provider", "True")):
        ended = run([sys.executable, "-c", text], environment(OTEL_KPI_GENAI_NESTED=value))
        assert ended.stdout.strip() == expected, ended.stderr


_STARTED = """
import importlib, logging, sys, warnings
warnings.simplefilter("ignore")
logging.basicConfig(level=logging.WARNING)
from otel_kpi import instrumentation
instrumentation.install()
importlib.import_module(sys.argv[1])
import langchain_core.language_models.chat_models as models, langgraph.pregel as graphs
[row] = [each for each in instrumentation.report() if each.name == "langchain"]
print(row.state, all(hasattr(each, "__wrapped__") for each in (
    models.BaseChatModel._generate_with_cache, models.BaseChatModel.astream, graphs.Pregel.stream)))
"""


@pytest.mark.proof
@pytest.mark.parametrize(
    "first",
    [
        "langchain_openai",
        "langchain_anthropic",
        "langchain.agents",
        "langchain_core.runnables.passthrough",
        "langchain_core.output_parsers.openai_tools",
        "langchain_core.retrievers",
        "langchain_core.tools",
        "langgraph.graph",
        "langgraph.pregel._io",
        "langgraph.prebuilt",
    ],
)
def test_nothing_is_left_out_whatever_is_imported_first(first: str) -> None:
    ended = run([sys.executable, "-c", _STARTED, first], environment())
    assert "Skipping execution boundary" not in ended.stderr
    assert ended.stdout.split() == ["loaded", "True"], ended.stderr


# --- what is no call, and what is none any more


def test_an_answer_out_of_the_frameworks_cache_costs_nothing(book: Ledger) -> None:
    asked = model(book, cache=InMemoryCache())
    asked.invoke("hi")
    asked.invoke("hi")
    assert len(book.billed) == 1
    remembered = [span for span in book.inferences() if "kpi.llm.cached" in of(span)]
    book.check(unmeasured=len(remembered))
    assert all("gen_ai.usage.input_tokens" not in of(span) for span in remembered)


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_a_stream_that_is_left_ends_its_call_and_hides_no_other(book: Ledger, how: str) -> None:
    asked = model(book)
    chunks = asked.stream("hi")
    next(iter(chunks))
    if how == "closed":
        chunks.close()  # pyright: ignore[reportAttributeAccessIssue] - of a generator
    del chunks
    gc.collect()
    assert len(book.inferences()) == 1
    left = book.billed.pop()
    asked.invoke("hi")
    assert len(book.inferences()) == 2
    assert left.input not in {of(span).get("gen_ai.usage.input_tokens") for span in book.inferences()}
    assert book.money() == book.billed[0].money


# --- for whom


def tenants(book: Ledger) -> set[object]:
    return {of(span).get("kpi.tenant") for span in book.inferences()}


def test_attribution_reaches_the_threads_of_a_batch(book: Ledger) -> None:
    with llm.context(tenant="acme", feature="letters"):
        model(book).batch(["a", "b", "c"])
    assert tenants(book) == {"acme"}
    assert round(book.money(kpi_tenant="acme", kpi_feature="letters"), 9) == round(
        sum(each.money for each in book.billed), 9
    )
    book.check()


def test_attribution_within_a_chain_wins_over_that_around_it(book: Ledger) -> None:
    def ask(question: str) -> str:
        with llm.context(tenant=question):
            return model(book).invoke("hi").text

    with llm.context(tenant="all"):
        RunnableLambda(ask).batch(["acme", "globex"])
    assert tenants(book) == {"acme", "globex"}
    book.check()


def test_attribution_within_an_agents_tool(book: Ledger) -> None:
    with llm.context(tenant="acme"):
        create_agent(model(book), [look_up], name="clerk").invoke(QUESTION)
    assert tenants(book) == {"acme"}


def test_attribution_of_concurrent_tasks_stays_apart(book: Ledger) -> None:
    async def one(tenant: str) -> None:
        with llm.context(tenant=tenant):
            await drained(model(book).astream("hi"))

    async def main() -> None:
        await asyncio.gather(*(one(tenant) for tenant in ("acme", "globex", "initech")))

    run: Coroutine[Any, Any, None] = main()
    asyncio.run(run)
    assert tenants(book) == {"acme", "globex", "initech"}
    book.check()


# --- the framework alone: what it says of its usage


def test_the_lifetimes_of_a_caches_writes_are_told_apart() -> None:
    usage = {
        "input_tokens": 3100,
        "output_tokens": 20,
        "input_token_details": {
            "cache_read": 1000,
            "cache_creation": 0,
            "ephemeral_5m_input_tokens": 1500,
            "ephemeral_1h_input_tokens": 500,
        },
        "output_token_details": {"reasoning": 5},
    }
    counts = {key: value for key, value in counts_of(usage).items() if value is not None}
    assert counts == {
        "input_tokens": 3100,
        "output_tokens": 20,
        "cache_read_tokens": 1000,
        "cache_write_tokens": 2000,
        "cache_write_5m_tokens": 1500,
        "cache_write_1h_tokens": 500,
        "output_reasoning_tokens": 5,
    }


def test_a_tiers_counts_are_read() -> None:
    usage = {
        "input_tokens": 100,
        "output_tokens": 20,
        "input_token_details": {"flex_cache_read": 30, "flex": 70},
        "output_token_details": {"flex_reasoning": 4, "flex": 16},
    }
    counts = counts_of(usage)
    assert (counts["cache_read_tokens"], counts["output_reasoning_tokens"]) == (30, 4)


def test_where_a_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.delenv("OPENAI_API_BASE", raising=False)
    assert endpoint_of({"kwargs": {"openai_api_base": "https://x.test/v1"}}, None) == "https://x.test/v1"
    assert (
        endpoint_of({"kwargs": {"azure_endpoint": "https://a.openai.azure.com"}}, {})
        == "https://a.openai.azure.com"
    )
    assert endpoint_of(None, {"ls_provider": "openai"}) is None
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.test/v1")
    assert endpoint_of({"kwargs": {}}, {"ls_provider": "openai"}) == "https://gateway.test/v1"
    assert endpoint_of({"kwargs": {"base_url": 7}}, {"ls_provider": "groq"}) is None


class Scripted(ChatOpenAI):
    """A model whose answer is given."""

    answer: Any = None

    def _generate(self, *_args: Any, **_kwargs: Any) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self.answer)])


@pytest.mark.parametrize(
    "usage",
    [None, {"input_tokens": -1, "output_tokens": 1, "total_tokens": 0}],
    ids=["none", "negative"],
)
def test_a_usage_that_is_missing_or_cannot_be_is_no_cost(alone: Ledger, usage: Any) -> None:
    message = AIMessage(content="hi", usage_metadata=usage)
    answer = Scripted(model=MODELS["openai"], base_url=alone.openai, answer=message).invoke(
        [HumanMessage("hi")]
    )
    assert answer.content == "hi"
    assert alone.money() == 0
    [span] = alone.inferences()
    assert "gen_ai.usage.cost.amount" not in of(span)
