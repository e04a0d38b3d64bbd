"""OpenAI Agents: workflows, agents and tools have spans by the official package, and its models those of `openai`.

So there is nothing to count twice. The SDK's own traces, which go to OpenAI, are the application's to switch off:
`agents.set_tracing_disabled(True)` would take the spans of agents away with them.
"""

from __future__ import annotations

from otel_kpi.instrumentation.llm import invocations


def prepare() -> None:
    """Follow what is called below its agents; called before upstream instruments."""
    invocations.follow()
