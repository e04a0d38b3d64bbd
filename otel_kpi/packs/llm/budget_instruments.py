"""What is declared of budgets: what may be spent, and when it was."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute, Counter, Event, Gauge
from otel_kpi.packs.attributes import TENANT
from otel_kpi.packs.llm.call_attributes import CURRENCY, FROM_COST

BUDGET_SCOPE: Final = Attribute(
    name="kpi.llm.budget.scope",
    brief="What it limits: all calls, those of a tenant, or a piece of work in code.",
    members=("overall", "tenant", "guard"),
)
BUDGET_PERIOD: Final = Attribute(
    name="kpi.llm.budget.period",
    brief="In which time, of UTC.",
    members=("day", "month"),
    required=False,
)
_BUDGET_CURRENCY: Final = Attribute(
    name=CURRENCY.name,
    brief="The currency in which the budget is written.",
    budget=10,
    examples=("EUR",),
    source=FROM_COST,
    required=False,
)
BUDGET_LIMIT: Final = Gauge(
    name="kpi.llm.budget.limit",
    unit="{cost}",
    brief="What may be spent before somebody is told, in each currency with a rate to that of the budget; "
    '`kpi_tenant="*"` is each tenant without a budget of its own. Every process says it: they do not add up.',
    attributes=(BUDGET_SCOPE, BUDGET_PERIOD, TENANT, _BUDGET_CURRENCY),
    minimum=0,
    observable=True,
    source="D4; C1 openai_daily_cost",
    systems=("S3", "S4"),
    series=500,
)
BUDGET_CROSSED: Final = Counter(
    name="kpi.llm.budget.crossed",
    unit="{crossing}",
    brief="Budgets that this process alone has spent, once for each period.",
    attributes=(BUDGET_SCOPE, BUDGET_PERIOD, TENANT, _BUDGET_CURRENCY),
    source="D4",
    systems=("S3", "S4"),
    series=500,
)
BUDGET_UNCOUNTED: Final = Counter(
    name="kpi.llm.budget.uncounted",
    unit="{call}",
    brief="Calls that a budget could not count, since nobody said the rate to its currency.",
    attributes=(CURRENCY,),
    source="Money without a rate is in no sum",
)
CURRENCY_RATE: Final = Gauge(
    name="kpi.llm.currency.rate",
    unit="{unit}",
    brief="How much of the second currency 1 of the first is, as the user said.",
    attributes=(
        Attribute(name="kpi.llm.currency.from", brief="The first.", budget=10, examples=("USD",)),
        Attribute(name="kpi.llm.currency.to", brief="The second.", budget=10, examples=("EUR",)),
    ),
    minimum=0,
    observable=True,
    source="D4: conversion only with a rate that the user gave",
)
BUDGET_LIMIT_AMOUNT: Final = Attribute(
    name="kpi.llm.budget.limit",
    brief="What may be spent, to its last decimal.",
    examples=("50", "20000 tokens"),
)
BUDGET_SPENT_AMOUNT: Final = Attribute(
    name="kpi.llm.budget.spent", brief="What was spent in this process.", examples=("50.0125",)
)
BUDGET_CROSSED_EVENT: Final = Event(
    name="kpi.llm.budget.crossed",
    brief="This process alone has spent what a budget allows, in this day or month; or a piece of work has.",
    attributes=(
        BUDGET_SCOPE,
        BUDGET_PERIOD,
        TENANT,
        _BUDGET_CURRENCY,
        BUDGET_LIMIT_AMOUNT,
        BUDGET_SPENT_AMOUNT,
    ),
    source="D4",
    systems=("S3", "S4"),
)

INSTRUMENTS: Final = (BUDGET_LIMIT, BUDGET_CROSSED, BUDGET_UNCOUNTED, CURRENCY_RATE)
EVENTS: Final = (BUDGET_CROSSED_EVENT,)
