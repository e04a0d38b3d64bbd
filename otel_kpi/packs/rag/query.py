"""A question that is answered from documents, from when it is asked to the end of its answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

from otel_kpi.packs import consent, conversations
from otel_kpi.packs.faults import failed
from otel_kpi.packs.rag import documents, handles
from otel_kpi.packs.rag import instruments as names
from otel_kpi.packs.rag.work import Work

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otel_kpi.packs.rag.stages import Generation, Rerank, Retrieval

_CURRENT: Final = context.create_key("otel_kpi.rag")
_MOST_SOURCES: Final = 20
_STATUS: Final = {"success": "success", "empty": "empty", "unanswered": "empty"}
"""S4's word for an outcome; all others are `error`."""


def current() -> Query | None:
    """The query that is under way here; None outside of one."""
    found = context.get_value(_CURRENT)
    return found if isinstance(found, Query) else None


class Query(Work):
    """A query that is under way; made by `query()`.

    Attributes:
        name: What answers.
        question: What was asked; on spans by consent only.
    """

    __slots__ = ("_found", "_score", "_sources", "_unanswered", "name", "question")

    def __init__(self, name: str, question: str | None = None) -> None:
        self.name = name
        self.question = question
        super().__init__()

    def _reset(self) -> None:
        super()._reset()
        self._found: int | None = None
        self._score: float | None = None
        self._sources: list[str] = []
        self._unanswered = False

    def retrieval(
        self,
        source: str,
        *,
        top_k: int | None = None,
        question: str | None = None,
        provider: str | None = None,
        model: str | None = None,
    ) -> Retrieval:
        """A search for documents, see `rag.retrieval`."""
        from otel_kpi.packs.rag.stages import Retrieval

        return Retrieval(source, top_k=top_k, question=question, provider=provider, model=model, within=self)

    def rerank(
        self, model: str | None = None, *, top_k: int | None = None, provider: str | None = None
    ) -> Rerank:
        """A new order of what was found, see `rag.rerank`."""
        from otel_kpi.packs.rag.stages import Rerank

        return Rerank(model, top_k=top_k, provider=provider, within=self)

    def generation(self) -> Generation:
        """The making of the answer, see `rag.generation`."""
        from otel_kpi.packs.rag.stages import Generation

        return Generation(within=self)

    def unanswered(self) -> None:
        """Say that the documents held no answer: what a model says of it, only the application can read."""
        self._unanswered = True

    def answer(self, text: str) -> None:
        """Hand over the answer; it is written down by consent only, and else not kept."""
        try:
            if consent.on_spans() and self._span.is_recording():
                self._noted[names.OUTPUT_MESSAGES.name] = documents.message("assistant", text)
        except Exception as error:
            failed("the answer of a RAG query", error)

    # --- what its stages tell it

    def took(self, source: str | None, found: int | None, score: float | None) -> None:
        """A stage is over: a retrieval adds to what was found, a reranking replaces the score."""
        with self._lock:
            if source is not None:
                if len(self._sources) < _MOST_SOURCES and source not in self._sources:
                    self._sources.append(source)
                if found is not None:
                    self._found = found + (self._found or 0)
                if score is not None:
                    self._score = score if self._score is None else max(score, self._score)
            elif score is not None:
                self._score = score

    def told_first(self) -> None:
        """The first piece of a streamed answer is here."""
        seconds = time.perf_counter() - self._began
        with self._lock:
            if names.FIRST_CHUNK.name in self._noted:
                return
            self._noted[names.FIRST_CHUNK.name] = seconds
        handles.time_to_first_chunk.record(seconds, self.name)

    # --- what every kind of work says

    def _anew(self) -> Query:
        return Query(self.name, self.question)

    def _name(self) -> str:
        return f"invoke_workflow {self.name}"

    def _attributes(self) -> dict[str, Any]:
        attributes = {names.OPERATION.name: "invoke_workflow", names.WORKFLOW.name: self.name}
        conversation = conversations.current()
        if conversation is not None:
            attributes[conversations.ATTRIBUTE] = conversation
        try:
            if self.question is not None and consent.on_spans():
                attributes[names.INPUT_MESSAGES.name] = documents.message("user", self.question)
        except Exception as error:
            failed("the question of a RAG query", error)
        return attributes

    def _placed(self, within: Context) -> Context:
        return context.set_value(_CURRENT, self, within)

    def _outcome(self, result: str) -> str:
        if result != "success":
            return result
        if self._unanswered:
            return "unanswered"
        # Nobody said how much was found: that is not nothing.
        return "empty" if self._found == 0 else "success"

    def _over(self, seconds: float, result: str) -> None:
        outcome = self._outcome(result)
        handles.queries.add(1, self.name, outcome)
        handles.rag_queries.add(1, _STATUS.get(outcome, "error"))
        handles.query_duration.record(seconds, self.name, outcome)
        known = {
            names.OUTCOME.name: outcome,
            names.HITS.name: self._found,
            names.TOP_SCORE.name: self._score,
            names.SOURCES.name: self._sources or None,
        }
        self._noted.update({name: value for name, value in known.items() if value is not None})


def query(name: str, question: str | None = None) -> Query:
    """A question that is answered from documents: a span, counted with its outcome when the answer is complete.

    Args:
        name: What answers, for example `"faq"`; at most 20 distinct ones.
        question: What was asked. On the span only where `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` says so.

    A context manager for `with` and `async with`, or a decorator of functions, coroutines and generators; a
    generator's query ends with its last value. Exported as ``kpi_rag_queries_total`` and
    ``kpi_rag_query_duration_seconds`` by name and outcome: `success`, `empty` when every retrieval said that it found
    nothing, `unanswered` when `unanswered()` was called, `error`, `timeout`, `cancellation`. Never raises; what the
    application raises goes on.
    """
    return Query(name, question)
