"""The handles of the pack's instruments, one for each."""

from __future__ import annotations

from typing import Final

from otel_kpi import record
from otel_kpi.packs.rag import instruments

SCOPE: Final = "otel_kpi.rag"
"""Instrumentation scope of the pack's spans and series."""

queries: Final = record.counter(instruments.QUERIES, SCOPE)
query_duration: Final = record.histogram(instruments.QUERY_DURATION, SCOPE)
time_to_first_chunk: Final = record.histogram(instruments.TIME_TO_FIRST_CHUNK, SCOPE)
stage_duration: Final = record.histogram(instruments.STAGE_DURATION, SCOPE)
hits: Final = record.histogram(instruments.FOUND, SCOPE)
top_score: Final = record.histogram(instruments.SCORES, SCOPE)
documents: Final = record.counter(instruments.FOUND_DOCUMENTS, SCOPE)
empty_results: Final = record.counter(instruments.EMPTY_RESULTS, SCOPE)
rag_queries: Final = record.counter(instruments.RAG_QUERIES, SCOPE)
