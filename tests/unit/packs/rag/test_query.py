"""A question that is answered from documents: counted, timed and traced however it ends."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from otel_kpi import rag
from otel_kpi.packs.consent import VARIABLE
from otel_kpi.packs.rag import work

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    from opentelemetry.sdk.trace import ReadableSpan
    from support.measured import Measured

QUESTION = "what may I eat before a marathon?"


@pytest.fixture(autouse=True)
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Spans of the test: the provider of the process could be set but once."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(work, "tracer", provider.get_tracer("test"))
    monkeypatch.delenv(VARIABLE, raising=False)
    return exporter


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def attributes(spans: InMemorySpanExporter, name: str) -> dict[str, Any]:
    return dict(named(spans, name).attributes or {})


def outcomes(series: Measured) -> dict[str, int]:
    points = series.points("kpi_rag_queries_total")
    return {dict(labels)["kpi_rag_outcome"]: point.value for labels, point in points.items()}


def test_query_with_all_its_stages_is_one_trace_by_the_names_of_the_conventions(
    series: Measured, spans: InMemorySpanExporter
) -> None:
    with rag.query("faq", question=QUESTION) as query:
        with query.retrieval("products", top_k=5, provider="qdrant") as retrieval:
            found = retrieval.documents([{"id": "a", "score": 0.4}, {"id": "b", "score": 0.83}])
        with query.rerank("bge", top_k=1) as rerank:
            rerank.found(1, top_score=0.97, by_source={"products": 1})
        with query.generation():
            pass
    assert [each["id"] for each in found] == ["a", "b"]

    whole = named(spans, "invoke_workflow faq")
    assert whole.kind is SpanKind.INTERNAL
    assert attributes(spans, "invoke_workflow faq") == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "faq",
        "kpi.rag.outcome": "success",
        "kpi.rag.hits": 2,
        "kpi.rag.top_score": 0.97,
        "kpi.rag.sources": ("products",),
    }
    assert attributes(spans, "retrieval products") == {
        "gen_ai.operation.name": "retrieval",
        "gen_ai.data_source.id": "products",
        "gen_ai.retrieval.top_k": 5,
        "gen_ai.provider.name": "qdrant",
        "kpi.rag.hits": 2,
        "kpi.rag.top_score": 0.83,
    }
    assert named(spans, "retrieval products").kind is SpanKind.CLIENT
    assert attributes(spans, "rerank bge")["kpi.rag.hits"] == 1
    assert whole.context is not None
    for name in ("retrieval products", "rerank bge", "generation faq"):
        parent = named(spans, name).parent
        assert parent is not None
        assert parent.span_id == whole.context.span_id

    assert series.value("kpi_rag_queries_total", kpi_rag_name="faq", kpi_rag_outcome="success") == 1
    assert series.value("rag_queries_total", status="success") == 1
    for stage in ("retrieval", "rerank", "generation"):
        labels = {"kpi_rag_name": "faq", "kpi_rag_stage": stage, "kpi_rag_result": "success"}
        assert series.value("kpi_rag_stage_duration_seconds", **labels)[0] == 1
    assert series.value("kpi_rag_hits", kpi_rag_source="products") == (1, 2)
    assert series.value("kpi_rag_top_score", kpi_rag_source="products", kpi_rag_stage="retrieval") == (
        1,
        0.83,
    )
    assert series.value("kpi_rag_documents_total", kpi_rag_source="products", kpi_rag_stage="retrieval") == 2
    assert series.value("kpi_rag_documents_total", kpi_rag_source="products", kpi_rag_stage="rerank") == 1
    assert series.labels("kpi_rag_empty_results_total") == set()


def test_query_that_finds_nothing_anywhere_is_empty(series: Measured) -> None:
    with rag.query("faq") as query:
        for source in ("products", "plans"):
            with query.retrieval(source) as retrieval:
                assert retrieval.documents(iter([])) == []
    assert outcomes(series) == {"empty": 1}
    assert series.value("rag_queries_total", status="empty") == 1
    assert series.value("kpi_rag_empty_results_total", kpi_rag_source="plans") == 1
    assert series.value("kpi_rag_hits", kpi_rag_source="plans") == (1, 0)


def test_what_nobody_counted_is_not_nothing(series: Measured, spans: InMemorySpanExporter) -> None:
    with rag.query("faq") as query, query.retrieval("products"):
        pass
    assert outcomes(series) == {"success": 1}
    assert series.labels("kpi_rag_hits") == set()
    assert "kpi.rag.hits" not in attributes(spans, "invoke_workflow faq")


def test_one_source_with_documents_is_enough(series: Measured) -> None:
    with rag.query("faq") as query:
        with query.retrieval("products") as retrieval:
            retrieval.found(0)
        with query.retrieval("plans") as retrieval:
            retrieval.found(3)
    assert outcomes(series) == {"success": 1}


def test_application_says_that_the_documents_held_no_answer(series: Measured) -> None:
    with rag.query("faq") as query:
        query.unanswered()
    assert outcomes(series) == {"unanswered": 1}
    assert series.value("rag_queries_total", status="empty") == 1


@pytest.mark.parametrize(
    ("raised", "outcome"),
    [
        (ValueError("no"), "error"),
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "cancellation"),
        (SystemExit(143), "cancellation"),
    ],
)
def test_whatever_ends_a_query_is_its_outcome_and_goes_on(
    series: Measured, spans: InMemorySpanExporter, raised: BaseException, outcome: str
) -> None:
    with pytest.raises(type(raised)) as caught, rag.query("faq") as query, query.retrieval("products"):
        raise raised
    assert caught.value is raised
    assert outcomes(series) == {outcome: 1}
    assert series.value("rag_queries_total", status="error") == 1
    span = named(spans, "invoke_workflow faq")
    assert span.status.status_code is StatusCode.ERROR
    assert trace.get_current_span() is trace.INVALID_SPAN


# --- streams


class Chunks:
    """A stream as clients have them: it can be closed, and has words of its own."""

    def __init__(self, *chunks: str, error: BaseException | None = None) -> None:
        self._chunks = iter(chunks)
        self._error = error
        self.closed = False
        self.response_id = "r1"

    def __iter__(self) -> Chunks:
        return self

    def __next__(self) -> str:
        for chunk in self._chunks:
            return chunk
        if self._error is not None:
            raise self._error
        raise StopIteration

    def close(self) -> None:
        self.closed = True


def answer(chunks: Chunks) -> Any:
    with rag.query("faq") as query:
        with query.retrieval("products") as retrieval:
            retrieval.found(2)
        with query.generation() as generation:
            return generation.stream(chunks)


def test_stream_ends_the_query_after_its_block_was_left(
    series: Measured, spans: InMemorySpanExporter
) -> None:
    stream = answer(Chunks("a", "b"))
    assert trace.get_current_span() is trace.INVALID_SPAN
    assert outcomes(series) == {}
    assert next(stream) == "a"
    assert outcomes(series) == {}
    assert stream.response_id == "r1"
    assert list(stream) == ["b"]
    assert outcomes(series) == {"success": 1}
    whole, generation = named(spans, "invoke_workflow faq"), named(spans, "generation faq")
    assert whole.end_time is not None
    assert generation.end_time is not None
    assert whole.end_time >= generation.end_time
    assert "kpi.rag.time_to_first_chunk" in attributes(spans, "invoke_workflow faq")
    assert series.value("kpi_rag_time_to_first_chunk_seconds", kpi_rag_name="faq")[0] == 1


def test_what_a_stream_does_is_below_the_generation(spans: InMemorySpanExporter) -> None:
    def pieces() -> Generator[str]:
        with work.tracer.start_as_current_span("chat"):
            yield "a"

    with rag.query("faq") as query, query.generation() as generation:
        stream = generation.stream(pieces())
    assert list(stream) == ["a"]
    parent, around = named(spans, "chat").parent, named(spans, "generation faq").context
    assert parent is not None
    assert around is not None
    assert parent.span_id == around.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_stream_that_breaks_is_an_error_of_the_query(series: Measured) -> None:
    stream = answer(Chunks("a", error=ConnectionError("gone")))
    with pytest.raises(ConnectionError):
        list(stream)
    assert outcomes(series) == {"error": 1}


def test_stream_that_is_closed_early_is_a_cancellation(series: Measured, spans: InMemorySpanExporter) -> None:
    chunks = Chunks("a", "b")
    stream = answer(chunks)
    next(stream)
    stream.close()
    stream.close()
    assert chunks.closed
    assert outcomes(series) == {"cancellation": 1}
    assert named(spans, "invoke_workflow faq").status.status_code is StatusCode.UNSET


def test_stream_that_nobody_takes_ends_when_nobody_holds_it(series: Measured) -> None:
    answer(Chunks("a"))
    gc.collect()
    assert outcomes(series) == {"cancellation": 1}


def test_stream_is_taken_in_another_thread(series: Measured) -> None:
    stream = answer(Chunks("a", "b"))
    taken: list[str] = []
    thread = threading.Thread(target=lambda: taken.extend(stream))
    thread.start()
    thread.join()
    assert taken == ["a", "b"]
    assert outcomes(series) == {"success": 1}


def test_error_in_the_block_ends_the_query_at_once(series: Measured) -> None:
    streams: list[Any] = []

    def ask() -> None:
        with rag.query("faq") as query, query.generation() as generation:
            streams.append(generation.stream(Chunks("a")))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        ask()
    assert outcomes(series) == {"error": 1}
    assert list(streams.pop()) == ["a"]
    assert outcomes(series) == {"error": 1}


def test_asynchronous_stream(series: Measured) -> None:
    async def pieces() -> AsyncGenerator[str]:
        yield "a"
        await asyncio.sleep(0)
        yield "b"

    async def ask() -> Any:
        async with rag.query("faq") as query, query.generation() as generation:
            return generation.stream(pieces())

    async def main() -> list[str]:
        stream = await ask()
        assert outcomes(series) == {}
        return [piece async for piece in stream]

    assert asyncio.run(main()) == ["a", "b"]
    assert outcomes(series) == {"success": 1}


def test_asynchronous_stream_that_is_closed_early(series: Measured) -> None:
    async def pieces() -> AsyncGenerator[str]:
        yield "a"
        yield "b"

    async def main() -> None:
        async with rag.query("faq") as query, query.generation() as generation:
            stream = generation.stream(pieces())
        assert await anext(stream) == "a"
        await stream.aclose()

    asyncio.run(main())
    assert outcomes(series) == {"cancellation": 1}


# --- decorators, tasks, code that is called within


def test_decorated_functions_of_any_kind_are_queries_of_their_own(series: Measured) -> None:
    @rag.retrieval("products")
    def search() -> list[str]:
        return ["a"]

    @rag.query("plain")
    def plain() -> int:
        query = rag.current()
        assert query is not None
        assert query.name == "plain"
        return len(search())

    @rag.query("coroutine")
    async def coroutine() -> int:
        return plain()

    @rag.query("generator")
    def generator() -> Generator[int]:
        yield plain()
        yield 2

    assert plain() == 1
    assert asyncio.run(coroutine()) == 1
    assert list(generator()) == [1, 2]
    counted = {
        dict(labels)["kpi_rag_name"]: point.value
        for labels, point in series.points("kpi_rag_queries_total").items()
    }
    assert counted == {"plain": 3, "coroutine": 1, "generator": 1}
    labels = {"kpi_rag_name": "plain", "kpi_rag_stage": "retrieval", "kpi_rag_result": "success"}
    assert series.value("kpi_rag_stage_duration_seconds", **labels)[0] == 3
    assert rag.current() is None


def test_queries_of_tasks_that_run_side_by_side_do_not_mix(series: Measured) -> None:
    async def ask(name: str, hits: int) -> None:
        async with rag.query(name):
            await asyncio.sleep(0)
            async with rag.retrieval(name) as retrieval:
                await asyncio.sleep(0)
                retrieval.found(hits)
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(ask("a", 0), ask("b", 2), ask("c", 0))

    asyncio.run(main())
    found = {
        (dict(each)["kpi_rag_name"], dict(each)["kpi_rag_outcome"])
        for each in series.labels("kpi_rag_queries_total")
    }
    assert found == {("a", "empty"), ("b", "success"), ("c", "empty")}


def test_stage_outside_of_a_query_is_measured_too(series: Measured, spans: InMemorySpanExporter) -> None:
    with rag.retrieval("products") as retrieval:
        retrieval.found(1)
    labels = {"kpi_rag_name": "unknown", "kpi_rag_stage": "retrieval", "kpi_rag_result": "success"}
    assert series.value("kpi_rag_stage_duration_seconds", **labels)[0] == 1
    assert named(spans, "retrieval products").parent is None


# --- content


def test_question_answer_and_documents_stay_here_by_default(spans: InMemorySpanExporter) -> None:
    ask_for_content()
    told = [str(span.attributes) for span in spans.get_finished_spans()]
    assert not [each for each in told if "marathon" in each or "pasta" in each or "doc-7" in each]


@pytest.mark.parametrize(("mode", "is_written"), [("SPAN_ONLY", True), ("true", True), ("EVENT_ONLY", False)])
def test_content_is_written_where_somebody_said_so(
    spans: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    is_written: bool,  # noqa: FBT001 - a case
) -> None:
    monkeypatch.setenv(VARIABLE, mode)
    ask_for_content()
    whole = attributes(spans, "invoke_workflow faq")
    assert ("gen_ai.input.messages" in whole) is is_written
    if is_written:
        part = {"type": "text", "content": QUESTION}
        assert json.loads(whole["gen_ai.input.messages"]) == [{"role": "user", "parts": [part]}]
        assert "pasta" in whole["gen_ai.output.messages"]
        retrieval = attributes(spans, "retrieval products")
        assert retrieval["gen_ai.retrieval.query.text"] == QUESTION
        # By the convention their ids and scores; what is in them nowhere.
        assert json.loads(retrieval["gen_ai.retrieval.documents"]) == [{"id": "doc-7", "score": 0.5}]


def ask_for_content() -> None:
    with rag.query("faq", question=QUESTION) as query:
        with query.retrieval("products") as retrieval:
            retrieval.documents([{"id": "doc-7", "score": 0.5, "text": "pasta in secret"}])
        query.answer("pasta")


# --- bad input


class Bad:
    """An object whose parts raise."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_bad_input_costs_what_it_is_about_and_nothing_else(
    series: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "SPAN_ONLY")
    bad: Any = Bad()
    with rag.query("faq", question=bad) as query:
        with query.retrieval("products", top_k=bad) as retrieval:
            assert retrieval.documents([bad]) == [bad]
        with query.retrieval("plans") as retrieval:
            retrieval.found(bad)
            retrieval.found(-1)
            retrieval.found(2, top_score=float("nan"))
        query.answer(bad)
        with query.generation() as generation:
            assert generation.stream(bad) is bad
            assert generation.stream(None) is None
    assert outcomes(series) == {"success": 1}
    assert series.value("kpi_rag_hits", kpi_rag_source="plans") == (1, 2)


def test_names_are_bounded(series: Measured) -> None:
    for number in range(30):
        with rag.query(f"n{number}"), rag.retrieval(f"s{number}") as retrieval:
            retrieval.found(1)
    names = {dict(each)["kpi_rag_name"] for each in series.labels("kpi_rag_queries_total")}
    assert len(names) == 21
    assert "other" in names
