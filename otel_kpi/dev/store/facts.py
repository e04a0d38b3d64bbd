"""What a span's attributes say of a call of a language model, a run of a pipeline, or a stage of one: a row of its own.

A page of calls by model, or of runs, reads these tables; from the spans' attributes the same takes fifteen times as long.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from otel_kpi.packs.attributes import FEATURE, TENANT
from otel_kpi.packs.etl import instruments as etl
from otel_kpi.packs.llm import names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_kpi.dev.store.dictionary import Dictionary
    from otel_kpi.dev.telemetry import Attributes, Span, Value

STATEMENT: Final = 1
LLM: Final = 2
RUN: Final = 4
STAGE: Final = 8

_DATABASE: Final = frozenset(("db.system", "db.system.name"))
_OPENINFERENCE: Final = "openinference.span.kind"
_NO_CALLS: Final = frozenset(
    ("execute_tool", "invoke_agent", "create_agent", "invoke_workflow", "plan", "retrieval", "rerank")
)
"""Operations that contain calls of models or have none: their tokens would be counted twice."""
_OPERATION: Final = (names.OPERATION, "llm.request.type")
_PROVIDER: Final = (names.PROVIDER, "gen_ai.system", "llm.provider", "llm.system")
_MODEL: Final = (names.REQUEST_MODEL, names.RESPONSE_MODEL, "llm.model_name", "embedding.model_name")
_INPUT: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens", "llm.token_count.prompt")
_OUTPUT: Final = (
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
)
_CACHED: Final = ("gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read")
_CACHE_WRITE: Final = (
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "llm.token_count.prompt_details.cache_write",
)
_REASONING: Final = (
    "gen_ai.usage.reasoning.output_tokens",
    "llm.token_count.completion_details.reasoning",
)
_FIRST_CHUNK: Final = ("gen_ai.response.time_to_first_chunk", "gen_ai.server.time_to_first_token")
_UNPRICED: Final = "kpi.llm.unpriced.reason"
_DOLLARS: Final = "USD"
_ETL: Final = "kpi.etl."
_MOST: Final = 1 << 40
"""Tokens of a call: more than any model takes, and as much as can be added up by SQLite's integers."""
PLACES: Final = 12
"""Decimals of an amount that is kept as an integer, too, for SQLite to add: a price is of a million tokens."""
_DIGITS: Final = 30
"""Before and after the point of an amount: more is nobody's."""
_LONGEST: Final = 1e9
"""Seconds that a first chunk may be waited for."""


def facts_of(keys: tuple[str, ...]) -> int:
    """What a span with such keys may be: `STATEMENT`, `LLM`, `RUN` and `STAGE`, added."""
    has = frozenset(keys)
    found = STATEMENT if has & _DATABASE else 0
    if names.OPERATION in has or has & {"gen_ai.system", "llm.request.type"} or _OPENINFERENCE in has:
        found |= LLM
    if etl.STAGE_NAME.name in has:
        found |= STAGE
    elif etl.RUN_ID.name in has and etl.PIPELINE_NAME.name in has:
        found |= RUN
    return found


def _first(said: Mapping[str, Value], keys: tuple[str, ...]) -> Value:
    return next((said[key] for key in keys if said.get(key) is not None), None)


def _text(said: Mapping[str, Value], *keys: str) -> str | None:
    value = _first(said, keys)
    return None if value is None or isinstance(value, list | dict | bytes) else str(value)


def _count(said: Mapping[str, Value], keys: tuple[str, ...]) -> int | None:
    value = _first(said, keys)
    # A double has no room for every integer: one is taken as it is.
    count = value if isinstance(value, int) and not isinstance(value, bool) else _number(value)
    return None if count is None or count < 0 else min(int(count), _MOST)


