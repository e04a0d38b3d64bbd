"""Calls of models, runs of pipelines and their stages have rows of their own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.dev.said import of, rows, span

from otel_kpi.dev.store import facts

if TYPE_CHECKING:
    from otel_kpi.dev.store import Store
    from otel_kpi.dev.telemetry import Value

_CALL: dict[str, Value] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.usage.input_tokens": 1_200,
    "gen_ai.usage.output_tokens": 80,
    "gen_ai.usage.cache_read.input_tokens": 1_000,
    "gen_ai.usage.cache_write.input_tokens": 7,
    "gen_ai.usage.reasoning.output_tokens": 30,
    "gen_ai.usage.cost.amount": 1.2e-05,
    "gen_ai.usage.cost.currency": "EUR",
    "gen_ai.response.time_to_first_chunk": 0.25,
    "kpi.tenant": "acme",
    "kpi.feature": "summary",
}
_SELECT = """
    SELECT o.s, p.s, m.s, f.s, t.s, input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens,
    first_chunk_ns, cost, currency, unpriced, span FROM llm_call c JOIN str o ON o.id = operation
    LEFT JOIN str p ON p.id = provider LEFT JOIN str m ON m.id = model LEFT JOIN str f ON f.id = feature
    LEFT JOIN str t ON t.id = tenant ORDER BY span"""


def test_a_call_of_a_model_is_kept_with_its_cost_to_the_last_decimal(store: Store) -> None:
    store.write([of("bot", span("call", values=_CALL, kind=3), span("other"))])
    assert rows(store, _SELECT) == [
        (
            "chat",
            "openai",
            "gpt-4o-mini",
            "summary",
            "acme",
            1_200,
            80,
            1_000,
            7,
            30,
            250_000_000,
            "0.000012",
            "EUR",
            None,
            1,
        )
    ]
    assert rows(store, "SELECT llm_calls FROM trace") == [(1,)]


def test_a_call_that_nobody_priced_has_no_cost_and_the_reason(store: Store) -> None:
    store.write([
        of("bot", span("call", values={
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "kpi.llm.unpriced.reason": "unknown_model",
        })),
    ])  # fmt: skip
    assert rows(store, _SELECT) == [
        ("chat", None, "m", None, None, None, None, None, None, None, None, None, None, "unknown_model", 1)
    ]


@pytest.mark.parametrize("operation", ["invoke_agent", "execute_tool"])
def test_an_agent_around_calls_is_none(store: Store, operation: str) -> None:
    store.write([of("bot", span("agent", values={**_CALL, "gen_ai.operation.name": operation}))])
    assert rows(store, "SELECT (SELECT count(*) FROM llm_call), llm_calls FROM trace") == [(0, 0)]


def test_openinference_and_older_names_are_understood(store: Store) -> None:
    store.write([
        of("bot",
           span("phoenix", values={"openinference.span.kind": "LLM", "llm.model_name": "claude", "llm.token_count.prompt": 5}),
           span("chain", values={"openinference.span.kind": "CHAIN", "llm.model_name": "claude"}),
           span("older", values={"gen_ai.system": "openai", "gen_ai.request.model": "gpt-4", "gen_ai.usage.prompt_tokens": 3,
                                 "gen_ai.usage.cost": "0.5"})),
    ])  # fmt: skip
    assert [(row[0], row[1], row[2], row[5], row[11], row[12]) for row in rows(store, _SELECT)] == [
        ("chat", None, "claude", 5, None, None),
        ("chat", "openai", "gpt-4", 3, "0.5", "USD"),
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"), (0.0, "0.0"), ("0.10", "0.10"), (3, "3"), (1e-9, "0.000000001"), (-1, None), (float("nan"), None),
        (float("inf"), None), ("1e999999", None), ("dear", None), (True, None), (None, None), ([1], None), ("1e-999999", None),
    ],
)  # fmt: skip
def test_an_amount_is_a_decimal_or_nothing(value: Value, said: str | None) -> None:
    assert facts.amount(value) == said


@pytest.mark.parametrize("value", [-1, True, "many", float("nan"), 1e300, 2**80])
def test_hostile_counts_of_tokens_do_no_harm(store: Store, value: Value) -> None:
    store.write([of("bot", span("call", values={**_CALL, "gen_ai.usage.input_tokens": value}))])
    ((found,),) = rows(store, "SELECT input_tokens FROM llm_call")
    assert found is None or 0 <= found < 2**63


_RUN: dict[str, Value] = {
    "kpi.etl.pipeline.name": "marketing", "kpi.etl.run.id": "r1", "kpi.etl.result": "success", "kpi.etl.quality_score": 98.5,
}  # fmt: skip
_STAGE: dict[str, Value] = {
    "kpi.etl.pipeline.name": "marketing", "kpi.etl.stage.name": "load", "kpi.etl.records.read": 90,
    "kpi.etl.validation.errors": ["missing_email=2"], "other": 1,
}  # fmt: skip


@pytest.mark.parametrize("first", ["run", "stage", "together"])
def test_a_stage_finds_its_run_whichever_comes_first(store: Store, first: str) -> None:
    run, stage = span("run", values=_RUN), span("stage", "run", values=_STAGE)
    if first == "together":
        store.write([of("etl", stage, run)])
    else:
        for each in (run, stage) if first == "run" else (stage, run):
            store.write([of("etl", each)])
    assert rows(store, "SELECT s, run_id, quality FROM pipeline_run JOIN str ON str.id = pipeline") == [
        ("marketing", "r1", 98.5)
    ]
    ((name, run_id, records),) = rows(
        store, "SELECT s, run_id, records FROM stage JOIN str ON str.id = stage"
    )
    assert (name, run_id) == ("load", "r1")
    assert json.loads(records) == {
        "pipeline.name": "marketing", "stage.name": "load", "records.read": 90, "validation.errors": ["missing_email=2"],
    }  # fmt: skip


def test_statements_of_databases_are_counted(store: Store) -> None:
    store.write([
        of("shop", span("a", values={"db.system": "postgresql"}), span("b", values={"db.system.name": "redis"}), span("c")),
    ])  # fmt: skip
    assert rows(store, "SELECT statements FROM trace") == [(2,)]
