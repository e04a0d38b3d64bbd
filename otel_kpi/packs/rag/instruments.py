"""What is measured of retrieval-augmented generation: queries and how they end, their stages, and what was found."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Histogram, Pack, Span
from otel_kpi.packs.attributes import CONVERSATION_ID, ERROR_TYPE
from otel_kpi.packs.outcome import RESULTS

_GEN_AI: Final = "OpenTelemetry https://github.com/open-telemetry/semantic-conventions-genai"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0)
"""5 ms to 1 min: a search in memory, and an answer that is told word by word. S4's 3 s lies between 2.5 and 5."""

OUTCOMES: Final = ("success", "empty", "unanswered", "error", "timeout", "cancellation")
STAGES: Final = ("retrieval", "rerank", "generation")

NAME: Final = Attribute(
    name="kpi.rag.name",
    brief="What answers: the application's name for it.",
    budget=20,
    examples=("faq", "coach"),
)
OUTCOME: Final = Attribute(
    name="kpi.rag.outcome",
    brief="How the query ended; `empty` when nothing was found, `unanswered` when the application said so.",
    members=OUTCOMES,
    source="S4: success of RAG",
)
STAGE: Final = Attribute(name="kpi.rag.stage", brief="A part of a query.", members=STAGES)
RESULT: Final = Attribute(name="kpi.rag.result", brief="How the stage ended.", members=RESULTS)
SOURCE: Final = Attribute(
    name="kpi.rag.source",
    brief="Where documents come from: an index, a collection, a knowledge base.",
    budget=20,
    examples=("products", "training-plans"),
)
HITS: Final = Attribute(
    name="kpi.rag.hits", brief="Documents that were found.", type="int", examples=("5",), required=False
)
TOP_SCORE: Final = Attribute(
    name="kpi.rag.top_score",
    brief="Score of the best document, in the measure of what searched.",
    type="double",
    examples=("0.83",),
    required=False,
)
FIRST_CHUNK: Final = Attribute(
    name="kpi.rag.time_to_first_chunk",
    brief="Seconds from the question to the first piece of a streamed answer.",
    type="double",
    examples=("0.9",),
    required=False,
)
SOURCES: Final = Attribute(
    name="kpi.rag.sources",
    brief="Where documents were looked for, in the order in which it was done.",
    type="string[]",
    examples=("products",),
    required=False,
)
OPERATION: Final = Attribute(
    name="gen_ai.operation.name", brief="What is done.", examples=("retrieval",), source=_GEN_AI
)
WORKFLOW: Final = Attribute(
    name="gen_ai.workflow.name", brief="What answers.", examples=("faq",), source=_GEN_AI
)
DATA_SOURCE: Final = Attribute(
    name="gen_ai.data_source.id", brief="Where documents come from.", examples=("products",), source=_GEN_AI
)
TOP_K: Final = Attribute(
    name="gen_ai.retrieval.top_k",
    brief="Documents that were asked for at most.",
    type="int",
    examples=("5",),
    source=_GEN_AI,
    required=False,
)
PROVIDER: Final = Attribute(
    name="gen_ai.provider.name", brief="Who does it.", examples=("cohere",), source=_GEN_AI, required=False
)
MODEL: Final = Attribute(
    name="gen_ai.request.model", brief="The model.", examples=("rerank-v3.5",), source=_GEN_AI, required=False
)
QUERY_TEXT: Final = Attribute(
    name="gen_ai.retrieval.query.text",
    brief="The question; only by consent.",
    examples=("How often should I run?",),
    source=_GEN_AI,
    required=False,
)
DOCUMENTS: Final = Attribute(
    name="gen_ai.retrieval.documents",
    brief="Ids and scores of the documents, as JSON; only by consent.",
    examples=('[{"id":"plan-7","score":0.83}]',),
    source=_GEN_AI,
    required=False,
)
INPUT_MESSAGES: Final = Attribute(
    name="gen_ai.input.messages",
    brief="The question as a message, as JSON; only by consent.",
    examples=('[{"role":"user","parts":[{"type":"text","content":"…"}]}]',),
    source=_GEN_AI,
    required=False,
)
OUTPUT_MESSAGES: Final = Attribute(
    name="gen_ai.output.messages",
    brief="The answer as a message, as JSON; only by consent.",
    examples=('[{"role":"assistant","parts":[{"type":"text","content":"…"}]}]',),
    source=_GEN_AI,
    required=False,
)

