"""The parts of a query: the search for documents, their new order, the making of the answer."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.trace import SpanKind

from otel_kpi.packs import consent
from otel_kpi.packs.faults import failed
from otel_kpi.packs.rag import documents as shapes
from otel_kpi.packs.rag import handles
from otel_kpi.packs.rag import instruments as names
from otel_kpi.packs.rag.query import current
from otel_kpi.packs.rag.streams import told
from otel_kpi.packs.rag.work import Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otel_kpi.packs.rag.query import Query

D = TypeVar("D")
S = TypeVar("S")


class _Stage(Work):
    """A part of a query, or of none."""

    __slots__ = ("_given", "_query")

    stage: str

    def __init__(self, within: Query | None = None) -> None:
        self._given = within
        self._query = within
        super().__init__()

    def _on_begin(self) -> None:
        self._query = self._given if self._given is not None else current()

    def _over(self, seconds: float, result: str) -> None:
        query = self._query
        handles.stage_duration.record(seconds, None if query is None else query.name, self.stage, result)


class _Search(_Stage):
    """A stage that gives documents."""

    __slots__ = ("_found", "_score", "_source")

    def __init__(self, source: str | None, within: Query | None = None) -> None:
        self._source = source
        super().__init__(within)

    def _reset(self) -> None:
        super()._reset()
        self._found: int | None = None
        self._score: float | None = None

    def found(
        self, hits: int, top_score: float | None = None, by_source: Mapping[str, int] | None = None
    ) -> None:
        """Say how many documents there are.

        Args:
            hits: How many, 0 or more.
            top_score: The score of the best one, in the measure of what searched; None where there is none.
            by_source: How many from where, if not all are from the stage's own source.

        Exported as ``kpi_rag_hits``, ``kpi_rag_top_score``, ``kpi_rag_documents_total`` and
        ``kpi_rag_empty_results_total``. Said twice, the second time adds to what was found.
        """
        try:
            hits = int(hits)
            if top_score is not None and math.isfinite(top_score):
                score = float(top_score)
                self._score = score if self._score is None else max(score, self._score)
            if hits >= 0:
                self._found = hits + (self._found or 0)
            each = (
                by_source if by_source is not None else {} if self._source is None else {self._source: hits}
            )
            for source, count in each.items():
                handles.documents.add(count, source, self.stage)
        except Exception as error:
            failed("what a retrieval found", error)

    def documents(self, found: Iterable[D]) -> list[D]:
        """Say which documents there are: how many, and the greatest score if they have some.

        Args:
            found: Documents of any library, mappings with `id` and `score`, or pairs of document and score. What an
                iterator gives is taken from it.

        Returns:
            The same documents, as a list. What is in them is not looked at; their ids and scores are written on the
            span where content may stand there.
        """
        listed = list(found)
        try:
            self.found(len(listed), shapes.top_score(listed))
            if consent.on_spans() and self._span.is_recording():
                self._noted[names.DOCUMENTS.name] = shapes.as_json(listed)
        except Exception as error:
            failed("the documents of a retrieval", error)
        return listed

    def _over(self, seconds: float, result: str) -> None:
        super()._over(seconds, result)
        if self._score is not None:
            handles.top_score.record(self._score, self.stage, self._source)
            self._noted[names.TOP_SCORE.name] = self._score
        if self._found is not None:
            self._noted[names.HITS.name] = self._found
        if self._query is not None:
            self._query.took(self._source, self._found, self._score)


class Retrieval(_Search):
    """A search for documents; made by `retrieval()`."""

    __slots__ = ("_known", "_question", "source")

    stage = "retrieval"
    kind = SpanKind.CLIENT

    def __init__(  # noqa: PLR0913 - what is known of a retrieval, by name
        self,
        source: str,
        *,
        top_k: int | None = None,
        question: str | None = None,
        provider: str | None = None,
        model: str | None = None,
        within: Query | None = None,
    ) -> None:
        self.source = source
        self._question = question
        self._known = {
            names.DATA_SOURCE.name: source,
            names.TOP_K.name: top_k,
            names.PROVIDER.name: provider,
            names.MODEL.name: model,
        }
        super().__init__(source, within)

    def _anew(self) -> Retrieval:
        fresh = Retrieval(self.source, question=self._question, within=self._given)
        fresh._known = self._known
        return fresh

    def _name(self) -> str:
        return f"retrieval {self.source}"

    def _attributes(self) -> dict[str, Any]:
        known = {names.OPERATION.name: "retrieval", **self._known}
        if consent.on_spans():
            asked = self._question
            if asked is None and self._query is not None:
                asked = self._query.question
            known[names.QUERY_TEXT.name] = asked
        return {name: value for name, value in known.items() if value is not None}

    def _over(self, seconds: float, result: str) -> None:
        super()._over(seconds, result)
        if self._found is not None:
            handles.hits.record(self._found, self.source)
            if self._found == 0:
                handles.empty_results.add(1, self.source)


class Rerank(_Search):
    """A new order of what was found; made by `rerank()`."""

    __slots__ = ("_known", "_model")

    stage = "rerank"

    def __init__(
        self,
        model: str | None = None,
        *,
        top_k: int | None = None,
        provider: str | None = None,
        within: Query | None = None,
    ) -> None:
        self._model = model
        self._known = {names.MODEL.name: model, names.TOP_K.name: top_k, names.PROVIDER.name: provider}
        super().__init__(None, within)

    def _anew(self) -> Rerank:
        fresh = Rerank(self._model, within=self._given)
        fresh._known = self._known
        return fresh

    def _name(self) -> str:
        return "rerank" if self._model is None else f"rerank {self._model}"

    def _attributes(self) -> dict[str, Any]:
        known = {names.OPERATION.name: "rerank", **self._known}
        return {name: value for name, value in known.items() if value is not None}


class Generation(_Stage):
    """The making of the answer; made by `generation()`."""

    __slots__ = ()

    stage = "generation"

    def stream(self, pieces: S) -> S:
        """Have this stage, and the query, go on until a stream is over, also when the block is left before.

        Args:
            pieces: An iterator, an iterable or an asynchronous one: the stream of a client, or a generator.

        Returns:
            What gives the same pieces. It is over with the last of them, with an exception, when it is closed, and
            when nobody holds it any more. All else is asked of the stream itself. What cannot be iterated comes back
            as it is.
        """
        return told(pieces, self, self._query)

    def _anew(self) -> Generation:
        return Generation(self._given)

    def _name(self) -> str:
        return "generation" if self._query is None else f"generation {self._query.name}"

    def _attributes(self) -> dict[str, Any]:
        known = {names.STAGE.name: self.stage}
        if self._query is not None:
            known[names.WORKFLOW.name] = self._query.name
        return known


def retrieval(
    source: str,
    *,
    top_k: int | None = None,
    question: str | None = None,
    provider: str | None = None,
    model: str | None = None,
) -> Retrieval:
    """A search for documents in the current query: a span `retrieval <source>`, and a time.

    Args:
        source: Where documents come from, for example `"products"`; at most 20 distinct ones.
        top_k: How many are asked for at most.
        question: What is searched for, where it is not the query's; on the span by consent only.
        provider: Who searches, as `"qdrant"`.
        model: The model of the embeddings.

    For `with` and `async with`, and as a decorator. Tell it what there is: `documents(found)`, or `found(5, 0.83)`.
    """
    return Retrieval(source, top_k=top_k, question=question, provider=provider, model=model)


def rerank(model: str | None = None, *, top_k: int | None = None, provider: str | None = None) -> Rerank:
    """A new order of what was found, in the current query: a span `rerank <model>`, and a time.

    Args:
        model: What puts them in order.
        top_k: How many are kept at most.
        provider: Who does it, as `"cohere"`.
    """
    return Rerank(model, top_k=top_k, provider=provider)


def generation() -> Generation:
    """The making of the answer, in the current query: a span, and a time.

    What a language model is asked in it is a span of its client below it. An answer that is told in pieces goes
    through `stream()`.
    """
    return Generation()
