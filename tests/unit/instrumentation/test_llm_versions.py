"""What every version of a library of language models must do: the matrix runs this at both ends of each range.

Each call is counted once, with the provider's own numbers and for the right tenant, plain and streamed, in coroutines
too; what the application gets is the library's own, errors included.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import warnings
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from support.llm import Answer, ScriptedProvider
from support.measured import measured

from otel_kpi import instrumentation, llm

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.captured import Captured
    from support.llm import Asked
    from support.measured import Measured

pytestmark = [
    pytest.mark.proof,
    # Old versions on a new Python and a new pydantic, and clients that nobody closes.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

HI: Any = [{"role": "user", "content": "hi"}]
MODELS = {
    "openai": "gpt-4o-mini",
    "anthropic": "claude-haiku-4-5",
    "google": "gemini-2.5-flash",
    "mistral": "mistral-small-latest",
    "cohere": "command-r-08-2024",
    "ollama": "llama3.2",
}


class Book:
    """What the provider answered, and what was recorded of it."""

    def __init__(self, captured: Captured, series: Measured) -> None:
        self.captured, self.series = captured, series
        self.provider = ScriptedProvider(self._answer)
        self.input = self.output = self.calls = 0
        self._numbers = itertools.count(1)

    def _answer(self, asked: Asked) -> Answer:
        number = next(self._numbers)
        sent, made = 100 + number, 10 + number
        embeds = "embed" in asked.route.lower()
        self.calls += 1
        self.input += sent
        self.output += 0 if embeds else made
        return Answer(usage=_usage(asked.route, sent, 0 if embeds else made, embeds=embeds))

    def spans(self) -> list[ReadableSpan]:
        wanted = {"chat", "embeddings", "generate_content", "text_completion"}
        return [span for span in self.captured.spans() if of(span).get("gen_ai.operation.name") in wanted]

    def check(self, *, priced: bool = True, tenant: str = "acme") -> None:
        """Compare with what was recorded."""
        spans = [span for span in self.spans() if "error.type" not in of(span)]
        assert len(spans) == self.calls, [(span.name, span.status.status_code) for span in self.spans()]
        tokens: Counter[str] = Counter()
        for labels, point in self.series.points("kpi_llm_tokens_total").items():
            tokens[dict(labels)["kpi_llm_token_class"]] += point.value
        assert (tokens["input"], tokens["output"]) == (self.input, self.output)
        assert sum(of(span).get("gen_ai.usage.input_tokens", 0) for span in spans) == self.input
        assert {of(span).get("kpi.tenant") for span in spans} == {tenant}
        money = sum(point.value for point in self.series.points("kpi_llm_cost_total").values())
        on_spans = sum(of(span).get("gen_ai.usage.cost.amount", 0) for span in spans)
        assert money == pytest.approx(on_spans, rel=1e-12)
        assert (money > 0) is priced, [of(span) for span in spans]

    def check_failure(self) -> None:
        """The last call ended with an error, which is not billed."""
        assert "error.type" in of(self.spans()[-1])


def _usage(route: str, sent: int, made: int, *, embeds: bool) -> dict[str, Any]:
    if route.endswith("/messages"):
        return {"input_tokens": sent, "output_tokens": made}
    if "/models/" in route and ":" in route:
        counts = {"promptTokenCount": sent, "totalTokenCount": sent + made}
        return counts if embeds else counts | {"candidatesTokenCount": made}
    if route.endswith(("/v2/chat", "/v2/embed", "/v1/chat", "/v1/embed")):
        billed = {"input_tokens": sent} if embeds else {"input_tokens": sent, "output_tokens": made}
        return {"billed_units": billed} if embeds else {"billed_units": billed, "tokens": billed}
    if route.startswith("/api/"):
        return {"prompt_eval_count": sent} if embeds else {"prompt_eval_count": sent, "eval_count": made}
    if route.endswith("/responses"):
        return {
            "input_tokens": sent,
            "output_tokens": made,
            "total_tokens": sent + made,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
    return {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made}


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def book(captured: Captured, monkeypatch: pytest.MonkeyPatch) -> Iterator[Book]:
    with measured() as series:
        book = Book(captured, series)
        with book.provider, llm.context(tenant="acme"):
            monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=openai")
            monkeypatch.setenv("OPENAI_API_KEY", "none")
            monkeypatch.setenv("ANTHROPIC_API_KEY", "none")
            yield book
            gc.collect()  # what nobody closed is complained of here, where it is expected


def library(name: str, row: str) -> Any:
    """The library; the test is skipped without it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = pytest.importorskip(name)
    [found] = [each for each in instrumentation.report() if each.name == row]
    assert found.state in {"loaded", "armed"}, found
    return module


