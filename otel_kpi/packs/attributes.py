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