def _number(value: Value) -> float | None:
    """A finite number; None of what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def amount(value: Value) -> str | None:
    """An amount of money as a decimal without an exponent; None of what is none."""
    if value is None or isinstance(value, bool | bytes | list | dict):
        return None
    try:
        decimal = Decimal(str(value))
    except InvalidOperation:
        return None
    # An exponent of a million would be a million digits.
    if not decimal.is_finite() or decimal < 0 or abs(decimal.adjusted()) > _DIGITS:
        return "0" if decimal.is_finite() and not decimal else None
    return f"{decimal:f}"


def pico(cost: str | None) -> int | None:
    """An amount below one as a count of its twelfth decimal; None of one that has more of them, or is larger.

    Nine millions of such amounts have a sum within SQLite's integers.
    """
    if cost is None:
        return None
    whole, _, decimals = cost.partition(".")
    return int(decimals.ljust(PLACES, "0")) if whole == "0" and len(decimals) <= PLACES else None


def called(said: Mapping[str, Value]) -> str | None:
    """The operation of a call of a language model, by the attributes of its span; None of what is none."""
    operation = _text(said, *_OPERATION)
    if _OPENINFERENCE in said and operation is None:
        operation = {"LLM": "chat", "EMBEDDING": "embeddings"}.get(str(said[_OPENINFERENCE]).upper())
        if operation is None:
            return None
    if operation in _NO_CALLS or (model(said) is None and tokens(said)[:2] == (None, None)):
        return None
    return operation or "chat"


def is_call(said: Mapping[str, Value]) -> bool:
    """Whether a span with these attributes is a call of a language model: each page and line counts the same ones."""
    return bool(facts_of(tuple(said)) & LLM) and called(said) is not None


def model(said: Mapping[str, Value]) -> str | None:
    """The model that a call asks for, or that has answered."""
    return _text(said, *_MODEL)


def tokens(said: Mapping[str, Value]) -> tuple[int | None, int | None, int | None, int | None]:
    """Tokens of a call: sent, made, of the sent ones those from a cache, of the made ones those of reasoning."""
    return _count(said, _INPUT), _count(said, _OUTPUT), _count(said, _CACHED), _count(said, _REASONING)


def price(said: Mapping[str, Value]) -> tuple[str | None, str | None]:
    """What a call cost, as a decimal, and its currency; None where nobody says."""
    cost, currency = amount(said.get(names.COST_AMOUNT)), _text(said, names.COST_CURRENCY)
    if cost is None:
        cost = next((found for key in names.ALIASES if (found := amount(said.get(key))) is not None), None)
        currency = None
    return cost, (currency or _DOLLARS) if cost is not None else None


def llm_call(
    row: int, span: Span, start_ns: int, duration_ns: int, dictionary: Dictionary
) -> tuple[object, ...] | None:
    """The row of `llm_call`; None of a span that is no call of a model."""
    said = {each[0]: each[1] for each in span.attributes}
    operation = called(said)
    if operation is None:
        return None
    used, output, cached, reasoning = tokens(said)
    cost, currency = price(said)
    waited = _number(_first(said, _FIRST_CHUNK))
    optional = dictionary.optional
    return (
        row, start_ns, duration_ns, span.status, dictionary.text(operation),
        optional(_text(said, *_PROVIDER)), optional(model(said)), optional(_text(said, FEATURE.name)),
        optional(_text(said, TENANT.name)), used, output, cached, _count(said, _CACHE_WRITE),
        reasoning, int(waited * 1e9) if waited is not None and 0 <= waited < _LONGEST else None, cost,
        currency, _text(said, _UNPRICED), pico(cost),
    )  # fmt: skip


def pipeline_run(
    row: int, span: Span, start_ns: int, duration_ns: int, dictionary: Dictionary
) -> tuple[object, ...]:
    """The row of `pipeline_run`."""
    said = {each[0]: each[1] for each in span.attributes}
    return (
        row, start_ns, duration_ns, span.status, dictionary.text(_text(said, etl.PIPELINE_NAME.name) or ""),
        _text(said, etl.RUN_ID.name), _number(said.get("kpi.etl.quality_score")),
    )  # fmt: skip


def stage(
    row: int, span: Span, start_ns: int, duration_ns: int, dictionary: Dictionary
) -> tuple[object, ...]:
    """The row of `stage`."""
    said = {each[0]: each[1] for each in span.attributes}
    return (
        row, _text(said, etl.RUN_ID.name), dictionary.optional(_text(said, etl.PIPELINE_NAME.name)),
        dictionary.text(_text(said, etl.STAGE_NAME.name) or ""), start_ns, duration_ns, span.status,
        records(span.attributes),
    )  # fmt: skip


def records(attributes: Attributes) -> str:
    """What a span says of records, as an object in JSON without the namespace."""
    said = [
        f"{json.dumps(each[0][len(_ETL) :])}:{each[2]}" for each in attributes if each[0].startswith(_ETL)
    ]
    return "{" + ",".join(said) + "}"


CALL_SQL: Final = (
    "INSERT INTO llm_call (span, start_ns, dur_ns, status, operation, provider, model, feature, tenant, input_tokens, "
    "output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, first_chunk_ns, cost, currency, unpriced, cost_pico) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
RUN_SQL: Final = "INSERT INTO pipeline_run (span, start_ns, dur_ns, status, pipeline, run_id, quality) VALUES (?, ?, ?, ?, ?, ?, ?)"
STAGE_SQL: Final = (
    "INSERT INTO stage (span, run_id, pipeline, stage, start_ns, dur_ns, status, records) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
RUN_OF_STAGES: Final = """
    UPDATE stage SET run_id = (
        SELECT run.run_id FROM pipeline_run run JOIN span ON span.id = run.span
        WHERE span.trace = ?1 AND (stage.pipeline IS NULL OR run.pipeline = stage.pipeline) LIMIT 1)
    WHERE run_id IS NULL AND span IN (SELECT id FROM span WHERE trace = ?1)"""
"""A stage does not know its run, a run ends after its stages: they find each other by their trace."""