def drain(chunks: Any) -> None:
    for _ in chunks:
        pass


async def adrain(chunks: Any) -> None:
    async for _ in chunks:
        pass


def test_openai(book: Book) -> None:
    openai = library("openai", "openai")
    url, asked = f"{book.provider.url}/v1", {"model": MODELS["openai"], "messages": HI}
    with openai.OpenAI(base_url=url, max_retries=1) as client:
        assert type(client.chat.completions.create(**asked)).__module__.startswith("openai.")
        stream = client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
        assert isinstance(stream, openai.Stream)
        drain(stream)
        client.embeddings.create(model="text-embedding-3-small", input="hi")
        raw = client.chat.completions.with_raw_response.create(**asked)
        assert raw.parse().choices[0].message.content
        if hasattr(client, "responses"):
            client.responses.create(model=MODELS["openai"], input="hi")
        book.provider.next(Answer(status=429, headers={"retry-after": "0"}))
        client.chat.completions.create(**asked)

    async def main() -> None:
        async with openai.AsyncOpenAI(base_url=url, max_retries=0) as client:
            await client.chat.completions.create(**asked)
            await adrain(
                await client.chat.completions.create(
                    **asked, stream=True, stream_options={"include_usage": True}
                )
            )

    asyncio.run(main())
    book.check()
    retries = book.series.points("kpi_llm_retries_total")
    assert [point.value for point in retries.values()] == [1]
    book.provider.next(Answer(status=400))
    with openai.OpenAI(base_url=url) as client, pytest.raises(openai.BadRequestError):
        client.chat.completions.create(**asked)
    book.check_failure()