QUERIES: Final = Counter(
    name="kpi.rag.queries",
    unit="{query}",
    brief="Questions that were answered from documents, by how that ended.",
    attributes=(NAME, OUTCOME),
    source="B6; B8",
    systems=("S4",),
)
QUERY_DURATION: Final = Histogram(
    name="kpi.rag.query.duration",
    unit="s",
    brief="From the question to the end of the answer, streams included.",
    attributes=(NAME, OUTCOME),
    buckets=_SECONDS,
    source="B6",
    systems=("S4",),
)
TIME_TO_FIRST_CHUNK: Final = Histogram(
    name="kpi.rag.time_to_first_chunk",
    unit="s",
    brief="From the question to the first piece of a streamed answer: what a person waits.",
    attributes=(NAME,),
    buckets=_SECONDS,
    source="B6",
    systems=("S4",),
)
STAGE_DURATION: Final = Histogram(
    name="kpi.rag.stage.duration",
    unit="s",
    brief="Time of a part of a query.",
    attributes=(NAME, STAGE, RESULT),
    buckets=_SECONDS,
    source="B6",
    systems=("S4",),
    series=500,
)
FOUND: Final = Histogram(
    name="kpi.rag.hits",
    unit="{document}",
    brief="Documents that one retrieval found, where it said how many.",
    attributes=(SOURCE,),
    buckets=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 20.0, 50.0, 100.0, 1000.0),
    source="B6",
    systems=("S4",),
)
SCORES: Final = Histogram(
    name="kpi.rag.top_score",
    unit="{score}",
    brief="Score of the best document of one retrieval or of one reranking, where it said so.",
    attributes=(STAGE, SOURCE),
    buckets=(0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0),
    minimum=float("-inf"),
    source="B6",
    systems=("S4",),
)
FOUND_DOCUMENTS: Final = Counter(
    name="kpi.rag.documents",
    unit="{document}",
    brief="Documents by where they come from: those that were found, and those that a reranking kept.",
    attributes=(SOURCE, STAGE),
    source="B6",
    systems=("S4",),
)
EMPTY_RESULTS: Final = Counter(
    name="kpi.rag.empty_results",
    unit="{retrieval}",
    brief="Retrievals that found nothing.",
    attributes=(SOURCE,),
    source="B6",
    systems=("S4",),
)
RAG_QUERIES: Final = Counter(
    name="rag.queries",
    unit="{query}",
    brief=QUERIES.brief,
    attributes=(
        Attribute(
            name="status",
            brief="`success` when there was an answer, `empty` when the documents held none, else `error`.",
            members=("success", "empty", "error"),
            source="S4 fixes the series; the label is the word of its other series",
        ),
    ),
    source="B8",
    systems=("S4",),
    compatibility=True,
)

QUERY_SPAN: Final = Span(
    id="kpi.rag.query",
    name="invoke_workflow {gen_ai.workflow.name}",
    kind="internal",
    brief="One question, from when it is asked to the end of its answer.",
    attributes=(
        OPERATION, WORKFLOW, CONVERSATION_ID, OUTCOME, HITS, TOP_SCORE, SOURCES, FIRST_CHUNK, ERROR_TYPE, INPUT_MESSAGES, OUTPUT_MESSAGES,
    ),
    source="OpenTelemetry's convention for workflows; B6",
    systems=("S4",),
)  # fmt: skip
RETRIEVAL_SPAN: Final = Span(
    id="kpi.rag.retrieval",
    name="retrieval {gen_ai.data_source.id}",
    kind="client",
    brief="One search for documents.",
    attributes=(
        OPERATION, DATA_SOURCE, TOP_K, PROVIDER, MODEL, HITS, TOP_SCORE, ERROR_TYPE, QUERY_TEXT, DOCUMENTS,
    ),
    source="OpenTelemetry's convention for retrievals; B6",
    systems=("S4",),
)  # fmt: skip
RERANK_SPAN: Final = Span(
    id="kpi.rag.rerank",
    name="rerank {gen_ai.request.model}",
    kind="internal",
    brief="Documents that were found are put in order anew, and the best are kept.",
    attributes=(OPERATION, MODEL, PROVIDER, TOP_K, HITS, TOP_SCORE, ERROR_TYPE, DOCUMENTS),
    source="B6",
    systems=("S4",),
)
GENERATION_SPAN: Final = Span(
    id="kpi.rag.generation",
    name="generation {gen_ai.workflow.name}",
    kind="internal",
    brief="The answer is made. What a language model is asked for it is a span of that client's below it.",
    attributes=(WORKFLOW, STAGE, ERROR_TYPE),
    source="B6",
    systems=("S4",),
)

PACK: Final = Pack(
    name="rag",
    title="Retrieval-augmented generation",
    brief="Questions that are answered from documents: how they end, what each stage takes, what was found where, and "
    "how good it was.",
    instruments=(
        QUERIES,
        QUERY_DURATION,
        TIME_TO_FIRST_CHUNK,
        STAGE_DURATION,
        FOUND,
        SCORES,
        FOUND_DOCUMENTS,
        EMPTY_RESULTS,
        RAG_QUERIES,
    ),
    spans=(QUERY_SPAN, RETRIEVAL_SPAN, RERANK_SPAN, GENERATION_SPAN),
)
