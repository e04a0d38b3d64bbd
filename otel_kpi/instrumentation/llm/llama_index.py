"""LlamaIndex: its agents, tools and retrievals have spans by the official package, and its models those of the provider's.

So there is nothing to count twice. A model whose provider's package has no instrumentor is not counted at all: upstream
writes no inference for LlamaIndex.
"""

from __future__ import annotations

from otel_kpi.instrumentation.llm import invocations


def prepare() -> None:
    """Follow what is called below its agents; called before upstream instruments."""
    invocations.follow()
