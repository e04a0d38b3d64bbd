"""Retrieval-augmented generation: questions that are answered from documents.

Public: `query` around a question; `retrieval`, `rerank` and `generation` around its stages; `current` for code that
is called within one.
"""

from __future__ import annotations

from otel_kpi.packs.rag.instruments import PACK
from otel_kpi.packs.rag.query import Query, current, query
from otel_kpi.packs.rag.stages import Generation, Rerank, Retrieval, generation, rerank, retrieval

__all__ = [
    "PACK",
    "Generation",
    "Query",
    "Rerank",
    "Retrieval",
    "current",
    "generation",
    "query",
    "rerank",
    "retrieval",
]
