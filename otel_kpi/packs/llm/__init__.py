"""Calls of language models: time, tokens by class and true cost, by model, tenant and feature.

With `otel-kpi[llm]` the SDKs are instrumented; what is here says for whom a call is made, what else was paid for, and measures calls
that no instrumentor sees.
"""

from otel_kpi.packs.conversations import conversation
from otel_kpi.packs.llm.attribution import context
from otel_kpi.packs.llm.budgets import declare as declare_budgets
from otel_kpi.packs.llm.by_hand import call, cost
from otel_kpi.packs.llm.evaluation import evaluation, feedback
from otel_kpi.packs.llm.guard import BudgetExceeded, Guard, budget

__all__ = [
    "BudgetExceeded",
    "Guard",
    "budget",
    "call",
    "context",
    "conversation",
    "cost",
    "declare_budgets",
    "evaluation",
    "feedback",
]
