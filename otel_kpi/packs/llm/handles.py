"""The handles of what calls of language models measure, one for each instrument that is recorded here."""

from __future__ import annotations

from typing import Final

from otel_kpi import record
from otel_kpi.packs.llm import budget_instruments, instruments, latest_instruments, openai_instruments

SCOPE: Final = "otel_kpi.llm"
"""Instrumentation scope of the pack's series."""

call_duration: Final = record.histogram(instruments.CALL_DURATION, SCOPE)
token_usage: Final = record.histogram(instruments.TOKEN_USAGE, SCOPE)
cost_distribution: Final = record.histogram(instruments.COST_DISTRIBUTION, SCOPE)
cost: Final = record.exact_counter(instruments.COST, SCOPE)
openai_requests: Final = record.counter(openai_instruments.OPENAI_REQUESTS, SCOPE)
openai_duration: Final = record.histogram(openai_instruments.OPENAI_DURATION, SCOPE)
openai_tokens: Final = record.counter(openai_instruments.OPENAI_TOKENS, SCOPE)
openai_cost: Final = record.exact_counter(openai_instruments.OPENAI_COST, SCOPE)
unpriced: Final = record.counter(instruments.UNPRICED, SCOPE)
budget_crossed: Final = record.counter(budget_instruments.BUDGET_CROSSED, SCOPE)
budget_uncounted: Final = record.counter(budget_instruments.BUDGET_UNCOUNTED, SCOPE)
tokens: Final = record.counter(instruments.TOKENS, SCOPE)
usage_faults: Final = record.counter(instruments.USAGE_FAULTS, SCOPE)
retries: Final = record.counter(instruments.RETRIES, SCOPE)
retry_wait: Final = record.histogram(instruments.RETRY_WAIT, SCOPE)
streams_abandoned: Final = record.counter(instruments.STREAMS_ABANDONED, SCOPE)
rate_limit: Final = record.gauge(instruments.RATE_LIMIT, SCOPE)
rate_limit_remaining: Final = record.gauge(instruments.RATE_LIMIT_REMAINING, SCOPE)
rate_limit_reset: Final = record.gauge(instruments.RATE_LIMIT_RESET, SCOPE)
latest_duration: Final = record.histogram(latest_instruments.LATEST_DURATION, SCOPE)
latest_first_chunk: Final = record.histogram(latest_instruments.LATEST_FIRST_CHUNK, SCOPE)
latest_per_chunk: Final = record.histogram(latest_instruments.LATEST_PER_CHUNK, SCOPE)
latest_input: Final = record.counter(latest_instruments.LATEST_INPUT, SCOPE)
latest_output: Final = record.counter(latest_instruments.LATEST_OUTPUT, SCOPE)
latest_cache_read: Final = record.counter(latest_instruments.LATEST_CACHE_READ, SCOPE)
latest_cache_write: Final = record.counter(latest_instruments.LATEST_CACHE_WRITE, SCOPE)
latest_reasoning: Final = record.counter(latest_instruments.LATEST_REASONING, SCOPE)
latest_input_distribution: Final = record.histogram(latest_instruments.LATEST_INPUT_DISTRIBUTION, SCOPE)
latest_output_distribution: Final = record.histogram(latest_instruments.LATEST_OUTPUT_DISTRIBUTION, SCOPE)