def test_anthropic(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    anthropic = library("anthropic", "anthropic")
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=anthropic")
    asked = {"model": MODELS["anthropic"], "max_tokens": 99, "messages": HI}
    with anthropic.Anthropic(base_url=book.provider.url, max_retries=1) as client:
        assert type(client.messages.create(**asked)).__module__.startswith("anthropic.")
        drain(client.messages.create(**asked, stream=True))
        with client.messages.stream(**asked) as stream:
            assert stream.get_final_text()
        book.provider.next(Answer(status=529, headers={"retry-after": "0"}))
        client.messages.create(**asked)

    async def main() -> None:
        async with anthropic.AsyncAnthropic(base_url=book.provider.url, max_retries=0) as client:
            await client.messages.create(**asked)
            await adrain(await client.messages.create(**asked, stream=True))

    asyncio.run(main())
    book.check()
    assert [point.value for point in book.series.points("kpi_llm_retries_total").values()] == [1]
    book.provider.next(Answer(status=400))
    with (
        anthropic.Anthropic(base_url=book.provider.url) as client,
        pytest.raises(anthropic.BadRequestError),
    ):
        client.messages.create(**asked)
    book.check_failure()


def test_google_genai(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    genai = library("google.genai", "google-genai")
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", "127.0.0.1=gcp.gemini")
    client = genai.Client(api_key="none", http_options={"base_url": book.provider.url})
    asked: dict[str, Any] = {"model": MODELS["google"], "contents": "hi"}
    assert client.models.generate_content(**asked).text
    drain(client.models.generate_content_stream(**asked))

    async def main() -> None:
        aio = genai.Client(api_key="none", http_options={"base_url": book.provider.url}).aio
        await aio.models.generate_content(**asked)
        await adrain(await aio.models.generate_content_stream(**asked))

    asyncio.run(main())
    book.check()
    book.provider.next(Answer(status=400))
    with pytest.raises(genai.errors.ClientError):
        client.models.generate_content(**asked)
    book.check_failure()


def test_mistral(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    library("mistralai", "mistral")
    from mistralai.client import Mistral

    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=mistral_ai")
    asked: dict[str, Any] = {"model": MODELS["mistral"], "messages": HI}
    with Mistral(api_key="none", server_url=book.provider.url) as client:
        assert client.chat.complete(**asked).choices
        drain(client.chat.stream(**asked))
        client.embeddings.create(model="mistral-embed", inputs=["hi"])

    async def main() -> None:
        async with Mistral(api_key="none", server_url=book.provider.url) as client:
            await client.chat.complete_async(**asked)
            await adrain(await client.chat.stream_async(**asked))

    asyncio.run(main())
    book.check()


def test_cohere(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    cohere = library("cohere", "cohere")
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=cohere")
    asked: dict[str, Any] = {"model": MODELS["cohere"], "messages": HI}
    client = cohere.ClientV2(api_key="none", base_url=book.provider.url)
    assert client.chat(**asked).message.content
    drain(client.chat_stream(**asked))

    async def main() -> None:
        client = cohere.AsyncClientV2(api_key="none", base_url=book.provider.url)
        await client.chat(**asked)
        await adrain(client.chat_stream(**asked))

    asyncio.run(main())
    book.check()


def test_ollama(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    ollama = library("ollama", "ollama")
    monkeypatch.setenv("OTEL_KPI_GENAI_PROVIDERS", f"127.0.0.1:{book.provider.port}=ollama")
    asked: dict[str, Any] = {"model": MODELS["ollama"], "messages": HI}
    client = ollama.Client(host=book.provider.url)
    assert client.chat(**asked)["message"]["content"]
    drain(client.chat(**asked, stream=True))
    client.embed(model=MODELS["ollama"], input="hi")

    async def main() -> None:
        client = ollama.AsyncClient(host=book.provider.url)
        await client.chat(**asked)
        await adrain(await client.chat(**asked, stream=True))

    asyncio.run(main())
    book.check(priced=False)


def test_litellm(book: Book) -> None:
    litellm = library("litellm", "litellm")
    asked: dict[str, Any] = {
        "model": f"openai/{MODELS['openai']}",
        "messages": HI,
        "api_base": f"{book.provider.url}/v1",
        "api_key": "none",
        "num_retries": 0,
    }
    usage = {"stream_options": {"include_usage": True}}
    assert litellm.completion(**asked).choices[0].message.content
    drain(litellm.completion(**asked, stream=True, **usage))
    litellm.embedding(
        model="openai/text-embedding-3-small", input=["hi"], api_base=asked["api_base"], api_key="none"
    )

    async def main() -> None:
        await litellm.acompletion(**asked)
        await adrain(await litellm.acompletion(**asked, stream=True, **usage))

    asyncio.run(main())
    book.check()


def test_langchain(book: Book) -> None:
    library("langchain_openai", "langchain")
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    model: Any = ChatOpenAI(
        model=MODELS["openai"],
        base_url=f"{book.provider.url}/v1",
        max_retries=0,
        stream_usage=True,
    )
    model.invoke("hi")
    drain(model.stream("hi"))
    model.batch(["a", "b"])

    async def main() -> None:
        await model.ainvoke("hi")
        await adrain(model.astream("hi"))

    asyncio.run(main())

    @tool
    def look_up(question: str) -> str:
        """Look it up."""
        return question

    model.bind_tools([look_up]).invoke("hi")
    book.check()


def test_llama_index(book: Book) -> None:
    library("llama_index.core", "llama_index")
    from llama_index.core.agent.workflow import FunctionAgent
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai import OpenAI

    model: Any = OpenAI(model=MODELS["openai"], api_base=f"{book.provider.url}/v1", max_retries=0)
    asked = [ChatMessage(role="user", content="hi")]
    model.chat(asked)
    drain(model.stream_chat(asked, stream_options={"include_usage": True}))

    async def main() -> None:
        await model.achat(asked)
        await FunctionAgent(name="clerk", tools=[], llm=model, streaming=False).run(user_msg="hi")  # pyright: ignore[reportDeprecated] - one of its many forms

    asyncio.run(main())
    book.check()
    assert "invoke_agent clerk" in {span.name for span in book.captured.spans()}


def test_openai_agents(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    agents = library("agents", "openai_agents")
    import openai

    monkeypatch.delenv("OPENAI_API_KEY")

    async def main() -> None:
        async with openai.AsyncOpenAI(
            api_key="none", base_url=f"{book.provider.url}/v1", max_retries=0
        ) as client:
            for api in (agents.OpenAIChatCompletionsModel, agents.OpenAIResponsesModel):
                clerk = agents.Agent(name="clerk", model=api(MODELS["openai"], client))
                await agents.Runner.run(clerk, "hi")

    asyncio.run(main())
    book.check()
    assert "invoke_agent clerk" in {span.name for span in book.captured.spans()}
