"""Attributes that instruments of several packs have: one name means one thing, with one budget, wherever it is."""

from __future__ import annotations

from typing import Final

from otel_kpi.model import Attribute

MODEL_NAME: Final = Attribute(
    name="model_name",
    brief="The KPI model whose data are moved or analysed; not a language model.",
    budget=40,
    examples=("marketing", "sales"),
    source="S0: the label that its alerts name",
)
ERROR_TYPE: Final = Attribute(
    name="error.type",
    brief="What went wrong: the class of an exception, or a word of the application's.",
    budget=50,
    examples=("ValueError", "missing_email"),
    source="https://opentelemetry.io/docs/specs/semconv/attributes-registry/error/",
    required=False,
)
TENANT: Final = Attribute(
    name="kpi.tenant",
    brief="For whom, as `llm.context(tenant=…)` says.",
    budget=200,
    examples=("acme",),
    source="D4: cost per tenant",
    required=False,
)
FEATURE: Final = Attribute(
    name="kpi.feature",
    brief="For what, as `llm.context(feature=…)` says.",
    budget=60,
    examples=("summary",),
    source="D4",
    required=False,
)
CONVERSATION_ID: Final = Attribute(
    name="gen_ai.conversation.id",
    brief="Of which conversation, as `llm.conversation(id)` says.",
    examples=("c-42",),
    source="OpenTelemetry https://github.com/open-telemetry/semantic-conventions-genai",
    required=False,
)
